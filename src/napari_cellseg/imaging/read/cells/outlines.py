"""Fill the outlines of cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ...errors import ImageError

Rings = Sequence[np.ndarray]


def fill_outlines(cells: Iterable[Rings], shape: tuple[int, int], path: Path) -> np.ndarray:
    """Return a label image, int32 ``(Y, X)``, of outlines: rings of (y, x) from pixel corners, holes among them.

    Raises
    ------
    ImageError
        There is no cell in the file `path`, or one leaves the image.
    """
    labels = np.zeros(shape, np.int32)
    n = 0
    for n, rings in enumerate(cells, start=1):
        corners = np.concatenate(rings)
        low, high = corners.min(axis=0), corners.max(axis=0)
        if (low < -1).any() or (high > np.add(shape, 1)).any():
            raise ImageError(
                f"{path}: cell {n} reaches from row {low[0]:g}, column {low[1]:g} to row {high[0]:g}, column "
                f"{high[1]:g}, and the image has {shape[0]} x {shape[1]} pixels. Choose the file of this image."
            )
        top, left = np.maximum(np.floor(low), 0).astype(int)
        box = labels[top : int(np.ceil(high[0])), left : int(np.ceil(high[1]))]
        inside = pixels_inside(rings, (top, left), box.shape)
        box[inside & (box == 0)] = n
    if not n:
        raise ImageError(f"{path} holds no outline of a cell. Export the cells as polygons or ROIs.")
    return labels


def pixels_inside(rings: Rings, corner: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
    """Which pixels of a box have their centres in an odd number of rings, bool.

    It takes a step for each row that a side crosses, whatever the number of corners and pixels. Of two outlines that
    share a side, one has the centres that lie on it. A pixel is inside or not whichever box it is asked for with.
    """
    (height, width), (top, left) = shape, corner
    crossings = np.zeros(height * (width + 1), np.int64)
    for ring in rings:
        y, x = (np.asarray(ring, np.float64) - 0.5).T
        up, along = np.roll(y, -1) - y, np.roll(x, -1) - x
        first, last = (
            np.clip(np.ceil(end) - top, 0, height).astype(np.int64)
            for end in (np.minimum(y, np.roll(y, -1)), np.maximum(y, np.roll(y, -1)))
        )
        n_rows = last - first
        side = np.repeat(np.arange(len(y)), n_rows)
        row = first[side] + np.arange(len(side)) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows)
        place = x[side] + (row + top - y[side]) / up[side] * along[side]
        column = np.clip(np.ceil(place) - left, 0, width).astype(np.int64)
        crossings += np.bincount(row * (width + 1) + column, minlength=len(crossings))
    return np.asarray(np.cumsum(crossings.reshape(height, width + 1)[:, :width], axis=1) % 2 == 1)
