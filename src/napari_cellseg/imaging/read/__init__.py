"""Readers of TIFF, Zarr, common image formats, NumPy arrays, and files of napari's reader plugins."""
