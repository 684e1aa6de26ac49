"""How doubtful each cell is, so that the user checks the likely errors first.

The doubt is an estimate of the chance that a cell is wrong: a logistic regression on `cell_parts`, fitted on images
the network was trained on (``doubt.json`` holds the weights and the command that fitted them). Edited cells have no
doubt.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..instances.params import SplitParams
from ..instances.prediction import Prediction
from .cell_parts import MISSED_PARTS, PARTS, cell_parts, missed_parts

if TYPE_CHECKING:
    from ..instances.live import Instances
    from .corrected import CorrectedInstances

WEIGHTS_FILE = Path(__file__).with_name("doubt.json")
YOURS = "yours"
SURE = "looks sure"
NO_DOUBT = 0.05
LOWER = 0.3  # missed cells are searched this far below the threshold
REASONS = {
    "unstable": "its size changes much with the threshold",
    "unsure": "the model is unsure of its pixels",
    "near_minimum": "hardly larger than the smallest size",
    "small": "unusually small",
    "large": "unusually large",
    "dent": "odd outline",
    "edge": "cut off by the edge of the image",
    "touching": "pressed against other cells",
    "two_peaks": "could be two cells",
    "joins": "could be part of a neighbour",
}
_LIMIT = 4.0  # standard deviations: no single part may outweigh all the others


@dataclass(frozen=True, eq=False)
class Doubt:
    """Doubt about every shown cell, and where cells may have been missed.

    Attributes
    ----------
    ids : numpy.ndarray
        int64 (n,), ascending: the shown cells.
    score : numpy.ndarray
        float64 (n,), 0 to 1: estimated chance that the cell is wrong. 0 for edited cells.
    reason : tuple of str
        (n,), in words: the strongest reason to doubt the cell.
    parts : dict of str to numpy.ndarray
        float64 (n,) each: see `cell_parts`; NaN for edited cells.
    missed_ids : numpy.ndarray
        int64 (m,): cells that would appear at a lower threshold or minimum size, the likeliest first.
    missed_score : numpy.ndarray
        float64 (m,), 0 to 1, descending: estimated chance that it is a cell.
    missed_yx : numpy.ndarray
        float64 (m, 2): their centres.
    """

    ids: np.ndarray
    score: np.ndarray
    reason: tuple[str, ...]
    parts: dict[str, np.ndarray]
    missed_ids: np.ndarray
    missed_score: np.ndarray
    missed_yx: np.ndarray

    def order(self) -> np.ndarray:
        """Ids, the most doubtful first; the lower id first among equals."""
        return self.ids[np.argsort(-self.score, kind="stable")]

    def next(self, seen: Collection[int] = ()) -> int | None:
        """Return the most doubtful cell that was neither seen nor edited; None if there is none."""
        done = {int(id_) for id_ in seen}
        for id_ in self.order().tolist():
            if id_ not in done and self.reason_of(id_) != YOURS:
                return int(id_)
        return None

    def score_of(self, id_: int) -> float:
        """Doubt about one cell; NaN for a cell that is not shown."""
        return float(self.column(np.array([id_]))[0])

    def reason_of(self, id_: int) -> str:
        """Reason for the doubt; empty for a cell that is not shown."""
        place = int(np.searchsorted(self.ids, id_))
        return self.reason[place] if place < len(self.ids) and self.ids[place] == id_ else ""

    def column(self, ids: np.ndarray) -> np.ndarray:
        """Doubt about each of `ids`, for a table or for colours; NaN for a cell that is not shown."""
        ids = np.asarray(ids)
        if not len(self.ids):
            return np.full(len(ids), np.nan)
        place = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[place] == ids, self.score[place], np.nan)


def doubt(
    cells: Instances | CorrectedInstances,
    prediction: Prediction,
    split_params: SplitParams | None = None,
    threshold: float = 0.5,
    min_size: int = 0,
) -> Doubt:
    """Estimate for every shown cell the chance that it is wrong.

    It changes nothing and may run in any thread. It takes under half a second for 1024 x 1024.

    Parameters
    ----------
    cells : Instances or CorrectedInstances
    prediction : Prediction
        Prediction from which they were split.
    split_params : SplitParams, optional
        How they were split.
    threshold : float
        Probability, 0 to 1.
    min_size : int
        In pixels.

    Returns
    -------
    Doubt
    """
    if prediction.shape != cells.shape:
        raise ValueError(f"The prediction has shape {prediction.shape} but the cells have {cells.shape}.")
    instances = cast("Instances", getattr(cells, "instances", cells))
    ids = np.asarray(cells.ids(threshold, min_size), dtype=np.int64)
    labels = cells.labels(threshold, min_size)
    owned = _owned(cells, ids)
    automatic = ids[~owned]
    # A basin may be shown in part only, if corrections cover the rest.
    automatic = automatic[np.isin(automatic, labels)] if owned.any() else automatic
    parts = cell_parts(instances, prediction, split_params, threshold, min_size, labels, automatic)
    weights = _weights()
    share = _contributions(parts, weights["cells"], PARTS)
    score = np.zeros(len(ids))
    place = np.searchsorted(ids, automatic)
    score[place] = _chance(share, weights["cells"])
    reason = [YOURS] * len(ids)
    for i, words in zip(place.tolist(), _reasons(share, score[place]), strict=True):
        reason[i] = words
    columns = {name: np.full(len(ids), np.nan) for name in PARTS}
    for name in PARTS:
        columns[name][place] = parts[name]

    faint, below = hidden(cells, threshold, min_size)
    typical = float(np.median(instances.areas(threshold)[automatic - 1])) if len(automatic) else float(max(min_size, 1))
    missed = missed_parts(instances, prediction, typical, min_size, below, faint)
    chance = _chance(_contributions(missed, weights["missed"], MISSED_PARTS), weights["missed"])
    order = np.argsort(-chance, kind="stable")
    where = np.stack([missed["y"], missed["x"]], axis=1)
    return Doubt(ids, score, tuple(reason), columns, faint[order], chance[order], where[order])


def hidden(cells: Instances | CorrectedInstances, threshold: float, min_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the cells that would appear at a threshold lower by `LOWER` and half the size, and the labels at those."""
    lower, smaller = max(threshold - LOWER, 0.0), min_size // 2
    ids = np.setdiff1d(cells.ids(lower, smaller), cells.ids(threshold, min_size)).astype(np.int64)
    ids = ids[~_owned(cells, ids)]
    labels = cells.labels(lower, smaller)
    return ids[np.isin(ids, labels)], labels


def _owned(cells: Instances | CorrectedInstances, ids: np.ndarray) -> np.ndarray:
    is_owned = getattr(cells, "is_owned", None)
    return np.zeros(len(ids), dtype=bool) if is_owned is None else np.asarray(is_owned(ids), dtype=bool)


@cache
def _weights() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(WEIGHTS_FILE.read_text(encoding="utf-8"))
    return values


def standardized(parts: Mapping[str, np.ndarray], names: Collection[str], moments: Mapping[str, Any]) -> np.ndarray:
    """Parts as columns, (n, len(names)): square roots, because they are skewed, in standard deviations, limited."""
    values = np.stack([np.sqrt(np.maximum(parts[name], 0)) for name in names], axis=1)
    mean = np.array([moments[name]["mean"] for name in names])
    spread = np.array([moments[name]["spread"] for name in names])
    return np.clip((values - mean) / spread, -_LIMIT, _LIMIT)


def _contributions(parts: Mapping[str, np.ndarray], model: Mapping[str, Any], names: tuple[str, ...]) -> np.ndarray:
    weight = np.array([model["parts"][name]["weight"] for name in names])
    result: np.ndarray = standardized(parts, names, model["parts"]) * weight
    return result


def _chance(contributions: np.ndarray, model: Mapping[str, Any]) -> np.ndarray:
    chance: np.ndarray = 1 / (1 + np.exp(-(contributions.sum(axis=1) + model["intercept"])))
    return chance


def _reasons(contributions: np.ndarray, score: np.ndarray) -> list[str]:
    """The strongest reason against each cell, and the next one where it weighs at least half as much."""
    words = [REASONS[name] for name in PARTS]
    reasons = []
    for row, chance in zip(contributions, score, strict=True):
        first, second = np.argsort(-row, kind="stable")[:2]
        if chance < NO_DOUBT or row[first] <= 0:
            reasons.append(SURE)
        elif row[second] >= 0.5 * row[first]:
            reasons.append(f"{words[first]}; {words[second]}")
        else:
            reasons.append(words[first])
    return reasons
