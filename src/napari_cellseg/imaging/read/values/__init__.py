"""JSON, tables and units, checked as they are read."""
