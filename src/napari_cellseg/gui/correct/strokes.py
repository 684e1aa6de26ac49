"""Which pixels and cells a stroke crosses, and where the mouse pointer is."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtGui import QCursor
from skimage.draw import line

from ...corrections.tools import CellView
from ...imaging.regions import Region

if TYPE_CHECKING:
    from napari import Viewer


def world_under_mouse(viewer: Viewer) -> np.ndarray | None:
    """Return the place in the world, a number for each dimension of the viewer; None off the canvas.

    napari remembers where the mouse moved last: after the view itself has moved, that is not what lies under it.
    """
    if not viewer.mouse_over_canvas:
        return None
    try:
        canvas = viewer.window._qt_viewer.canvas
        point = canvas.native.mapFromGlobal(QCursor.pos())
        if not canvas.native.rect().contains(point):
            return None
        place = (point.x(), point.y())
        viewbox, _ = canvas._get_viewbox_at(place)
        return np.asarray(canvas._map_canvas2world(place, viewbox))
    except (AttributeError, TypeError):  # another napari, with other private names
        return np.asarray(viewer.cursor.position)


def trail(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels (N, 2) inside the image that a stroke through points (N, 2) crosses."""
    corners = np.round(points).astype(int)
    parts = [corners[:1]]
    for start, end in pairwise(corners):
        parts.append(np.stack(line(*start, *end), axis=1))
    pixels = np.concatenate(parts)
    return pixels[((pixels >= 0) & (pixels < shape)).all(axis=1)]


def crossed(view: CellView, points: np.ndarray) -> list[int]:
    """Return the ids of the cells that a stroke through points (N, 2) crosses, in that order."""
    pixels = trail(points, view.shape)
    if not len(pixels):
        return []
    low, high = pixels.min(axis=0), pixels.max(axis=0) + 1
    labels = view.labels((slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))))
    found = labels[tuple((pixels - low).T)]
    return list(dict.fromkeys(int(id_) for id_ in found if id_))


def rectangle(start: np.ndarray, end: np.ndarray, shape: tuple[int, ...]) -> Region:
    """Return the region inside the image between two corners, both of which are in it."""
    low = np.clip(np.round(np.minimum(start, end)), 0, shape).astype(int)
    high = np.clip(np.round(np.maximum(start, end)) + 1, 0, shape).astype(int)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
