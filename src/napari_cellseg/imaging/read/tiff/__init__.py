"""TIFF in its dialects."""
