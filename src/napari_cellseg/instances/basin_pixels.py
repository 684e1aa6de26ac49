"""Which pixels belong to each basin, and which of them a step of the sliders changes."""

from __future__ import annotations

import copy
import threading
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array, csr_array, vstack

from .levels import N_LEVELS

_CHANGED_PART = 1 / 12  # writing up to a 12th of the image pixel by pixel is faster than filling it


class BasinPixels:
    """Flat positions of the pixels of every basin, and of those between two levels.

    Parameters
    ----------
    levels : numpy.ndarray
        uint8 (Y, X).
    basins : numpy.ndarray
        Whole numbers (Y, X), 0 = no cell, 1 to `n_basins` = cells.
    n_basins : int
    """

    def __init__(self, levels: np.ndarray, basins: np.ndarray, n_basins: int) -> None:
        self._levels, self._basins = levels.reshape(-1), basins.reshape(-1)
        places = np.flatnonzero(self._basins).astype(np.int32 if basins.size < 2**31 else np.int64)
        rows = self._basins[places].astype(places.dtype) - 1
        # Row i holds as column indices the pixels of basin i + 1.
        self._by_basin = coo_array(
            (np.ones(len(places), dtype=np.bool_), (rows, places)), shape=(n_basins, basins.size)
        ).tocsr()
        self._order = _Order(self._levels, self._by_basin.indices)

    @property
    def all(self) -> np.ndarray:
        """Positions (N,) of all pixels that belong to a basin."""
        return self._by_basin.indices

    @cached_property
    def areas(self) -> np.ndarray:
        """Number of pixels of every basin, int64 (n_basins,)."""
        return np.diff(self._by_basin.indptr).astype(np.int64)

    def of_basin(self, basin: int) -> np.ndarray:
        """Positions (N,) of the pixels of one basin."""
        start, stop = self._by_basin.indptr[basin - 1 : basin + 1]
        return self._by_basin.indices[start:stop]

    def of_basins(self, places: np.ndarray) -> np.ndarray:
        """Positions (N,) of the pixels of these basins, given by their ids less one."""
        return self._by_basin[places].indices

    def renumbered(self, basins: np.ndarray, source: np.ndarray) -> BasinPixels:
        """Return those of the same pixels with other ids.

        Parameters
        ----------
        basins : numpy.ndarray
            Whole numbers (Y, X).
        source : numpy.ndarray
            Entry i: the present id, less one, of the basin that gets the id i + 1; the present number of basins stands
            for a basin without pixels.
        """
        other = copy.copy(self)
        other.__dict__.pop("areas", None)
        nothing = csr_array((1, self._by_basin.shape[1]), dtype=np.bool_)
        other._basins, other._by_basin = basins.reshape(-1), vstack([self._by_basin, nothing], format="csr")[source]
        return other

    def changes(
        self, before: tuple[int, np.ndarray], now: tuple[int, np.ndarray], wait: bool = True
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Find the pixels whose label may differ between two positions of the sliders.

        Parameters
        ----------
        before, now : tuple of int and numpy.ndarray
            One of the 256 levels, and which cells are kept there, bool (n_basins,).
        wait : bool
            Whether to wait until the pixels are sorted, which is done once.

        Returns
        -------
        tuple of numpy.ndarray, or None
            Flat positions (N,) and their labels now, of the type of the basins. None where so much changes that
            filling all is quicker, and while the pixels are sorted unless `wait`.
        """
        (old_level, old_keep), (level, keep) = before, now
        crossed = self._order.between(min(old_level, level), max(old_level, level), wait)
        turned = np.flatnonzero(keep != old_keep)
        most = _CHANGED_PART * len(self._basins)
        if crossed is None or len(crossed) + int(self.areas[turned].sum()) > most:
            return None
        kept = np.concatenate([np.zeros(1, dtype=bool), keep])
        if level > old_level:
            labels = np.zeros(len(crossed), dtype=self._basins.dtype)
        else:
            labels = self._basins[crossed]
            labels *= kept[labels]
        if not len(turned):
            return crossed, labels
        places = self.of_basins(turned)
        basins = self._basins[places]
        of_turned = basins * (kept[basins] & (self._levels[places] >= level))
        return np.concatenate([crossed, places]), np.concatenate([labels, of_turned])


class _Order:
    """Pixels in the order of their levels.

    Sorting takes .25 s for 8 million pixels, so it is done when it is first asked for, and in a background thread
    where the user would wait.
    """

    def __init__(self, levels: np.ndarray, places: np.ndarray) -> None:
        self._levels, self._places = levels, places
        self._sorted: tuple[np.ndarray, np.ndarray] | None = None
        self._asked = False

    def between(self, low: int, high: int, wait: bool) -> np.ndarray | None:
        """Flat positions of the pixels with ``low <= level < high``; None while they are sorted, unless `wait`."""
        if self._sorted is None and wait:
            self._sort()
        elif self._sorted is None and not self._asked:
            self._asked = True
            threading.Thread(target=self._sort, name="cellseg-pixel-order", daemon=True).start()
        if self._sorted is None:
            return None
        places, starts = self._sorted
        return places[starts[low] : starts[high]]

    def _sort(self) -> None:
        levels = self._levels[self._places]
        starts = np.zeros(N_LEVELS + 1, dtype=np.int64)
        np.cumsum(np.bincount(levels, minlength=N_LEVELS), out=starts[1:])
        # numpy sorts whole numbers of one byte by counting, in time proportional to their number.
        self._sorted = self._places[np.argsort(levels, kind="stable")], starts
