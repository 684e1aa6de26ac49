"""Cells as they are shown: corrections over automatic cells.

There are two rules. A pixel that the user decided on is shown as the user left it. An automatic cell whose core (the
brighter half of its basin) is covered by the footprint of corrections by more than half is not shown, at any threshold:
else a ring would appear around an edited or erased cell as the threshold falls. Neither rule depends on the sliders,
so counts still only fall as either slider rises.
"""

from __future__ import annotations

import copy

import numpy as np

from ..imaging.regions import (
    Region,
    box_of_pixels,
    is_empty,
    mask_of_pixels,
    plain_region,
    shape_of,
    union,
    within,
)
from ..instances.filling import array_for_labels
from ..instances.filters import Filters
from ..instances.levels import N_LEVELS, threshold_level
from ..instances.live import Instances
from .claims import Corrections
from .confirmed import confirmed_area
from .run_lengths import Runs
from .touched_basins import TouchedBasins

_SPARE_IDS = 5_000


class CorrectedInstances:
    """Automatic cells with the user's corrections over them, read like `Instances`.

    The object follows the corrections as they change, at a cost that depends on the size of the change only. It can be
    read from several threads.

    Parameters
    ----------
    instances : Instances
        Basins whose ids clash with edited cells get new ids: read `instances` from this object afterwards.
    corrections : Corrections

    Raises
    ------
    ValueError
        When the shapes differ.
    """

    def __init__(self, instances: Instances, corrections: Corrections) -> None:
        if instances.shape != corrections.shape:
            raise ValueError(f"instances are {instances.shape} but corrections {corrections.shape}; give one image's.")
        self.corrections = corrections
        with corrections.lock:
            self.instances = instances.renumbered(corrections.taken_ids)
            n = self.instances.n_basins
            self._spare = n + len(corrections.taken_ids) + _SPARE_IDS
            self._touched = TouchedBasins(self.instances)
            for region in self._footprint_regions():
                nothing = np.zeros(shape_of(region), dtype=np.int32)
                self.on_claims(region, nothing, nothing.astype(bool))
            self._watching: CorrectedInstances | None = None
            corrections.watch(self)

    def filtered(self, filters: Filters) -> CorrectedInstances:
        """Return the same cells with other filters; both follow the corrections."""
        if filters == self.instances.filters:
            return self
        other = copy.copy(self)
        other.instances = self.instances.filtered(filters)
        # The one that follows the corrections lives as long as those that read what it found.
        other._watching = self._watching or self
        return other

    @property
    def last_region(self) -> Region:
        """Where the last correction may have changed something."""
        return self._touched.last_region

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (Y, X) in pixels."""
        return self.instances.shape

    @property
    def n_basins(self) -> int:
        """Highest id of an automatic cell."""
        return self.instances.n_basins

    @property
    def top_id(self) -> int:
        """Highest id that `labels` can hold now."""
        return max(self.instances.n_basins, self.corrections.top_id)

    @property
    def dtype(self) -> np.dtype:
        """Type of `labels`: uint16 while the ids fit, with room for some thousand more; then int32."""
        return np.dtype(np.uint16 if max(self._spare, self.top_id) <= 65535 else np.int32)

    def fresh_id(self) -> int:
        """Return an id that no cell has or had."""
        return self.top_id + 1

    def areas(self, threshold: float) -> np.ndarray:
        """Area in pixels of every cell at a threshold, int64 (top_id,); entry i is the cell of id i + 1."""
        with self.corrections.lock:
            areas = np.zeros(self.top_id, dtype=np.int64)
            areas[: self.n_basins] = self._touched.areas(threshold_level(threshold))
            ids, owned = self.corrections.areas()
            areas[ids - 1] = owned
            return areas

    def keep(self, threshold: float, min_size: int = 0) -> np.ndarray:
        """Which cells are shown, bool (top_id,); entry i is the cell of id i + 1.

        Edited cells are always kept, whatever their size and whatever the filters are.
        """
        with self.corrections.lock:
            keep = np.zeros(self.top_id, dtype=bool)
            keep[: self.n_basins] = self.keep_automatic(threshold, min_size)
            ids, areas = self.corrections.areas()
            keep[ids - 1] = areas > 0
            return keep

    def is_shown(self, ids: np.ndarray, threshold: float, min_size: int = 0) -> np.ndarray:
        """Which of these ids are shown, bool; no table of all cells is read."""
        with self.corrections.lock:
            level = threshold_level(threshold)
            shown = np.zeros(len(ids), dtype=bool)
            for place, id_ in enumerate(np.asarray(ids).tolist()):
                if id_ in self.corrections:
                    shown[place] = self.corrections.area(id_) > 0
                elif 1 <= id_ <= self.n_basins and not self.hides(id_):
                    area = self.instances.area_of(id_, level) - self._touched.claimed(id_, level)
                    place_of = np.array([id_ - 1])
                    shown[place] = self.instances.keep_of(level, np.array([area]), min_size, place_of)[0]
            return shown

    def ids(self, threshold: float, min_size: int = 0) -> np.ndarray:
        """Ids of the shown cells, ascending, int64."""
        return np.flatnonzero(self.keep(threshold, min_size)) + 1

    def count(self, threshold: float, min_size: int = 0) -> int:
        """Number of shown cells, equal to the number of ids in `labels`."""
        with self.corrections.lock:
            return int(np.count_nonzero(self.keep_automatic(threshold, min_size))) + self._n_owned()

    def count_curve(self, min_size: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Count at every threshold that can differ; see `Instances.count_curve`."""
        with self.corrections.lock:
            thresholds, counts = self.instances.count_curve(min_size)
            change = self._touched.change_of_count(self.instances, min_size)
            return thresholds, counts + change[N_LEVELS - len(counts) :] + self._n_owned()

    def labels(
        self,
        threshold: float,
        min_size: int = 0,
        region: Region | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Label image: the id of its cell at every pixel, 0 elsewhere.

        Parameters and errors are those of `Instances.labels`.
        """
        with self.corrections.lock:
            part = plain_region(region, self.shape)
            out = array_for_labels(shape_of(part), self.dtype, out)
            keep = self.keep_automatic(threshold, min_size)
            self.instances.labels(threshold, min_size, None if region is None else part, out, keep)
            for tile in self.corrections.claimed_tiles(part):
                claims, shown = self.corrections.claims(tile), out[within(tile, part)]
                np.copyto(shown, np.maximum(claims, 0), where=claims != 0, casting="unsafe")
            return out

    def is_owned(self, ids: np.ndarray) -> np.ndarray:
        """Which of these ids belong to edited cells, bool."""
        return np.isin(np.asarray(ids), self.corrections.areas()[0])

    def centroids(self, ids: np.ndarray) -> np.ndarray:
        """Centres (Y, X) of these cells for their numbers, float64 (n, 2): of the basin, or of the edited cell."""
        ids = np.asarray(ids, dtype=np.int64)
        with self.corrections.lock:
            centres = np.full((len(ids), 2), np.nan)
            automatic = (ids >= 1) & (ids <= self.n_basins)
            centres[automatic] = self.instances.centroids[ids[automatic] - 1]
            for place in np.flatnonzero(self.is_owned(ids)):
                centres[place] = self.corrections.centroid(int(ids[place]))
            return centres

    def centroids_at(self, ids: np.ndarray, threshold: float) -> np.ndarray:
        """Centres (Y, X) of cells as they are shown at a threshold, float64 (n, 2); NaN without a pixel."""
        ids, level = np.asarray(ids, dtype=np.int64), threshold_level(threshold)
        with self.corrections.lock:
            centres = np.full((len(ids), 2), np.nan)
            automatic = (ids >= 1) & (ids <= self.n_basins)
            places = ids[automatic] - 1
            areas = self.instances.areas_at(level)[places]
            sums = np.stack([of[level, places] for of in self.instances.traits.places], axis=1)
            centres[automatic] = np.divide(
                sums, areas[:, None], out=np.full(sums.shape, np.nan), where=areas[:, None] > 0
            )
            touched = np.isin(ids, self._touched.basins_claimed(level))
            owned = self.is_owned(ids)
            for place in np.flatnonzero(touched & ~owned):
                (rows, columns), mask = self.mask_of(int(ids[place]), threshold)
                inside = np.add(np.argwhere(mask), (rows.start, columns.start))
                # As `measure` does it, to the last bit.
                centres[place] = inside.sum(axis=0) / len(inside) if len(inside) else np.nan
            for place in np.flatnonzero(owned):
                centres[place] = self.corrections.centroid(int(ids[place]))
            return centres

    def mask_of(self, id_: int, threshold: float) -> tuple[Region, np.ndarray]:
        """Region of a cell at a threshold and a bool mask of its pixels; both empty if there is no such cell."""
        with self.corrections.lock:
            if id_ in self.corrections:
                box = self.corrections.box(id_) or (slice(0, 0), slice(0, 0))
                rows, columns = np.nonzero(self.corrections.claims(box) == id_)
                rows, columns = rows + box[0].start, columns + box[1].start
            elif self.hides(id_):
                rows = columns = np.zeros(0, dtype=np.intp)
            else:
                rows, columns = self.instances.pixels_of(id_)
                shown = self.instances.levels[rows, columns] >= threshold_level(threshold)
                shown &= self.corrections.claims()[rows, columns] == 0
                rows, columns = rows[shown], columns[shown]
            return mask_of_pixels(rows, columns)

    def box_of(self, id_: int, threshold: float) -> Region | None:
        """Smallest region around a cell at a threshold; None if there is no such cell."""
        region = self.mask_of(id_, threshold)[0]
        return None if is_empty(region) else region

    def at(self, y: int, x: int, threshold: float, min_size: int = 0) -> int:
        """Id of the cell shown at a pixel; 0 for no cell or outside the image."""
        if not (0 <= y < self.shape[0] and 0 <= x < self.shape[1]):
            return 0
        return int(self.labels(threshold, min_size, (slice(int(y), int(y) + 1), slice(int(x), int(x) + 1)))[0, 0])

    def core(self, basin: int) -> Runs:
        """Core of an automatic cell: the brighter half of its basin."""
        rows, columns = self.instances.pixels_of(basin)
        inside = self.instances.levels[rows, columns] >= self.instances.core_levels[basin - 1]
        return Runs.from_array(*mask_of_pixels(rows[inside], columns[inside]))

    def reviewed_area(
        self, threshold: float, min_size: int = 0, region: Region | None = None, margin: int = 8
    ) -> np.ndarray:
        """Where the user confirmed what is shown, bool.

        The area consists of what was marked as reviewed, and of everything within `margin` pixels of an edited or
        erased cell, without the pixels of automatic cells, which are not confirmed.
        """
        part = plain_region(region, self.shape)
        return confirmed_area(self.corrections, lambda near: self.labels(threshold, min_size, near), part, margin)

    def on_claims(self, region: Region, claims: np.ndarray, footprint: np.ndarray) -> None:
        """Follow a change of the corrections; see `Watcher`."""
        basins, levels = self.instances.basins[region], self.instances.levels[region]
        new_claims, new_footprint = self.corrections.claims(region), self.corrections.footprint(region)
        touched: set[int] = set()
        for before, now, count in (
            (claims != 0, new_claims != 0, self._touched.count_claimed),
            (footprint, new_footprint, self._touched.count_covered),
        ):
            changed = (before != now) & (basins > 0)
            signs = np.where(now[changed], 1, -1)
            touched.update(count(basins[changed].astype(np.intp), levels[changed], signs))
        self._touched.last_region = union(
            region, *(box_of_pixels(*self.instances.pixels_of(basin)) for basin in touched)
        )

    def mostly_covered(self, basins: np.ndarray, more: np.ndarray) -> np.ndarray:
        """Which basins, bool, would have most of their core covered if `more` pixels of each were covered, too."""
        covered = np.array([self._touched.covered(basin) for basin in basins.tolist()]) + more
        return 2 * covered > self._touched.core_areas(basins)

    def hides(self, basin: int) -> bool:
        """Whether corrections hide an automatic cell at every threshold."""
        return self._touched.hides(basin)

    def keep_automatic(self, threshold: float, min_size: int) -> np.ndarray:
        """Which automatic cells are shown, bool (n_basins,)."""
        level = threshold_level(threshold)
        return self.instances.keep_of(level, self._touched.areas(level), min_size)

    def _n_owned(self) -> int:
        return int(np.count_nonzero(self.corrections.areas()[1]))

    def _footprint_regions(self) -> list[Region]:
        """Disjoint regions that hold all corrections."""
        ids = [*self.corrections.owned_ids.tolist(), *self.corrections.erased_ids.tolist()]
        cores = [core.region for id_ in ids for core in self.corrections.cell(id_).cores]  # type: ignore[union-attr]
        around = union(*self.corrections.claimed_tiles(), *cores)
        return [] if is_empty(around) else [around]
