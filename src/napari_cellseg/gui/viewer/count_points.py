"""A Points layer whose numbers stay quick with thousands of cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Points
from napari.utils.colormaps.standardize_color import transform_color
from superqt.utils import qdebounced

# Text costs about 0.2 ms each on every zoom (software rendering); more than these can't be read at once anyway.
MAX_NUMBERS = 400
DEBOUNCE_MS = 120


class CountPoints(Points):
    """One point per cell; numbers are drawn for the cells in view, and only while those are few enough to read.

    napari lays out the text of all points again on each zoom step: 0.9 s with 5,000 cells. This layer hands on the
    text in view only. Should napari change the private names below, all text is drawn again, slowly but rightly.
    """

    def __init__(self, data: np.ndarray, **attributes: Any) -> None:
        # Napari reads the text while it builds the layer.
        self._chosen = np.zeros(0, dtype=np.intp)
        super().__init__(data, **attributes)
        self._view_moved = qdebounced(self._on_view_moved, timeout=DEBOUNCE_MS)

    @classmethod
    def _basename(cls) -> str:
        return "Points"

    @property
    def _type_string(self) -> str:
        # Readers, writers and copies know it as the points layer that it is.
        return "points"

    def numbers_in_view(self) -> np.ndarray:
        """Positions among the shown points of those whose number is drawn: all, those in view, or none."""
        n = len(self._view_indices)
        if n <= MAX_NUMBERS:
            return np.arange(n)
        (top, left), (bottom, right) = np.asarray(self.corner_pixels)[:, -2:]
        y, x = self._view_data[:, -2], self._view_data[:, -1]
        inside = np.flatnonzero((y >= top) & (y <= bottom) & (x >= left) & (x <= right))
        return inside if len(inside) <= MAX_NUMBERS else inside[:0]

    def show_yours(self, yours: np.ndarray, color: str, other: str) -> None:
        """Fill the points of manually edited cells with a colour of their own."""
        wanted = np.where(yours[:, None], transform_color(color), transform_color(other)).astype(np.float32)
        layer: Any = self
        if not np.array_equal(layer.face_color, wanted):
            layer.face_color = wanted if len(wanted) else other

    def refresh_text(self) -> None:
        """Draw the numbers again, of the points that are in view now."""
        # A hidden layer does not know what is in view; it draws all anew when it is shown.
        if self.visible:
            self._chosen = self.numbers_in_view()
            super().refresh_text()

    def _update_draw(self, *args: Any, **kwargs: Any) -> None:
        super()._update_draw(*args, **kwargs)
        if len(self.data) > MAX_NUMBERS and self.text.visible:
            self._view_moved()

    def _on_view_moved(self) -> None:
        if not np.array_equal(self._chosen, self.numbers_in_view()):
            self.refresh_text()

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

    def _some(self, values: np.ndarray, filler: Any) -> np.ndarray:
        """Return the entries in view; one empty entry stands for none, because vispy wants at least one."""
        n = len(values)
        chosen = np.arange(n) if n <= MAX_NUMBERS else self._chosen[self._chosen < n]
        if len(chosen):
            return values[chosen]
        return np.full((1, *values.shape[1:]), filler, dtype=values.dtype if len(values) else None)
