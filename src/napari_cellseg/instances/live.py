"""Cells at any threshold and minimum size, fast enough for a slider.

The rule: a basin is one cell. At a threshold, a cell is the pixels of its basin whose probability reaches the
threshold; it is kept when that area reaches the minimum size. Raising the threshold shrinks a cell or drops it and
never splits it, so the count can only fall as either slider rises, and a cell keeps its id.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from scipy.sparse import coo_array, csr_array

from .params import SplitParams
from .prediction import Prediction
from .split import split

N_LEVELS = 256
_BLOCK_PIXELS = 1 << 18  # a block of basins, levels and result stays in a core's cache
_ERASE_PART = 12  # erasing up to a 12th of the image, pixel by pixel, beats looking up every pixel
_N_THREADS = max(1, min(4, os.cpu_count() or 1))

Region = tuple[slice, slice]


def quantize(probability: np.ndarray) -> np.ndarray:
    """Round probabilities to 256 levels: level = floor(255 p + 0.5), NaN is level 0.

    Parameters
    ----------
    probability : numpy.ndarray
        Float, any shape, 0 to 1; values outside are clipped.

    Returns
    -------
    numpy.ndarray
        uint8, same shape.
    """
    scaled = np.multiply(probability, np.float32(255), dtype=np.float32)
    scaled += np.float32(0.5)
    np.nan_to_num(scaled, copy=False, nan=0.0)
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


def threshold_level(threshold: float) -> int:
    """Level of a threshold, by the rule of `quantize`.

    Raises
    ------
    ValueError
        When the threshold is not a number from 0 to 1.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be a probability from 0 to 1, got {threshold!r}.")
    return int(quantize(np.array([threshold]))[0])


class Instances:
    """A prediction split once; labels and counts for any threshold and minimum size.

    A pixel belongs to the cell of its basin when level(probability) >= level(threshold), where `quantize` rounds both
    to 256 levels: every pixel that reaches the threshold belongs, and none that lies more than 1/255 below it. Basins
    end at the floor of the split, so a threshold below the floor gives what the floor gives. A cell is kept when its
    area is at least ``max(min_size, 1)`` pixels.

    The object never changes and may be read from several threads.

    Parameters
    ----------
    probability : numpy.ndarray
        Foreground probability, float (Y, X), 0 to 1.
    basins : numpy.ndarray
        Whole numbers (Y, X), 0 = no cell, 1 to n = cells, as `split` returns them.

    Raises
    ------
    ValueError
        When the arrays are not two-dimensional, differ in shape, or basins are negative or not whole numbers.
    """

    def __init__(self, probability: np.ndarray, basins: np.ndarray) -> None:
        if probability.ndim != 2 or probability.shape != basins.shape:
            raise ValueError(
                f"probability {probability.shape} and basins {basins.shape} must be (Y, X) maps of one image."
            )
        if not np.issubdtype(basins.dtype, np.integer) or (basins.size and int(basins.min()) < 0):
            raise ValueError(f"basins must hold whole numbers from 0, got {basins.dtype}.")
        self.n_basins = int(basins.max(initial=0))
        self.dtype: np.dtype = np.dtype(np.uint16 if self.n_basins <= 65535 else np.int32)
        self.basins = _frozen(np.ascontiguousarray(basins, dtype=self.dtype))
        self.levels = _frozen(quantize(probability))
        self._areas = _frozen(_areas_by_level(self.levels, self.basins, self.n_basins))
        self._pixels = _pixels_by_basin(self.basins, self.n_basins)
        unchanged = np.flatnonzero((self._areas == self._areas[0]).all(axis=1))
        self._first_level = int(unchanged[-1]) if self.n_basins else 0

    @classmethod
    def from_prediction(cls, prediction: Prediction, params: SplitParams | None = None) -> Instances:
        """Split a prediction and build its instances."""
        return cls(prediction.probability, split(prediction.probability, prediction.distance, params))

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (Y, X) in pixels."""
        height, width = self.basins.shape
        return height, width

    def areas(self, threshold: float) -> np.ndarray:
        """Area in pixels of every cell at a threshold, int64 (n_basins,); entry i is the cell of id i + 1."""
        return self._areas[threshold_level(threshold)].astype(np.int64)

    def keep(self, threshold: float, min_size: int = 0) -> np.ndarray:
        """Which cells are kept, bool (n_basins,); entry i is the cell of id i + 1."""
        return self._areas[threshold_level(threshold)] >= _at_least(min_size)

    def ids(self, threshold: float, min_size: int = 0) -> np.ndarray:
        """Ids of the kept cells, rising, int64."""
        return np.flatnonzero(self.keep(threshold, min_size)) + 1

    def count(self, threshold: float, min_size: int = 0) -> int:
        """Number of kept cells, equal to the number of ids in `labels`; no pixel is touched."""
        return int(np.count_nonzero(self.keep(threshold, min_size)))

    def count_curve(self, min_size: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Count at every threshold that can differ, from the lowest probability in a cell to 1.

        Returns
        -------
        thresholds : numpy.ndarray
            float64, rising, steps of 1/255. Below the first one the count is that of the first one.
        counts : numpy.ndarray
            int64, never rising; ``counts[i] == count(thresholds[i], min_size)``.
        """
        levels = np.arange(self._first_level, N_LEVELS)
        counts = np.count_nonzero(self._areas[self._first_level :] >= _at_least(min_size), axis=1)
        return levels / (N_LEVELS - 1), counts.astype(np.int64)

    def labels(
        self,
        threshold: float,
        min_size: int = 0,
        region: Region | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Label image: the id of its cell at every pixel, 0 elsewhere.

        Parameters
        ----------
        threshold : float
            Probability, 0 to 1.
        min_size : int
            Smallest area in pixels, measured on the whole cell also when only a region is asked for.
        region : tuple of slice, optional
            (rows, columns) to compute; default the whole image.
        out : numpy.ndarray, optional
            Array of the region's shape and of `dtype` that is filled and returned.

        Returns
        -------
        numpy.ndarray
            uint16 while ``n_basins`` is at most 65,535, else int32; shape of the region.

        Raises
        ------
        ValueError
            For a threshold outside 0 to 1, a negative min_size, or an `out` of another shape or type.
        """
        level = threshold_level(threshold)
        area = self._areas[level]
        keep = area >= _at_least(min_size)
        basins, levels = (self.basins, self.levels) if region is None else (self.basins[region], self.levels[region])
        if out is None:
            out = np.empty(basins.shape, dtype=self.dtype)
        elif out.shape != basins.shape or out.dtype != self.dtype:
            raise ValueError(
                f"out is {out.dtype} {out.shape} but the labels are {self.dtype} {basins.shape}; give a matching array."
            )
        # A cell without a pixel at this level vanishes by itself.
        dropped = np.flatnonzero(~keep & (area > 0))
        n_dropped = int(self._areas[0][dropped].sum(dtype=np.int64))
        erase = region is None and out.flags.c_contiguous and n_dropped * _ERASE_PART <= out.size
        if len(dropped) == 0 or erase:
            _fill(out, basins, levels, np.uint8(level))
            if len(dropped):
                out.reshape(-1)[self._pixels[dropped].indices] = 0
        else:
            lookup = np.zeros(self.n_basins + 1, dtype=self.dtype)
            lookup[1:][keep] = np.flatnonzero(keep) + 1
            _fill(out, basins, levels, np.uint8(level), lookup)
        return out


def stable_stretch(thresholds: np.ndarray, counts: np.ndarray, tolerance: float = 0.02) -> tuple[float, float]:
    """Widest stretch of thresholds over which the count hardly changes.

    Parameters
    ----------
    thresholds, counts : numpy.ndarray
        As `Instances.count_curve` returns them: rising thresholds, counts that never rise.
    tolerance : float
        The count at the end of the stretch may be lower than at its start by this part of it.

    Returns
    -------
    low, high : float
        Ends of the stretch, counts above 0 within it. Of equally wide ones the lowest. Both NaN when every count is 0.
    """
    best = (math.nan, math.nan)
    positive = int(np.count_nonzero(np.asarray(counts) > 0))
    # Counts never rise, so each start's last allowed end is found by bisection on the reversed curve.
    rising = -np.asarray(counts[:positive], dtype=np.float64)
    for start in range(positive):
        lowest = -rising[start] * (1 - tolerance)
        end = int(np.searchsorted(rising, -lowest, side="right")) - 1
        width = float(thresholds[end] - thresholds[start])
        if math.isnan(best[0]) or width > best[1] - best[0] + 1e-12:
            best = (float(thresholds[start]), float(thresholds[end]))
    return best


def _areas_by_level(levels: np.ndarray, basins: np.ndarray, n_basins: int) -> np.ndarray:
    """Pixels of each basin at or above each level: unsigned (256, n_basins), one row per level."""
    inside = basins > 0
    cells = levels[inside].astype(np.intp) * n_basins + basins[inside] - 1
    histogram = np.bincount(cells, minlength=N_LEVELS * n_basins).reshape(N_LEVELS, n_basins)
    total = histogram.sum(axis=0).max(initial=0)
    narrow = histogram.astype(np.uint16 if total <= 65535 else np.uint32)
    return np.cumsum(narrow[::-1], axis=0, dtype=narrow.dtype)[::-1]


def _at_least(min_size: int) -> int:
    if min_size < 0:
        raise ValueError(f"min_size must be 0 pixels or more, got {min_size!r}.")
    return max(math.ceil(min_size), 1)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _pixels_by_basin(basins: np.ndarray, n_basins: int) -> csr_array:
    """Row i holds as column indices the flat pixels of basin i + 1."""
    flat = basins.ravel()
    places = np.flatnonzero(flat).astype(np.int32 if flat.size < 2**31 else np.int64)
    rows = flat[places].astype(places.dtype) - 1
    return coo_array((np.ones(len(places), dtype=np.bool_), (rows, places)), shape=(n_basins, flat.size)).tocsr()


def _fill(
    out: np.ndarray, basins: np.ndarray, levels: np.ndarray, cutoff: np.uint8, lookup: np.ndarray | None = None
) -> None:
    """Set `out` to the basin, or what `lookup` says of it, where the level is reached; in blocks, on some threads."""
    height, width = out.shape
    rows = max(1, _BLOCK_PIXELS // max(width, 1))
    blocks = [slice(start, start + rows) for start in range(0, height, rows)]
    n_threads = _N_THREADS if len(blocks) >= 4 else 1

    def work(first: int) -> None:
        for block in blocks[first::n_threads]:
            source = basins[block]
            if lookup is not None:
                # mode="clip" spares numpy a buffer of the result; every basin is a valid index.
                source = np.take(lookup, source, out=out[block], mode="clip")
            np.multiply(source, levels[block] >= cutoff, out=out[block])

    # Keyed by process: threads of a pool do not survive a fork.
    futures = [_threads(os.getpid()).submit(work, first) for first in range(1, n_threads)]
    work(0)
    for future in futures:
        future.result()


@cache
def _threads(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, _N_THREADS - 1), thread_name_prefix=f"cellseg-labels-{process}")
