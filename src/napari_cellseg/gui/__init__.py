"""The napari side: widgets are layout plus bindings to the session; this is the only room that knows Qt and napari."""
