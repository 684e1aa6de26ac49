"""Where the mouse points now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtGui import QCursor

if TYPE_CHECKING:
    from napari import Viewer


def world_under_mouse(viewer: Viewer) -> np.ndarray | None:
    """Place in the world, as many numbers as the viewer has dimensions; None when the mouse is not on the canvas.

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
