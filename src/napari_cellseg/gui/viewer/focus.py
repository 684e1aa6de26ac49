"""Give napari's canvas the keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari import Viewer


def focus_canvas(viewer: Viewer) -> None:
    """Let the next key act in the image: after a button whose work goes on there, nobody types into the panel."""
    viewer.window._qt_viewer.canvas.native.setFocus()
