"""Zarr and OME-Zarr, in folders, in zip files and on servers."""
