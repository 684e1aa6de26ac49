"""Cells at any threshold and minimum size, fast enough for a slider.

A basin is one cell. At a threshold, a cell is the pixels of its basin whose probability reaches the
threshold; it is kept when that area reaches the minimum size. Raising the threshold shrinks a cell or drops it and
never splits it, so the count can only fall as either slider rises, and a cell keeps its id.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np

from ..imaging.regions import Region
from .basin_pixels import BasinPixels
from .filling import array_for_labels, fill
from .filters import NO_FILTERS, Filters
from .levels import N_LEVELS, at_least, quantize, threshold_level
from .params import SplitParams
from .prediction import Prediction
from .split import split
from .traits import Traits, areas_by_level

_ERASE_PART = 12  # erasing up to a 12th of the image pixel by pixel is faster than looking up every pixel


class Instances:
    """A prediction split once; labels and counts for any threshold and minimum size.

    A pixel belongs to the cell of its basin when level(probability) >= level(threshold), where `quantize` rounds both
    to 256 levels: every pixel that reaches the threshold belongs, and none that lies more than 1/255 below it. Basins
    end at the floor of the split, so a threshold below the floor gives what the floor gives. A cell is kept when its
    area is at least ``max(min_size, 1)`` pixels, and when it passes the filters.

    The object never changes and can be read from several threads.

    Parameters
    ----------
    probability : numpy.ndarray
        Foreground probability, float (Y, X), 0 to 1.
    basins : numpy.ndarray
        Whole numbers (Y, X), 0 = no cell, 1 to n = cells, as `split` returns them.

    Attributes
    ----------
    filters : Filters
        Which other cells are not kept; none at first, see `filtered`.
    pixels : BasinPixels
        The pixels of every basin.

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
        self._areas = _frozen(areas_by_level(self.levels, self.basins, self.n_basins))
        self.pixels = BasinPixels(self.levels, self.basins, self.n_basins)
        unchanged = np.flatnonzero((self._areas == self._areas[0]).all(axis=1))
        self._first_level = int(unchanged[-1]) if self.n_basins else 0
        self.filters = NO_FILTERS
        self.traits = Traits(self.levels, self.basins, self._areas)

    @classmethod
    def from_prediction(cls, prediction: Prediction, params: SplitParams | None = None) -> Instances:
        """Split a prediction, unless its network did, and build its instances."""
        basins = prediction.basins
        if basins is None:
            basins = split(prediction.probability, prediction.distance, params)
        return cls(prediction.probability, basins)

    def filtered(self, filters: Filters, image: np.ndarray | None = None, field: Region | None = None) -> Instances:
        """Return the same instances with other filters; no pixel is copied.

        Parameters
        ----------
        filters : Filters
        image : numpy.ndarray, optional
            Raw, (Y, X) or (Y, X, 3): what filters by intensity measure. It need be given once only.
        field : tuple of slice, optional
            Of a part of an image: where all of it lies, see `Traits`.
        """
        unknown = (image is not None and self.traits.image is None) or field is not None
        if filters == self.filters and not unknown:
            return self
        other = copy.copy(self)
        other.filters = filters
        if unknown:
            other.traits = Traits(self.levels, self.basins, self._areas, image, field)
        return other

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (Y, X) in pixels."""
        height, width = self.basins.shape
        return height, width

    @cached_property
    def core_levels(self) -> np.ndarray:
        """Level from which a pixel belongs to its basin's core, the brightest half of it; uint8 (n_basins,)."""
        areas = self._areas.astype(np.int64)
        return _frozen((np.count_nonzero(2 * areas >= areas[0], axis=0) - 1).astype(np.uint8))

    @cached_property
    def centroids(self) -> np.ndarray:
        """Centre (Y, X) of every basin in pixels, float64 (n_basins, 2); NaN where no basin has the id."""
        rows, columns = np.divmod(self.pixels.all, max(self.shape[1], 1))
        basin = self.basins.reshape(-1)[self.pixels.all]
        area = np.bincount(basin, minlength=self.n_basins + 1)[1:].astype(np.float64)
        area[area == 0] = np.nan
        sums = [np.bincount(basin, weights=place, minlength=self.n_basins + 1)[1:] for place in (rows, columns)]
        return _frozen(np.stack(sums, axis=1) / area[:, None])

    def pixels_of(self, basin: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of a basin's pixels at any probability; empty if no basin has the id."""
        if not 1 <= basin <= self.n_basins:
            nothing = np.zeros(0, dtype=np.intp)
            return nothing, nothing
        rows, columns = np.divmod(self.pixels.of_basin(basin).astype(np.intp), self.shape[1])
        return rows, columns

    def areas_at(self, level: int) -> np.ndarray:
        """Area in pixels of every cell at one of the 256 levels, int64 (n_basins,)."""
        return self._areas[level].astype(np.int64)

    def has(self, basin: int) -> bool:
        """Whether a basin has this id."""
        return 1 <= basin <= self.n_basins and self.area_of(basin, 0) > 0

    def area_of(self, basin: int, level: int) -> int:
        """Area in pixels of one cell at one of the 256 levels."""
        return int(self._areas[level, basin - 1])

    def areas_by_level(self, basins: np.ndarray) -> np.ndarray:
        """Number of pixels of these basins at or above each of the 256 levels, int64 (256, n)."""
        return self._areas[:, np.asarray(basins, dtype=np.intp) - 1].astype(np.int64)

    def renumbered(self, taken: Iterable[int]) -> Instances:
        """Return the same instances with other ids for the basins that have one of the `taken` ids.

        The new ids are above all others, and the old ones stay without pixels. If no id clashes, the object itself is
        returned.
        """
        given = np.unique(np.fromiter(taken, dtype=np.int64))
        inside = given[(given >= 1) & (given <= self.n_basins)]
        clashing = inside[self._areas[0][inside - 1] > 0]
        if not len(clashing):
            return self
        top = max(self.n_basins, int(given[-1]))
        n_basins = top + len(clashing)
        lookup = np.arange(self.n_basins + 1, dtype=np.uint16 if n_basins <= 65535 else np.int32)
        lookup[clashing] = np.arange(top + 1, n_basins + 1)
        # Entry i: the present basin that gets the id i + 1; the last row stands for none.
        source = np.full(n_basins, self.n_basins, dtype=np.intp)
        source[: self.n_basins] = np.arange(self.n_basins)
        source[clashing - 1] = self.n_basins
        source[top:] = clashing - 1
        other = object.__new__(Instances)
        other.n_basins, other.dtype = n_basins, lookup.dtype
        other.basins, other.levels = _frozen(np.take(lookup, self.basins)), self.levels
        other._areas = _frozen(np.pad(self._areas, ((0, 0), (0, 1)))[:, source])
        other.pixels = self.pixels.renumbered(other.basins, source)
        other._first_level, other.filters = self._first_level, self.filters
        other.traits = self.traits.renumbered(other.basins, other._areas, source)
        if "centroids" in self.__dict__:
            other.__dict__["centroids"] = _frozen(
                np.pad(self.centroids, ((0, 1), (0, 0)), constant_values=np.nan)[source]
            )
        return other

    def areas(self, threshold: float) -> np.ndarray:
        """Area in pixels of every cell at a threshold, int64 (n_basins,); entry i is the cell of id i + 1."""
        return self.areas_at(threshold_level(threshold))

    def keep(self, threshold: float, min_size: int = 0) -> np.ndarray:
        """Which cells are kept, bool (n_basins,); entry i is the cell of id i + 1."""
        level = threshold_level(threshold)
        return self.keep_of(level, self._areas[level], min_size)

    def keep_of(self, level: int | slice, areas: np.ndarray, min_size: int, basins: Any = slice(None)) -> np.ndarray:
        """Which cells are kept at a level, or at several, that have these areas there; bool, of the shape of `areas`.

        Parameters
        ----------
        level : int or slice
        areas : numpy.ndarray
            In pixels.
        min_size : int
        basins : slice or numpy.ndarray
            Of which cells: their ids less one. By default all.
        """
        keep = areas >= at_least(min_size)
        return keep & self.traits.passes(self.filters, level, areas, basins) if self.filters else keep

    def ids(self, threshold: float, min_size: int = 0) -> np.ndarray:
        """Ids of the kept cells, ascending, int64."""
        return np.flatnonzero(self.keep(threshold, min_size)) + 1

    def count(self, threshold: float, min_size: int = 0) -> int:
        """Number of kept cells, equal to the number of ids in `labels`; no pixel is touched."""
        return int(np.count_nonzero(self.keep(threshold, min_size)))

    def count_curve(self, min_size: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Count at every threshold that can differ, from the lowest probability in a cell to 1.

        Returns
        -------
        thresholds : numpy.ndarray
            float64, ascending, steps of 1/255. Below the first one the count is that of the first one.
        counts : numpy.ndarray
            int64, never increasing unless there are filters; ``counts[i] == count(thresholds[i], min_size)``.
        """
        levels = np.arange(self._first_level, N_LEVELS)
        known = slice(self._first_level, N_LEVELS)
        counts = np.count_nonzero(self.keep_of(known, self._areas[known], min_size), axis=1)
        return levels / (N_LEVELS - 1), counts.astype(np.int64)

    def labels(
        self,
        threshold: float,
        min_size: int = 0,
        region: Region | None = None,
        out: np.ndarray | None = None,
        keep: np.ndarray | None = None,
    ) -> np.ndarray:
        """Label image: the id of its cell at every pixel, 0 elsewhere.

        Parameters
        ----------
        threshold : float
            Probability, 0 to 1.
        min_size : int
            Smallest area in pixels, measured on the whole cell even if only a region is requested.
        region : tuple of slice, optional
            (rows, columns) to compute; default the whole image.
        out : numpy.ndarray, optional
            Array of the region's shape and of `dtype` that is filled and returned; it may have a wider type if `keep`
            is given.
        keep : numpy.ndarray, optional
            Which cells are kept, bool (n_basins,), instead of those of at least `min_size` that pass the filters.

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
        dtype = self.dtype if keep is None or out is None else out.dtype
        keep = self.keep_of(level, area, min_size) if keep is None else keep
        basins, levels = (self.basins, self.levels) if region is None else (self.basins[region], self.levels[region])
        out = array_for_labels(basins.shape, dtype, out)
        # A cell without a pixel at this level disappears by itself.
        dropped = np.flatnonzero(~keep & (area > 0))
        n_dropped = int(self._areas[0][dropped].sum(dtype=np.int64))
        erase = region is None and out.flags.c_contiguous and n_dropped * _ERASE_PART <= out.size
        if len(dropped) == 0 or erase:
            fill(out, basins, levels, np.uint8(level))
            if len(dropped):
                out.reshape(-1)[self.pixels.of_basins(dropped)] = 0
        else:
            lookup = np.zeros(self.n_basins + 1, dtype=dtype)
            lookup[1:][keep] = np.flatnonzero(keep) + 1
            fill(out, basins, levels, np.uint8(level), lookup)
        return out


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
