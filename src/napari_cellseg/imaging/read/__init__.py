"""Files in: TIFF, Zarr, common picture formats, NumPy arrays, and whatever napari's reader plugins open."""
