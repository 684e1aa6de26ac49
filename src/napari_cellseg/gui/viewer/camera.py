"""Where the viewer looks."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels

from ...imaging.regions import Region

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
