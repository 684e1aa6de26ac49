"""Which pixels of an image layer are visible, or lie in a rectangle that the user drew."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Shapes

from ...imaging.errors import ImageError
from .layer_image import placement

if TYPE_CHECKING:
    from napari import Viewer

NAME = "Where to look for cells"
# In the metadata of shapes in which cells are counted.
REGIONS_KEY = "napari-cellseg regions"
# On the way through the world and back places lose some digits.
_ROUNDING = 1e-3
_EDGE, _FACE = "#ffb000", "#ffb00020"


@dataclass(frozen=True)
class Rectangle:
    """Rows from `top` up to, but without, `bottom`, and columns in the same way."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def n_pixels(self) -> int:
        """How many pixels; 0 where it is empty."""
        return max(self.bottom - self.top, 0) * max(self.right - self.left, 0)

    def within(self, shape_yx: tuple[int, int]) -> Rectangle:
        """Return what of it lies on an image of this size."""
        height, width = shape_yx
        return Rectangle(max(self.top, 0), min(self.bottom, height), max(self.left, 0), min(self.right, width))

    def is_whole(self, shape_yx: tuple[int, int]) -> bool:
        """Whether it is all of an image of this size."""
        return (self.top, self.bottom, self.left, self.right) == (0, shape_yx[0], 0, shape_yx[1])


def visible(viewer: Viewer, layer: ImageLayer) -> Rectangle:
    """Return the pixels, at full resolution, that the canvas shows now; of a turned image those around them.

    Raises
    ------
    ImageError
        The viewer shows something else than rows and columns.
    """
    n = viewer.dims.ndim
    if tuple(viewer.dims.displayed) != (n - 2, n - 1):
        raise ImageError(
            f"The view does not show '{layer.name}' in rows and columns, so what is visible is no part of a plane. "
            "Switch back to 2D and to the usual order of the axes, then press Segment."
        )
    try:
        canvas = viewer.window._qt_viewer.canvas
        world = np.asarray(canvas._viewbox_corners_in_world)[:, -2:]
    except AttributeError:  # another napari, with other private names
        corners = np.asarray(layer.corner_pixels, float)[:, -2:]
        if layer.multiscale:
            corners = corners * np.asarray(layer.downsample_factors)[layer.data_level, -2:]
        return _around(corners)
    places = itertools.product(*world.T)
    return _around(np.array([in_image(viewer, layer, place) for place in places]))


def drawn(viewer: Viewer, layer: ImageLayer) -> Rectangle | None:
    """Return the pixels in the selected rectangle, else in the one drawn last; None where there is none.

    Raises
    ------
    ImageError
        Several are selected.
    """
    for shapes in _shapes_layers(viewer):
        rectangles = [i for i, kind in enumerate(shapes.shape_type) if kind == "rectangle"]
        selected = [i for i in rectangles if i in shapes.selected_data]
        if len(selected) > 1:
            raise ImageError(
                f"{len(selected)} rectangles of '{shapes.name}' are selected. Select the one in which cells are looked "
                "for, then press Segment."
            )
        if rectangles:
            corners = shapes.data[selected[0] if selected else rectangles[-1]]
            places = [shapes.data_to_world(corner)[-2:] for corner in corners]
            return _around(np.array([in_image(viewer, layer, place) for place in places]))
    return None


def prepare_drawing(viewer: Viewer, layer: ImageLayer) -> str:
    """Let the next drag of the mouse draw a rectangle; returns the name of the layer that takes it."""
    shapes = next(iter(_shapes_layers(viewer)), None)
    if shapes is None:
        shapes = Shapes(None, ndim=2, name=NAME, edge_color=_EDGE, face_color=_FACE, **placement(layer))
        viewer.add_layer(shapes)
    shapes.visible = True
    viewer.layers.selection.active = shapes
    shapes.mode = "add_rectangle"
    return str(shapes.name)


def _shapes_layers(viewer: Viewer) -> list[Shapes]:
    """Return the layers of shapes, the selected one first, then from the top down."""
    found = [
        layer for layer in reversed(viewer.layers) if isinstance(layer, Shapes) and REGIONS_KEY not in layer.metadata
    ]
    active = viewer.layers.selection.active
    return sorted(found, key=lambda layer: (layer is not active, not layer.visible))


def in_image(viewer: Viewer, layer: ImageLayer, place: tuple[float, ...]) -> np.ndarray:
    """Return row and column of a place on the canvas."""
    return np.asarray(layer.world_to_data((*viewer.dims.point[:-2], *place)))[-2:]


def _around(places: np.ndarray) -> Rectangle:
    """Return the pixels whose middles lie between places, or on the edge there."""
    top, left = np.ceil(places.min(axis=0) - _ROUNDING)
    bottom, right = np.floor(places.max(axis=0) + _ROUNDING) + 1
    return Rectangle(int(top), int(bottom), int(left), int(right))
