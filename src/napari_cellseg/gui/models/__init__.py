"""The window that lists, imports, exports and calibrates models."""
