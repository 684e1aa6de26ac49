"""Size, shape, brightness and touched edges of all cells at every level, from tables made in passes over the pixels."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ..imaging.regions import Region, whole
from .filters import ALL, AREA, CIRCULARITY, COMPARE, INTENSITY, NONE, SOLIDITY, Filters
from .hulls import hull_areas, hull_areas_by_level
from .levels import N_LEVELS
from .shapes import crofton_circularity
from .split import DIAGONAL, STRAIGHT, neighbours

Levels = int | slice


def areas_by_level(levels: np.ndarray, basins: np.ndarray, n_basins: int) -> np.ndarray:
    """Pixels of each basin at or above each level: unsigned (256, n_basins), one row per level."""
    inside = basins > 0
    cells = levels[inside].astype(np.intp) * n_basins + basins[inside] - 1
    histogram = np.bincount(cells, minlength=N_LEVELS * n_basins).reshape(N_LEVELS, n_basins)
    total = histogram.sum(axis=0).max(initial=0)
    narrow = histogram.astype(np.uint16 if total <= 65535 else np.uint32)
    return np.cumsum(narrow[::-1], axis=0, dtype=narrow.dtype)[::-1]


class Traits:
    """The measures that filters compare, at any level; each table is made when it is first asked for.

    Parameters
    ----------
    levels : numpy.ndarray
        uint8 (Y, X).
    basins : numpy.ndarray
        Whole numbers (Y, X), 0 = no cell, 1 to n.
    areas : numpy.ndarray
        Pixels of each basin at or above each level, (256, n).
    image : numpy.ndarray, optional
        Raw, (Y, X), or (Y, X, 3) of which the mean of the channels is taken.
    field : tuple of slice, optional
        Where the whole image lies in pixels of this part of it, for the rules for edges; by default this is all of it.
    """

    def __init__(
        self,
        levels: np.ndarray,
        basins: np.ndarray,
        areas: np.ndarray,
        image: np.ndarray | None = None,
        field: Region | None = None,
    ) -> None:
        self._levels, self._basins, self._areas = levels, basins, areas
        self.image = image
        self._field = whole(basins.shape) if field is None else field
        self._at_edges: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {}
        self._solidity_at: tuple[int, np.ndarray] | None = None

    def knows(self, filters: Filters) -> bool:
        """Whether filters can be compared at any level without a table that takes seconds to make."""
        return "_solidity" in self.__dict__ or all(one.measure != SOLIDITY for one in filters.bounds)

    def passes(self, filters: Filters, level: Levels, areas: np.ndarray, basins: Any = slice(None)) -> np.ndarray:
        """Which cells pass all filters at a level, or at each of several.

        Parameters
        ----------
        filters : Filters
        level : int or slice
        areas : numpy.ndarray
            Area in pixels of these cells there.
        basins : slice or numpy.ndarray
            Places of these cells in the tables, their id less one.

        Returns
        -------
        numpy.ndarray
            Bool, of the shape of `areas`.
        """
        passing = np.ones(areas.shape, dtype=bool)
        for one in filters.bounds:
            values = areas if one.measure == AREA else self._values_at(one.measure, level)[..., basins]
            passing &= COMPARE[one.sign](values, one.value)
        if filters.edges != ALL:
            passing &= self.counts_at_edges(level, filters)[..., basins]
        return passing

    def renumbered(self, basins: np.ndarray, areas: np.ndarray, source: np.ndarray) -> Traits:
        """Return the traits of the same cells with other ids; entry i of `source` is the place of the new cell i."""
        other = Traits(self._levels, basins, areas, self.image, self._field)
        for name in ("_circularity", "_intensity", "_solidity"):
            if name in self.__dict__:
                table = np.pad(getattr(self, name), ((0, 0), (0, 1)), constant_values=np.nan)
                other.__dict__[name] = table[:, source]
        return other

    def values(self, measure: str) -> np.ndarray:
        """A measurement of every cell at every level, float64 (256, n) but areas; NaN where there is no cell."""
        if measure == CIRCULARITY:
            return self._circularity
        if measure == SOLIDITY:
            return self._solidity
        return self._intensity if measure == INTENSITY else self._areas

    def _values_at(self, measure: str, level: Levels) -> np.ndarray:
        """A measurement of every cell at a level, or at several."""
        if measure != SOLIDITY or isinstance(level, slice) or "_solidity" in self.__dict__:
            return self.values(measure)[level]
        # One level takes a hundredth of what all take.
        if self._solidity_at is None or self._solidity_at[0] != level:
            hulls = hull_areas(np.where(self._levels >= level, self._basins, 0), self._areas.shape[1])
            self._solidity_at = level, _shares(self._areas[level], hulls)
        return self._solidity_at[1]

    def counts_at_edges(self, level: Levels, filters: Filters) -> np.ndarray:
        """Which cells the rule for edges counts, bool (n,) or (levels, n)."""
        inside, beyond = self._reach(filters)
        at = np.asarray(np.arange(N_LEVELS)[level])[..., None]
        return np.asarray((inside >= at) & (beyond < at))

    def _reach(self, filters: Filters) -> tuple[np.ndarray, np.ndarray]:
        """Highest level of each basin in the frame, and beyond the lines that leave cells out; int16 (n,), -1 of none.

        Those of the counting frame are its right edge and what prolongs it upwards, its bottom edge, and what prolongs
        its left edge downwards (Gundersen 1977): so frames that adjoin each other count every cell once.
        """
        key = filters.edges, filters.guard
        if key in self._at_edges:
            return self._at_edges[key]
        (top, bottom), (left, right) = ((part.start, part.stop) for part in self._field)
        y, x = (np.arange(n) for n in self._basins.shape)
        if filters.edges == NONE:
            rows, columns = (y == top) | (y == bottom - 1), (x == left) | (x == right - 1)
            beyond = rows[:, None] | columns
        else:
            # Without a guard, nothing is known beyond the last row and column: a cell that touches them goes on there.
            low, far = (end - max(filters.guard, 1) for end in (bottom, right))
            beyond = (x >= far) | ((y >= low)[:, None] & (x >= left + filters.guard))
        inside = np.full(self._areas.shape[1], N_LEVELS, dtype=np.int16)
        if filters.guard:
            first, last = (y >= top + filters.guard) & (y < low), (x >= left + filters.guard) & (x < far)
            inside = self._highest(first[:, None] & last)
        self._at_edges[key] = inside, self._highest(beyond)
        return self._at_edges[key]

    def _highest(self, where: np.ndarray) -> np.ndarray:
        """Highest level of each basin in a part of the image, int16 (n,); -1 where it does not reach it."""
        highest = np.full(self._areas.shape[1] + 1, -1, dtype=np.int16)
        np.maximum.at(highest, self._basins[where], self._levels[where].astype(np.int16))
        return highest[1:]

    @cached_property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Sums of rows, and of columns, of the pixels of every cell at every level, float64 (256, n) each."""
        n = self._areas.shape[1]
        inside = np.flatnonzero(self._basins)
        cells = self._levels.ravel()[inside].astype(np.intp) * n + self._basins.ravel()[inside] - 1
        rows, columns = (
            np.bincount(cells, place, N_LEVELS * n).reshape(N_LEVELS, n)[::-1].cumsum(axis=0)[::-1]
            for place in np.divmod(inside, max(self._basins.shape[1], 1))
        )
        return rows, columns

    @cached_property
    def _circularity(self) -> np.ndarray:
        straight, diagonal = (sum(self._pairs(*step) for step in steps) for steps in (STRAIGHT, DIAGONAL))
        return np.asarray(crofton_circularity(self._areas.astype(np.float64), straight, diagonal))

    def _pairs(self, dy: int, dx: int) -> np.ndarray:
        """Pairs of neighbouring pixels of one basin, both at or above each level, int64 (256, n)."""
        here, there = neighbours(dy, dx)
        basins = np.where(self._basins[here] == self._basins[there], self._basins[here], 0)
        lower = np.minimum(self._levels[here], self._levels[there])
        return areas_by_level(lower, basins, self._areas.shape[1]).astype(np.int64)

    @cached_property
    def _intensity(self) -> np.ndarray:
        if self.image is None:
            raise ValueError("These cells have no image, so they can't be filtered by intensity.")
        inside = np.flatnonzero(self._basins)
        pixels = self.image.reshape(self._basins.size, -1)[inside].astype(np.float64)
        with np.errstate(invalid="ignore"):
            values = pixels[:, 0] if pixels.shape[1] == 1 else pixels.mean(axis=1)
        inside, values = inside[np.isfinite(values)], values[np.isfinite(values)]
        n = self._areas.shape[1]
        cells = self._levels.ravel()[inside].astype(np.intp) * n + self._basins.ravel()[inside] - 1
        numbers, sums = (
            np.bincount(cells, weights, N_LEVELS * n).reshape(N_LEVELS, n)[::-1].cumsum(axis=0)[::-1]
            for weights in (None, values)
        )
        return _shares(sums, numbers)

    @cached_property
    def _solidity(self) -> np.ndarray:
        return _shares(self._areas, hull_areas_by_level(self._levels, self._basins, self._areas.shape[1]))


def _shares(areas: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Areas divided by others; NaN where these are 0."""
    return np.divide(areas, of, out=np.full(of.shape, np.nan), where=of > 0)
