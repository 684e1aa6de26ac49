"""A model against known cells: score, compare, calibrate."""
