"""What corrections take from the automatic cells that they touch: pixels at every level, or the whole cell."""

from __future__ import annotations

import numpy as np

from ..imaging.regions import Region
from ..instances.levels import N_LEVELS
from ..instances.live import Instances
from ..instances.measure import number_ids


class TouchedBasins:
    """Tables with one row for every basin that corrections touch.

    Parameters
    ----------
    instances : Instances
    """

    def __init__(self, instances: Instances) -> None:
        self._instances = instances
        self._row: dict[int, int] = {}
        self._basins = np.zeros(8, dtype=np.intp)
        self._at_level = np.zeros((8, N_LEVELS), dtype=np.int64)
        self._claimed = np.zeros((8, N_LEVELS), dtype=np.int64)
        self._covered = np.zeros(8, dtype=np.int64)
        self._hidden = np.zeros(8, dtype=bool)
        # Where the last correction may have changed something.
        self.last_region: Region = (slice(0, 0), slice(0, 0))

    def areas(self, level: int) -> np.ndarray:
        """Area of every automatic cell at a level without its claimed pixels; 0 for hidden cells."""
        areas = self._instances.areas_at(level)
        n = len(self._row)
        places = self._basins[:n] - 1
        areas[places] = np.where(self._hidden[:n], 0, areas[places] - self._claimed[:n, level])
        return areas

    def change_of_count(self, instances: Instances, min_size: int) -> np.ndarray:
        """How many more automatic cells these instances keep than without corrections, by level."""
        n = len(self._row)
        places = self._basins[:n] - 1
        areas = self._instances.areas_by_level(self._basins[:n])
        now = np.where(self._hidden[:n], 0, areas - self._claimed[:n].T)
        kept, before = (
            np.count_nonzero(instances.keep_of(slice(None), of, min_size, places), axis=1) for of in (now, areas)
        )
        return np.asarray(kept - before)

    def claimed(self, basin: int, level: int) -> int:
        """Number of pixels of a basin at a level that are claimed."""
        row = self._row.get(basin)
        return 0 if row is None else int(self._claimed[row, level])

    def basins_claimed(self, level: int) -> np.ndarray:
        """Basins of which pixels at a level are claimed."""
        n = len(self._row)
        return self._basins[:n][self._claimed[:n, level] > 0]

    def covered(self, basin: int) -> int:
        """Number of pixels of a basin's core in the footprint of corrections."""
        row = self._row.get(basin)
        return 0 if row is None else int(self._covered[row])

    def hides(self, basin: int) -> bool:
        """Whether corrections hide an automatic cell at every threshold."""
        row = self._row.get(basin)
        return row is not None and bool(self._hidden[row])

    def core_areas(self, basins: np.ndarray) -> np.ndarray:
        """Number of pixels in the cores of these basins, int64."""
        basins = np.asarray(basins, dtype=np.intp)
        table = self._instances.areas_by_level(basins)
        return np.asarray(table[self._instances.core_levels[basins - 1], np.arange(len(basins))])

    def count_claimed(self, basins: np.ndarray, levels: np.ndarray, signs: np.ndarray) -> list[int]:
        """Count pixels that were claimed (1) or freed (-1); return the basins that look different now."""
        found, place = number_ids(basins)
        rows = self._rows_of(found)
        np.add.at(self._at_level, (rows[place], levels), signs)
        self._claimed[rows] = self._at_level[rows, ::-1].cumsum(axis=1)[:, ::-1]
        return found.tolist()

    def count_covered(self, basins: np.ndarray, levels: np.ndarray, signs: np.ndarray) -> list[int]:
        """Count pixels that came into the footprint (1) or left it (-1); return the basins that look different now."""
        core = levels >= self._instances.core_levels[basins - 1] if len(basins) else np.zeros(0, dtype=bool)
        found, place = number_ids(basins[core])
        rows = self._rows_of(found)
        np.add.at(self._covered, rows[place], signs[core])
        before = self._hidden[rows]
        self._hidden[rows] = 2 * self._covered[rows] > self.core_areas(found)
        return found[before != self._hidden[rows]].tolist()

    def _rows_of(self, basins: np.ndarray) -> np.ndarray:
        """Return the rows of the tables for these basins; rows are added for new basins."""
        for basin in basins.tolist():
            if basin not in self._row:
                row = self._row[basin] = len(self._row)
                if row == len(self._basins):
                    for name in ("_basins", "_at_level", "_claimed", "_covered", "_hidden"):
                        table = getattr(self, name)
                        setattr(self, name, np.concatenate([table, np.zeros_like(table)]))
                self._basins[row] = basin
        return np.array([self._row[basin] for basin in basins.tolist()], dtype=np.intp)
