"""Labels of an image that follow the sliders: only the pixels that change are written."""

from __future__ import annotations

import numpy as np

from ..instances.levels import threshold_level
from .corrected import CorrectedInstances


class LiveLabels:
    """Labels in an array that nothing else changes meanwhile.

    A step of a slider changes about a hundredth of the pixels; writing those alone takes a fifth of the time of
    filling all.

    Parameters
    ----------
    cells : CorrectedInstances
    out : numpy.ndarray
        Whole numbers (Y, X), contiguous, of the type of the labels; filled at the first `move`.
    """

    def __init__(self, cells: CorrectedInstances, out: np.ndarray) -> None:
        self.cells, self.out = cells, out
        self._shown: tuple[int, int, np.ndarray] | None = None

    def move(self, threshold: float, min_size: int, wait: bool = False) -> np.ndarray | None:
        """Make `out` what ``cells.labels(threshold, min_size)`` returns.

        Returns
        -------
        numpy.ndarray or None
            Flat positions of the pixels that were written; None where all were: at first, after a correction, after a
            long way, and, unless `wait`, while the pixels are sorted.
        """
        cells, corrections = self.cells, self.cells.corrections
        with corrections.lock:
            level, keep = threshold_level(threshold), cells.keep_automatic(threshold, min_size)
            revision, before, kept = self._shown or (None, level, keep)
            # The first question has the pixels sorted.
            changed = cells.instances.pixels.changes((before, kept), (level, keep), wait)
            first = revision != corrections.revision
            self._shown = corrections.revision, level, keep
            if first or changed is None:
                cells.labels(threshold, min_size, out=self.out)
                return None
            places, labels = changed
            if next(iter(corrections.claimed_tiles()), None) is not None:
                # Claims, of edited and erased cells, stay as they are.
                free = corrections.claims().reshape(-1)[places] == 0
                places, labels = places[free], labels[free]
            self.out.reshape(-1)[places] = labels
            return places
