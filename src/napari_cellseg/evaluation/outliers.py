"""Find images of a batch that stand out, and why, so that the user reviews them first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..results.rows import BatchRow

LEAST = 8  # images; with fewer it is unknown what is usual
CUT = 3.5  # robust standard deviations (Iglewicz & Hoaglin 1993)
_MAD_TO_SD = 1.4826
# Differences between images that are harmless: a tenth (of a count, of a size), one twentieth of doubt.
_USUAL_SHARE, _USUAL_DOUBT = 0.1, 0.05
# Standard deviation from cell to cell, of the logarithm of the area and of the doubt: few cells vary more.
_AREA_SPREAD, _DOUBT_SPREAD = 0.6, 0.25


@dataclass(frozen=True)
class StandOut:
    """An image that differs from the others of its batch.

    Attributes
    ----------
    row : BatchRow
    reasons : tuple of str
        In plain words, such as ``count 3.1 times the median``; the strongest first.
    score : float
        How many robust standard deviations it is away from the median, by the strongest reason.
    """

    row: BatchRow
    reasons: tuple[str, ...]
    score: float

    @property
    def reason(self) -> str:
        """All reasons in one line."""
        return "; ".join(self.reasons)


def stand_out(rows: Sequence[BatchRow]) -> list[StandOut]:
    """Find images whose count, size of cells or doubt is far from that of most.

    Distance is taken from the median, in units of the median absolute deviation, so that a few odd images do not
    hide each other. It must also be more than chance makes of an image with few cells.

    Parameters
    ----------
    rows : sequence of BatchRow

    Returns
    -------
    list of StandOut
        The furthest first; none where fewer than `LEAST` images have a result.
    """
    with_result = [row for row in rows if row.has_result and row.count is not None]
    found: dict[int, list[tuple[float, str]]] = {}
    for judge in (_by_count, _by_size, _by_doubt):
        for i, score, reason in judge(with_result):
            found.setdefault(i, []).append((score, reason))
    listed = []
    for i, reasons in found.items():
        reasons.sort(key=lambda reason: -reason[0])
        listed.append(StandOut(with_result[i], tuple(text for _, text in reasons), reasons[0][0]))
    return sorted(listed, key=lambda out: -out.score)


def _by_count(rows: Sequence[BatchRow]) -> list[tuple[int, float, str]]:
    counts = np.array([row.count for row in rows], dtype=np.float64)
    if len(counts) < LEAST:
        return []
    median = float(np.median(counts))
    scores = np.abs(_distances(np.log1p(counts), _USUAL_SHARE))
    # Counts that differ by chance alone have this standard deviation of 1 (Anscombe 1948).
    by_chance = 2 * np.abs(np.sqrt(counts + 3 / 8) - math.sqrt(median + 3 / 8))

    def reason_of(i: int) -> str:
        if not counts[i]:
            return f"no cells, where the median is {median:g}"
        return f"count {counts[i]:g}, where the median is 0" if not median else f"count {_times(counts[i], median)}"

    return _beyond(np.minimum(scores, by_chance), reason_of)


def _by_size(rows: Sequence[BatchRow]) -> list[tuple[int, float, str]]:
    known = [i for i, row in enumerate(rows) if row.count and row.median_area_px]
    if len(known) < LEAST:
        return []
    areas = np.array([rows[i].median_area_px for i in known], dtype=np.float64)
    per_pixel = [rows[i].pixel_area_um2 for i in known]
    if all(per_pixel):
        areas *= np.array(per_pixel, dtype=np.float64)
    n_cells = np.array([rows[i].count for i in known], dtype=np.float64)
    by_chance = np.sqrt(_USUAL_SHARE**2 + _AREA_SPREAD**2 / n_cells)
    scores = _distances(np.log(areas), by_chance)
    median = float(np.median(areas))
    found = _beyond(np.abs(scores), lambda i: f"size of cells {_times(areas[i], median)}")
    return [(known[i], score, reason) for i, score, reason in found]


def _by_doubt(rows: Sequence[BatchRow]) -> list[tuple[int, float, str]]:
    known = [i for i, row in enumerate(rows) if row.count and row.doubt is not None]
    if len(known) < LEAST:
        return []
    doubts = np.array([rows[i].doubt for i in known], dtype=np.float64)
    n_cells = np.array([rows[i].count for i in known], dtype=np.float64)
    by_chance = np.sqrt(_USUAL_DOUBT**2 + _DOUBT_SPREAD**2 / n_cells)
    median = float(np.median(doubts))
    found = _beyond(
        _distances(doubts, by_chance), lambda i: f"doubt {doubts[i]:.0%} per cell, where the median is {median:.0%}"
    )
    return [(known[i], score, reason) for i, score, reason in found]


def _distances(values: np.ndarray, least: float | np.ndarray) -> np.ndarray:
    """Return the signed distance of each value from the median, in robust standard deviations of at least `least`."""
    away = values - np.median(values)
    scores: np.ndarray = away / np.maximum(_MAD_TO_SD * np.median(np.abs(away)), least)
    return scores


def _beyond(scores: np.ndarray, reason_of: Callable[[int], str]) -> list[tuple[int, float, str]]:
    return [(i, float(scores[i]), reason_of(i)) for i in np.flatnonzero(scores > CUT).tolist()]


def _times(value: float, median: float) -> str:
    ratio = value / median
    return f"{ratio:.1f} times the median" if ratio >= 1 else f"{ratio:.2g} times the median"
