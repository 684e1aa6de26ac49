"""Tiles of an image that were ever edited: only these are searched for claims."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..imaging.regions import Region

TILE = 256  # pixels


class Tiles:
    """Squares of `TILE` pixels, and whether something in them was ever touched.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) in pixels.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._touched = np.zeros((-(-shape[0] // TILE), -(-shape[1] // TILE)), dtype=bool)

    def touch(self, rows: np.ndarray, columns: np.ndarray) -> None:
        """Mark the tiles of some pixels as touched."""
        self._touched[rows // TILE, columns // TILE] = True

    def touched(self, region: Region) -> Iterable[Region]:
        """Yield the parts of a region that lie in touched tiles."""
        rows, columns = region
        if rows.start == rows.stop or columns.start == columns.stop:
            return
        first_row, first_column = rows.start // TILE, columns.start // TILE
        near = self._touched[first_row : -(-rows.stop // TILE), first_column : -(-columns.stop // TILE)]
        for row, column in np.argwhere(near).tolist():
            top, left = (first_row + row) * TILE, (first_column + column) * TILE
            yield (
                slice(max(top, rows.start), min(top + TILE, rows.stop)),
                slice(max(left, columns.start), min(left + TILE, columns.stop)),
            )
