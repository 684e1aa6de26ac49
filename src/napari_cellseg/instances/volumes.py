"""Cells of a Z-stack at any threshold and smallest volume, and their measurements.

The rule is that of single planes: basins of neighbouring planes are linked once, and a cell's volume is the sum of its
areas. Raising the threshold shrinks a cell or drops it and never splits it, so the count can only fall as either slider
rises, and a cell keeps its id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from .levels import at_least
from .measure import number_ids

_STATISTICS = ("mean", "min", "max", "std")


class PlaneCells(Protocol):
    """The part of `Instances` that is needed of a plane, with or without corrections."""

    def areas(self, threshold: float) -> np.ndarray:
        """Area of every cell, int64; entry i is the cell of id i + 1."""

    def labels(self, threshold: float, min_size: int = 0) -> np.ndarray:
        """Label image, (Y, X)."""


class Volumes:
    """Linked planes: volumes, counts and labels for any threshold and smallest volume.

    Parameters
    ----------
    planes : sequence of Instances
        All slices in order.
    lookups : sequence of numpy.ndarray
        Results of `Linker.add` for ``planes[i].labels(threshold)`` at one threshold, without a smallest area. Basins
        that have no pixel at that threshold were not linked: they get ids of their own, above the others.

    Raises
    ------
    ValueError
        When the numbers of lookups and planes differ.
    """

    def __init__(self, planes: Sequence[PlaneCells], lookups: Sequence[np.ndarray]) -> None:
        if len(planes) != len(lookups):
            raise ValueError(f"There are {len(planes)} planes but {len(lookups)} lookups; give one for each plane.")
        self._planes = list(planes)
        self._lookups = []
        n = max((int(lookup.max(initial=0)) for lookup in lookups), default=0)
        for plane, lookup in zip(planes, lookups, strict=True):
            areas = plane.areas(0)
            whole = np.zeros(max(len(areas) + 1, len(lookup)), np.int32)
            whole[: len(lookup)] = lookup
            alone = np.flatnonzero((whole[1 : len(areas) + 1] == 0) & (areas > 0)) + 1
            whole[alone] = np.arange(n + 1, n + len(alone) + 1)
            n += len(alone)
            self._lookups.append(whole)
        self.n_linked = n

    @property
    def lookups(self) -> list[np.ndarray]:
        """Table of each plane, local id -> linked id, with the ids of basins that were not linked."""
        return self._lookups

    def volumes(self, threshold: float) -> np.ndarray:
        """Volume in voxels of every cell, int64 (n_linked,); entry i is the cell of id i + 1."""
        total = np.zeros(self.n_linked + 1, np.int64)
        for plane, lookup in zip(self._planes, self._lookups, strict=True):
            areas = plane.areas(threshold)
            # No linked id occurs twice in a plane, except 0 for unused ids.
            total[lookup[1 : len(areas) + 1]] += areas
        return total[1:]

    def keep(self, threshold: float, min_size: int = 0) -> np.ndarray:
        """Which cells have at least `min_size` voxels and at least one, bool (n_linked,)."""
        return self.volumes(threshold) >= at_least(min_size)

    def count(self, threshold: float, min_size: int = 0) -> int:
        """Number of kept cells; no pixel is touched."""
        return int(np.count_nonzero(self.keep(threshold, min_size)))

    def labels(self, place: int, threshold: float, min_size: int = 0) -> np.ndarray:
        """Label image of one plane with linked ids, int32 (Y, X)."""
        lookup = self._lookups[place].copy()
        lookup[~np.concatenate([[True], self.keep(threshold, min_size)])[lookup]] = 0
        return lookup[self._planes[place].labels(threshold, 0)]


def volume_table(
    tables: Sequence[Mapping[str, np.ndarray]],
    lookups: Sequence[np.ndarray],
    min_size: int = 0,
    pixel_size: tuple[float, float] | None = None,
    slice_spacing: float | None = None,
) -> dict[str, np.ndarray]:
    """Combine the measurements of single planes into those of the cells of a Z-stack.

    Parameters
    ----------
    tables : sequence of mapping
        For every slice the columns of `measure`, and of `intensity_columns` if there are any; by local ids.
    lookups : sequence of numpy.ndarray
        Local id -> linked id, for every slice.
    min_size : int
        Smallest volume in voxels.
    pixel_size : tuple of float, optional
        Height and width of a pixel in micrometres.
    slice_spacing : float, optional
        Micrometres from slice to slice.

    Returns
    -------
    dict of str to numpy.ndarray
        One entry per cell in every column, by ascending linked ids: ``index``, ``volume_vox``, ``n_slices``,
        ``first_slice``, ``last_slice``: int64; ``centroid_z`` (slices, the first is 0), ``centroid_y``, ``centroid_x``
        (pixels), ``mean_probability``, ``mean_intensity`` and the intensities of every channel over all voxels:
        float64. A slice on which a cell has no intensity (NaN: no finite pixel) is ignored; the others are weighted
        by their areas. With a pixel size and a spacing ``volume_um3``, ``diameter_um`` (of the ball of equal
        volume) and the centroids in micrometres.
    """
    pool = _Pool(tables, lookups)
    volume = pool.volume
    table: dict[str, np.ndarray] = {"index": pool.index, "volume_vox": volume.astype(np.int64)}
    table["n_slices"] = np.bincount(pool.cell, minlength=len(volume)).astype(np.int64)
    table["first_slice"] = pool.extreme(np.fmin, pool.z).astype(np.int64)
    table["last_slice"] = pool.extreme(np.fmax, pool.z).astype(np.int64)
    table["centroid_z"] = pool.mean(pool.z)
    names = ("mean_probability", "mean_intensity")
    for name in ("centroid_y", "centroid_x", *(name for name in names if tables and name in tables[0])):
        table[name] = pool.mean(pool.column(name))
    for end in _channels(tables):
        of = {what: pool.column(f"intensity_{what}{end}") for what in _STATISTICS}
        average = pool.mean(of["mean"])
        table[f"intensity_mean{end}"] = average
        table[f"intensity_min{end}"] = pool.extreme(np.fmin, of["min"])
        table[f"intensity_max{end}"] = pool.extreme(np.fmax, of["max"])
        table[f"intensity_std{end}"] = np.sqrt(pool.mean(of["std"] ** 2 + (of["mean"] - average[pool.cell]) ** 2))
    if pixel_size is not None and slice_spacing is not None:
        sizes = {"z": slice_spacing, "y": pixel_size[0], "x": pixel_size[1]}
        table["volume_um3"] = volume * (slice_spacing * pixel_size[0] * pixel_size[1])
        table["diameter_um"] = np.cbrt(6 / np.pi * table["volume_um3"])
        table.update({f"centroid_{axis}_um": table[f"centroid_{axis}"] * size for axis, size in sizes.items()})
    kept = (volume >= at_least(min_size)) & (pool.index > 0)
    return {name: values[kept] for name, values in table.items()}


class _Pool:
    """The rows of all slices' tables, and which cell each belongs to; statistics over a cell's rows."""

    def __init__(self, tables: Sequence[Mapping[str, np.ndarray]], lookups: Sequence[np.ndarray]) -> None:
        self._tables = tables
        linked = [lookup[table["index"]] for table, lookup in zip(tables, lookups, strict=True)]
        self.index, self.cell = number_ids(np.concatenate([np.zeros(0, np.int64), *linked]))
        self.z = np.repeat(np.arange(len(tables)), [len(table["index"]) for table in tables])
        self._area = self.column("area_px")
        self.volume = np.bincount(self.cell, self._area, len(self.index))

    def column(self, name: str) -> np.ndarray:
        """Return a column of all slices, float64."""
        return np.concatenate([np.zeros(0), *(np.asarray(table[name], np.float64) for table in self._tables)])

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of each cell over its known values, weighted by their areas; NaN without any."""
        known, n = np.isfinite(values), len(self.index)
        weight = np.bincount(self.cell, self._area * known, n)
        total = np.bincount(self.cell, np.where(known, values * self._area, 0), n)
        return np.divide(total, weight, out=np.full(n, np.nan), where=weight > 0)

    def extreme(self, ufunc: np.ufunc, values: np.ndarray) -> np.ndarray:
        """Return the least or the greatest of each cell's known values by `fmin` or `fmax`; NaN without any."""
        found = np.full(len(self.index), np.nan)
        ufunc.at(found, self.cell, values)
        return found


def _channels(tables: Sequence[Mapping[str, np.ndarray]]) -> list[str]:
    """Suffixes of the column names, one per channel."""
    begin = "intensity_mean"
    return [name.removeprefix(begin) for name in tables[0] if name.startswith(begin)] if tables else []
