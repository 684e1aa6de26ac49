"""Give napari's canvas the keyboard, or the graphics driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari import Viewer


def focus_canvas(viewer: Viewer) -> None:
    """Let the next key act in the image: after a button whose work goes on there, nobody types into the panel."""
    viewer.window._qt_viewer.canvas.native.setFocus()


def draw_in_canvas(viewer: Viewer) -> None:
    """Let what is handed to the graphics driver next go to the canvas.

    When layers are removed, napari frees what they hold there at once, in whichever context was drawn in last. Freed
    in another one than the canvas', such as Qt's own, it makes the next drawing crash (napari 0.9, software rendering).
    """
    viewer.window._qt_viewer.canvas.native.makeCurrent()
