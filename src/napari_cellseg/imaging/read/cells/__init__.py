"""Cells in files of other programs that are no label image."""
