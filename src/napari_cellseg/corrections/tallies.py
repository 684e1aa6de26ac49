"""Areas, centres and boxes of edited cells, kept up to date with every patch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..imaging.regions import Region, union
from ..instances.measure import number_ids


@dataclass
class _Tally:
    area: int = 0
    sum_y: int = 0
    sum_x: int = 0


class Tallies:
    """Numbers of pixels that edited cells have, and where; claims are those of `Corrections.claims`."""

    def __init__(self) -> None:
        self._tallies: dict[int, _Tally] = {}
        self._boxes: dict[int, Region] = {}

    def area(self, id_: int) -> int:
        """Pixels of an edited cell; 0 for any other."""
        return self._tallies.get(id_, _Tally()).area

    def centroid(self, id_: int) -> tuple[float, float]:
        """Centre (Y, X) in pixels of an edited cell; NaN for any other."""
        tally = self._tallies.get(id_, _Tally())
        if tally.area == 0:
            return float("nan"), float("nan")
        return tally.sum_y / tally.area, tally.sum_x / tally.area

    def box(self, id_: int) -> Region | None:
        """Region that holds all pixels ever claimed for a cell or erased from it; None if there are none."""
        return self._boxes.get(id_)

    def count(self, claims: np.ndarray, rows: np.ndarray, columns: np.ndarray, sign: int) -> None:
        """Count the pixels that each cell gains (1) or loses (-1), and grow the boxes."""
        known = claims != 0
        claims, rows, columns = claims[known], rows[known], columns[known]
        ids, place = number_ids(np.abs(claims))
        n, shown = len(ids), claims > 0
        area = np.bincount(place, weights=shown, minlength=n)
        sum_y, sum_x = (np.bincount(place, weights=where * shown, minlength=n) for where in (rows, columns))
        lows, highs = [], []
        for where in (rows, columns):
            lows.append(np.full(n, np.iinfo(np.intp).max))
            highs.append(np.zeros(n, dtype=np.intp))
            np.minimum.at(lows[-1], place, where)
            np.maximum.at(highs[-1], place, where)
        boxes = np.stack([*lows, *highs], axis=1).tolist()
        for i, id_ in enumerate(ids.tolist()):
            if area[i]:
                tally = self._tallies.setdefault(id_, _Tally())
                tally.area += sign * round(area[i])
                tally.sum_y += sign * round(sum_y[i])
                tally.sum_x += sign * round(sum_x[i])
            if sign > 0:
                top, left, bottom, right = boxes[i]
                box = (slice(top, bottom + 1), slice(left, right + 1))
                self._boxes[id_] = union(self._boxes.get(id_), box)
