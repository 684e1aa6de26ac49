"""What every benchmark shares: synthetic maps, paired timing, the table.

A benchmark is a module ``bench_*.py`` with ``run() -> list[Row]``. Both sides of a ratio are timed in turns within one
run, so that a busy machine slows both alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    what : str
        What was measured.
    figure : str
        The figure, with its unit.
    goal : str
        What is asked for, or empty.
    reached : bool or None
        Whether the goal was reached; None where there is none.
    """

    what: str
    figure: str
    goal: str = ""
    reached: bool | None = None


@dataclass(frozen=True, eq=False)
class Maps:
    """Synthetic maps of one image: float32 probability and centre distance, int32 true labels, all (Y, X)."""

    probability: np.ndarray
    distance: np.ndarray
    labels: np.ndarray


def draw_maps(size: int, n_cells: int, *, noise: float = 0.02, seed: int = 0) -> Maps:
    """Draw maps as a network gives them: blurred discs and ellipses, many of them touching, with noise.

    Parameters
    ----------
    size : int
        Height and width in pixels.
    n_cells : int
        Cells to place, of radius 8 to 18 pixels; one that would cover half of another's radius is placed elsewhere.
    noise : float
        Standard deviation of the noise on both maps, before a blur of half a pixel.
    seed : int
        Seed of the random numbers.
    """
    rng = np.random.default_rng(seed)
    nearest = np.full((size, size), np.inf, dtype=np.float32)  # 0 at a centre, 1 at the border
    labels = np.zeros((size, size), dtype=np.int32)
    probability = np.zeros((size, size), dtype=np.float32)
    cell, tries = 0, 0
    while cell < n_cells and tries < 50 * n_cells:
        tries += 1
        radius, stretch, angle = rng.uniform(8, 18), rng.uniform(0.8, 1.25), rng.uniform(0, np.pi)
        cy, cx = rng.uniform(0, size, 2)
        if nearest[int(cy), int(cx)] < 1.6:
            continue
        cell += 1
        reach = int(radius * 1.7) + 6
        rows = slice(max(0, int(cy) - reach), min(size, int(cy) + reach))
        columns = slice(max(0, int(cx) - reach), min(size, int(cx) + reach))
        y, x = np.mgrid[rows, columns].astype(np.float32)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        relative = np.hypot(u / (radius * stretch), v / (radius / stretch))
        mine = relative < nearest[rows, columns]
        labels[rows, columns][mine] = np.where(relative[mine] <= 1, cell, labels[rows, columns][mine])
        nearest[rows, columns][mine] = relative[mine]
        profile = 1 / (1 + np.exp((relative - 1) * radius / 1.5))
        probability[rows, columns] = np.maximum(probability[rows, columns], profile)
    border = _borders(labels)
    distance = np.clip(1 - nearest, 0, 1)
    distance[border] *= 0.3
    probability[border] *= 0.8
    return Maps(_noisy(probability, noise, rng), _noisy(distance, noise, rng), labels)


def paired(functions: Sequence[Callable[[], object]], rounds: int = 15) -> list[list[float]]:
    """Time functions in turns.

    Returns
    -------
    list of list of float
        Seconds: one list per function, one entry per round (a first, uncounted round warms up).
    """
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(rounds + 1):
        for place, function in enumerate(functions):
            start = time.perf_counter()
            function()
            elapsed = time.perf_counter() - start
            if turn:
                times[place].append(elapsed)
    return times


def median(seconds: Sequence[float]) -> float:
    """Median, in seconds."""
    return statistics.median(seconds)


def median_ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Median over rounds of the ratio within each round."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def format_table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table with padded columns."""
    mark = {True: "yes", False: "NO", None: ""}
    cells = [("what", "measured", "goal", "reached")]
    cells += [(row.what, row.figure, row.goal, mark[row.reached]) for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(4)]
    lines = ["| " + " | ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)) + " |" for line in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def _borders(labels: np.ndarray) -> np.ndarray:
    """Pixels of a cell that touch another cell."""
    padded = np.pad(labels, 1)
    border = np.zeros(labels.shape, dtype=bool)
    for dy, dx in ((0, 1), (1, 0), (1, 2), (2, 1)):
        other = padded[dy : dy + labels.shape[0], dx : dx + labels.shape[1]]
        border |= (other != labels) & (other > 0) & (labels > 0)
    return border


def _noisy(values: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    values = values + noise * rng.standard_normal(values.shape, dtype=np.float32)
    return np.clip(ndi.gaussian_filter(values, 0.5), 0, 1).astype(np.float32)
