"""Fill the outlines of cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..errors import ImageError

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
    """Which pixels of a box have their centres in an odd number of rings."""
    from skimage.draw import polygon2mask

    found = np.zeros(shape, bool)
    for ring in rings:
        found ^= polygon2mask(shape, ring - corner - 0.5)
    return found
