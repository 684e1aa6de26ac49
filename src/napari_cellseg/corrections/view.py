"""The cells of one image as they are shown now: the input of every tool."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..imaging.regions import Region
from .corrected import CorrectedInstances


@dataclass(frozen=True, eq=False)
class CellView:
    """Corrected instances at one threshold and min_size.

    Attributes
    ----------
    corrected : CorrectedInstances
    threshold : float
        Foreground probability, 0 to 1.
    min_size : int
        Smallest area in pixels of an automatic cell.
    """

    corrected: CorrectedInstances
    threshold: float
    min_size: int

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (Y, X) in pixels."""
        return self.corrected.shape

    def labels(self, region: Region | None = None) -> np.ndarray:
        """Id of the cell shown at every pixel of a region."""
        return self.corrected.labels(self.threshold, self.min_size, region)

    def at(self, y: int, x: int) -> int:
        """Id of the cell shown at a pixel; 0 for no cell."""
        return self.corrected.at(y, x, self.threshold, self.min_size)

    def ids(self) -> np.ndarray:
        """Ids of the shown cells, ascending."""
        return self.corrected.ids(self.threshold, self.min_size)

    def is_shown(self, ids: Iterable[int]) -> np.ndarray:
        """Which of these ids are shown, bool."""
        return self.corrected.is_shown(np.asarray(list(ids), dtype=np.int64), self.threshold, self.min_size)

    def mask(self, id_: int) -> tuple[Region, np.ndarray]:
        """Region of a cell and its pixels in it, bool; both empty if it is not shown."""
        if not self.is_shown([id_])[0]:
            return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), dtype=bool)
        return self.corrected.mask_of(id_, self.threshold)

    def box(self, id_: int) -> Region | None:
        """Smallest region around a shown cell; None if it is not shown."""
        return self.corrected.box_of(id_, self.threshold) if self.is_shown([id_])[0] else None
