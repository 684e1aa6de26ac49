"""Size, shape, brightness and touched edges of all cells at every level, from tables made in passes over the pixels."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from .filters import ALL, AREA, CIRCULARITY, COMPARE, FRAME, INTENSITY, NONE, SOLIDITY, Filters
from .levels import N_LEVELS
from .shapes import crofton_circularity
from .split import DIAGONAL, STRAIGHT, neighbours

# Tangents of the polygon that stands for a cell's convex hull: half of them, the others lie opposite.
_HALF = 16
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
    """What filters compare, at any level; each table is made when it is first asked for.

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
    """

    def __init__(
        self,
        levels: np.ndarray,
        basins: np.ndarray,
        areas: np.ndarray,
        image: np.ndarray | None = None,
    ) -> None:
        self._levels, self._basins, self._areas = levels, basins, areas
        self.image = image

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
            values = areas if one.measure == AREA else self.values(one.measure)[level][..., basins]
            passing &= COMPARE[one.sign](values, one.value)
        if filters.edges != ALL:
            passing &= ~self.touches(level, filters.edges)[..., basins]
        return passing

    def renumbered(self, basins: np.ndarray, areas: np.ndarray, source: np.ndarray) -> Traits:
        """Return the traits of the same cells with other ids; entry i of `source` is the place of the new cell i."""
        other = Traits(self._levels, basins, areas, self.image)
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

    def touches(self, level: Levels, edges: str) -> np.ndarray:
        """Which cells touch the edges that a rule leaves out, bool (n,) or (levels, n)."""
        highest = self._at_edges[FRAME if edges == FRAME else NONE]
        return np.asarray(highest >= np.asarray(np.arange(N_LEVELS)[level])[..., None])

    @cached_property
    def _at_edges(self) -> dict[str, np.ndarray]:
        """Highest level of each basin on the edges that a rule leaves out, int16 (n,); -1 where it does not reach."""
        highest = np.full((4, self._areas.shape[1] + 1), -1, dtype=np.int16)
        for row, axis, end in zip(highest, (0, 1, 0, 1), (0, 0, -1, -1), strict=True):
            if self._basins.size:
                basins, levels = (of.take(end, axis) for of in (self._basins, self._levels))
                np.maximum.at(row, basins, levels.astype(np.int16))
        return {FRAME: highest[2:, 1:].max(axis=0), NONE: highest[:, 1:].max(axis=0)}

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
        return np.divide(sums, numbers, out=np.full(sums.shape, np.nan), where=numbers > 0)

    @cached_property
    def _solidity(self) -> np.ndarray:
        """Area divided by that of the polygon of all tangents; a pixel is the square between the middles of its sides.

        Tangents are known at every level at once, because a cell's reach in any direction only grows as the level
        falls. The polygon is at most 0.4 % larger than a round hull.
        """
        n, step = self._areas.shape[1], math.pi / _HALF
        inside = np.flatnonzero(self._basins)
        basin = self._basins.ravel()[inside].astype(np.intp) - 1
        cells = self._levels.ravel()[inside].astype(np.intp) * n + basin
        order = np.argsort(cells, kind="stable")
        cells, basin, inside = cells[order], basin[order], inside[order]
        first = np.flatnonzero(np.diff(cells, prepend=-1))
        # Counted from a pixel of its own cell, a place is a small number, for which four bytes are enough.
        own = np.zeros(n, dtype=np.intp)
        own[basin] = inside
        width = max(self._basins.shape[1], 1)
        y, x = (
            (place - start[basin]).astype(np.float32)
            for place, start in zip(divmod(inside, width), divmod(own, width), strict=True)
        )

        def reach(values: np.ndarray, half: Any) -> np.ndarray:
            """How far the cells reach one way, (256, n)."""
            table = np.full((N_LEVELS, n), -np.inf)
            if len(first):
                table.ravel()[cells[first]] = np.maximum.reduceat(values, first) + half
            return np.maximum.accumulate(table[::-1], axis=0)[::-1]

        # Sides at the reaches h, with an angle between them, span (sum of h h_next - cos sum of h²) / sin.
        twice = np.zeros((N_LEVELS, n))
        start: list[np.ndarray] = []
        before: list[np.ndarray] = []
        with np.errstate(invalid="ignore", divide="ignore"):
            for k in range(_HALF):
                sine, cosine = np.float32(math.sin(k * step)), np.float32(math.cos(k * step))
                along, half = y * sine + x * cosine, max(abs(sine), abs(cosine)) / 2
                ends = [reach(along, half), reach(-along, half)]
                for end in ends:
                    twice -= math.cos(step) * end**2
                for one, end in zip(before, ends, strict=bool(before)):
                    twice += one * end
                start, before = start or ends, ends
            for one, end in zip(before, start[::-1], strict=True):
                twice += one * end
            share = self._areas * math.sin(step) / twice
        return np.minimum(np.where(self._areas > 0, share, np.nan), 1.0)
