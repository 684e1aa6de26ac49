"""A Points layer whose dots and numbers leave the cells to be seen, and stay quick with thousands of them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from napari.layers import Layer, Points
from napari.utils.colormaps.standardize_color import transform_color
from superqt.utils import qdebounced

# Text costs about 0.2 ms each on every zoom (software rendering).
MAX_NUMBERS = 400
DEBOUNCE_MS = 120
# Height and width that one takes, in pixels of the screen: numbers then cover at most about a fifth of the picture.
NUMBER_ROOM, DOT_ROOM = (22.0, 38.0), (20.0, 20.0)


class CountPoints(Points):
    """One point per cell; where there is no room for all, some dots and numbers are drawn, others when one zooms in.

    napari lays out the text of all points again on each zoom step: 0.9 s with 5,000 cells. This layer hands on the
    text of some in view only. Should napari change the private names below, all is drawn again, slowly but rightly.

    Attributes
    ----------
    numbers_of : Layer
        The layer of the cells that are numbered: the points go when it goes.
    """

    def __init__(self, data: np.ndarray, numbers_of: Layer, **attributes: Any) -> None:
        self.numbers_of = numbers_of
        # Napari reads the text while it builds the layer.
        self._numbered = np.zeros(0, dtype=np.intp)
        self._dotted = np.zeros(0, dtype=bool)
        self._pointed = -1
        self.dots = True
        super().__init__(data, **attributes)
        self._view_moved = qdebounced(self._on_view_moved, timeout=DEBOUNCE_MS)
        self.events.visible.connect(self._on_visible)

    @classmethod
    def _basename(cls) -> str:
        return "Points"

    @property
    def _type_string(self) -> str:
        # Readers, writers and copies know it as the points layer that it is.
        return "points"

    def numbers_in_view(self) -> np.ndarray:
        """Return the positions of the points whose number is drawn: those in view for which there is room."""
        places, inside = self._on_screen()
        room, chosen = np.array(NUMBER_ROOM), inside
        while True:
            chosen = inside[with_room(places[inside], room)]
            if len(chosen) <= MAX_NUMBERS:
                break
            room = room * max(math.sqrt(len(chosen) / MAX_NUMBERS), 1.05)
        pointed = 0 <= self._pointed < len(places)
        return np.union1d(chosen, [self._pointed]).astype(np.intp) if pointed else chosen

    def dots_in_view(self) -> np.ndarray:
        """Whether each point has a dot, bool."""
        places, inside = self._on_screen()
        shown = np.zeros(len(places), dtype=bool)
        if self.dots:
            # Those with a number have their dot.
            numbered = self.numbers_in_view()
            order = np.concatenate([numbered, np.setdiff1d(inside, numbered)])
            shown[order[with_room(places[order], np.array(DOT_ROOM))]] = True
        return shown

    def set_dots(self, dots: bool) -> None:
        """Draw numbers beside dots, or alone in the middle of the cells, as suits outlines."""
        if dots != self.dots:
            self.dots = dots
            self.text.anchor = "upper_left" if dots else "center"
            self.refresh_text()

    def point_at(self, id_: int) -> None:
        """Draw the number of the cell under the mouse, whether there is room or not; 0 for none."""
        found = np.flatnonzero(np.asarray(self.features["index"]) == id_ if id_ else False)
        pointed = int(found[0]) if len(found) else -1
        if pointed != self._pointed:
            self._pointed = pointed
            self._on_view_moved()

    def show_yours(self, yours: np.ndarray, color: str, other: str) -> None:
        """Fill the points of manually edited cells with a colour of their own."""
        wanted = np.where(yours[:, None], transform_color(color), transform_color(other)).astype(np.float32)
        layer: Any = self
        if not np.array_equal(layer.face_color, wanted):
            layer.face_color = wanted if len(wanted) else other

    def refresh_text(self) -> None:
        """Draw dots and numbers again, of the points for which there is room now."""
        # A hidden layer does not know what is in view; it draws all anew when it is shown.
        if self.visible:
            self._numbered, dotted = self.numbers_in_view(), self.dots_in_view()
            if not np.array_equal(dotted, self._dotted):
                self._dotted = dotted
                self.events.set_data()
            super().refresh_text()

    def _on_screen(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of all points in pixels of the screen, from the corner of the world, and those in view."""
        y_x = self._view_data[:, -2:]
        (top, left), (bottom, right) = np.asarray(self.corner_pixels)[:, -2:]
        if bottom <= top or right <= left:
            inside = np.arange(len(y_x))
        else:
            inside = np.flatnonzero(
                (y_x[:, 0] >= top) & (y_x[:, 0] <= bottom) & (y_x[:, 1] >= left) & (y_x[:, 1] <= right)
            )
        return y_x * np.abs(np.array(self.scale[-2:])) / max(self.scale_factor, 1e-9), inside

    def _update_draw(self, *args: Any, **kwargs: Any) -> None:
        before = self.scale_factor, np.array(self.corner_pixels)
        super()._update_draw(*args, **kwargs)
        # napari calls this at every repaint.
        moved = self.scale_factor != before[0] or not np.array_equal(self.corner_pixels, before[1])
        if moved and self.text.visible:
            self._view_moved()

    def _on_visible(self) -> None:
        # Points may have come and gone meanwhile.
        self._view_moved()

    def _on_view_moved(self) -> None:
        if not self.visible:
            return
        moved = not np.array_equal(self._numbered, self.numbers_in_view())
        if moved or not np.array_equal(self._dotted, self.dots_in_view()):
            self.refresh_text()

    @property
    def _view_face_color(self) -> np.ndarray:
        return self._faded(super()._view_face_color)

    @property
    def _view_border_color(self) -> np.ndarray:
        return self._faded(super()._view_border_color)

    @property
    def _view_text(self) -> np.ndarray:
        return self._some(super()._view_text, "")

    @property
    def _view_text_coords(self) -> tuple[np.ndarray, str, str]:
        coords, anchor_x, anchor_y = super()._view_text_coords
        return self._some(coords, 0.0), anchor_x, anchor_y

    @property
    def _view_text_color(self) -> np.ndarray:
        colors = super()._view_text_color
        return colors if colors.ndim == 1 else self._some(colors, 0.0)

    def _faded(self, colors: np.ndarray) -> np.ndarray:
        """Return colours with those of dots without room seen through; a size of 0 would be drawn as the smallest."""
        if len(colors) != len(self._dotted) or self._dotted.all():
            return colors
        colors = np.array(colors)
        colors[~self._dotted, 3] = 0
        return colors

    def _some(self, values: np.ndarray, filler: Any) -> np.ndarray:
        """Return the entries that are drawn; one empty entry stands for none, because vispy wants at least one."""
        n = len(values)
        chosen = self._numbered[self._numbered < n]
        if len(chosen):
            return values[chosen]
        return np.full((1, *values.shape[1:]), filler, dtype=values.dtype if len(values) else None)


# From a box to itself and its neighbours.
_AROUND = tuple(itertools.product((-1, 0, 1), repeat=2))


def with_room(places: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Return the positions, ascending, of places of which no two are closer than `room` along both axes.

    Parameters
    ----------
    places : numpy.ndarray
        (N, 2); the first of those that are too close stays.
    room : numpy.ndarray
        (2,), above 0.
    """
    if not len(places):
        return np.zeros(0, dtype=np.intp)
    boxes = np.floor(places / room).astype(np.int64)
    boxes -= boxes.min(axis=0)
    _, first = np.unique(boxes[:, 0] * (boxes[:, 1].max() + 1) + boxes[:, 1], return_index=True)
    order = np.sort(first)
    # Plain numbers: arrays of two are slow, and this runs whenever a slider moves.
    ordered = zip(order.tolist(), boxes[order].tolist(), (places[order] / room).tolist(), strict=True)
    taken: dict[tuple[int, int], tuple[float, float]] = {}
    kept = []
    for i, (box_y, box_x), (y, x) in ordered:
        for near in _AROUND:
            other = taken.get((box_y + near[0], box_x + near[1]))
            if other is not None and abs(other[0] - y) < 1 and abs(other[1] - x) < 1:
                break
        else:
            taken[box_y, box_x] = y, x
            kept.append(i)
    return np.array(kept, dtype=np.intp)
