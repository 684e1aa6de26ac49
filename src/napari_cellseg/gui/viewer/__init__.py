"""One napari viewer: its bench, image layers, result layers and planes."""
