"""The canvas of a viewer: where it looks, its keyboard, and the graphics driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from ...imaging.regions import Region

if TYPE_CHECKING:
    from napari import Viewer

# Pixels of the screen that a cell is across: outside of the first and last it is brought to the middle one ...
SMALL, GOOD, LARGE = 30, 60, 400
# ... but a pixel of the image never becomes larger than this: what is around a cell helps to judge it.
LARGEST_PIXEL = 8


def camera_of(viewer: Any) -> Any:
    """Return the camera of a viewer: napari 0.9 has put it into the scene."""
    return getattr(viewer, "scene", viewer).camera


def look_at(viewer: Any, labels: Labels, box: Region) -> None:
    """Bring a region of labels into the middle of the picture, at a size at which a cell can be seen."""
    middle = [(part.start + part.stop - 1) / 2 for part in box]
    world = np.asarray(labels.data_to_world(middle))
    camera = camera_of(viewer)
    camera.center = (0.0, *world[-2:])
    pixel = float(np.max(np.abs(labels.scale[-2:])))
    size = max(part.stop - part.start for part in box) * pixel
    if not SMALL <= size * camera.zoom <= LARGE:
        camera.zoom = min(GOOD / size, LARGEST_PIXEL / pixel)


def focus_canvas(viewer: Viewer) -> None:
    """Let the next key act in the image: after a button whose work goes on there, keys are not for the panel."""
    viewer.window._qt_viewer.canvas.native.setFocus()


def draw_in_canvas(viewer: Viewer) -> None:
    """Let what is handed to the graphics driver next go to the canvas.

    When layers are removed, napari frees what they hold there at once, in whichever context was drawn in last. Freed
    in another one than the canvas', such as Qt's own, it makes the next drawing crash (napari 0.9, software rendering).
    """
    viewer.window._qt_viewer.canvas.native.makeCurrent()
