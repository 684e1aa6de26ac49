"""Curves of a training run: read back from its table, drawn as a picture. Loads no torch."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..imaging.errors import DatasetError
from ..imaging.write.atomic import atomic_path

if TYPE_CHECKING:
    from .events import TrainProgress

CURVES_FILE = "curves.png"
# Okabe and Ito's colours can be distinguished with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK, FAINT = "#333333", "#dddddd"
PANEL, MARGIN, GAP = (420, 260), (58, 34), 20


@dataclass(frozen=True, eq=False)
class History:
    """Columns of a run's table as arrays of one length; what was not looked at is NaN.

    Parameters
    ----------
    step, seconds, loss, validation_loss, iou, dice, rate : ndarray of float
    """

    step: np.ndarray
    seconds: np.ndarray
    loss: np.ndarray
    validation_loss: np.ndarray
    iou: np.ndarray
    dice: np.ndarray
    rate: np.ndarray

    @classmethod
    def of(cls, history: Sequence[TrainProgress]) -> History:
        """Take the columns from a run under way."""
        names = ("step", "seconds", "loss", "validation_loss", "iou", "dice", "rate")
        return cls(*(np.array([getattr(p, name) for p in history], float) for name in names))

    @classmethod
    def read(cls, path: Path) -> History:
        """Read ``history.csv``; columns that an older version did not write are NaN.

        Raises
        ------
        DatasetError
            If it cannot be read.
        """
        names = ("step", "seconds", "loss", "validation_loss", "validation_iou", "validation_dice", "learning_rate")
        try:
            with open(path, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            return cls(*(np.array([float(row.get(name) or math.nan) for row in rows]) for name in names))
        except (OSError, ValueError, csv.Error) as error:
            raise DatasetError(f"The history {path} cannot be read ({error}). Train again, or omit it.") from error


def smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Return the running mean over the last `width` values."""
    total = np.cumsum(np.insert(values, 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - width, 0)
    mean: np.ndarray = (total[ends] - total[starts]) / (ends - starts)
    return mean


def draw_curves(runs: Mapping[str, History]) -> Image.Image:
    """Draw loss, and IoU and Dice of the foreground, over the steps: one run with all its curves, or several alike.

    Parameters
    ----------
    runs : mapping of str to History
        By the name to show.
    """
    if not runs:
        raise DatasetError("There is no history to draw. Give runs that have left a history.csv.")
    alone = len(runs) == 1
    losses, overlaps = [], []
    for i, (name, run) in enumerate(runs.items()):
        looked = np.isfinite(run.validation_loss)
        colour = COLOURS[i % len(COLOURS)]
        if alone:
            learned = smooth(run.loss, max(1, len(run.loss) // 50))
            losses.append(("training loss", COLOURS[0], run.step, learned))
            overlaps.append(("IoU", COLOURS[2], run.step[looked], run.iou[looked]))
            overlaps.append(("Dice", COLOURS[3], run.step[looked], run.dice[looked]))
        else:
            overlaps.append((name, colour, run.step[looked], run.iou[looked]))
        title = "validation loss" if alone else name
        losses.append((title, COLOURS[1] if alone else colour, run.step[looked], run.validation_loss[looked]))
    size = (2 * PANEL[0] + GAP, PANEL[1] + 14 * max(1, math.ceil(len(runs) / 2)) + 20)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    _panel(draw, 0, "loss" if alone else "validation loss", losses, unit=False)
    title = "validation: IoU and Dice of the foreground" if alone else "validation: IoU of the foreground"
    _panel(draw, PANEL[0] + GAP, title, overlaps, unit=True)
    return picture


def write_curves(path: Path, runs: Mapping[str, History]) -> None:
    """Draw curves into a PNG file, whole or not at all."""
    with atomic_path(path) as temporary:
        draw_curves(runs).save(temporary, "PNG")


Line = tuple[str, str, np.ndarray, np.ndarray]


def _panel(draw: ImageDraw.ImageDraw, left: int, title: str, lines: Sequence[Line], unit: bool) -> None:
    """Draw axes, lines and legend; `unit`: the values are 0 to 1."""
    font = ImageFont.load_default()
    x0, y0, x1, y1 = left + MARGIN[0], MARGIN[1], left + PANEL[0] - 8, PANEL[1] - MARGIN[1]
    draw.text((x0, 8), title, INK, font)
    shown = [(n, c, x[np.isfinite(y)], y[np.isfinite(y)]) for n, c, x, y in lines]
    values = np.concatenate([y for *_, y in shown])
    last = max((float(x[-1]) for _, _, x, _ in shown if len(x)), default=1.0)
    # The first steps of a network from scratch are far off and would press all else flat.
    low, high = (0.0, 1.0) if unit or not len(values) else (0.0, float(np.percentile(values, 98)) * 1.1 or 1.0)
    for i in range(5):
        level = y1 - (y1 - y0) * i / 4
        draw.line([(x0, level), (x1, level)], FAINT)
        draw.text((left + 8, level - 6), f"{low + (high - low) * i / 4:.3g}", INK, font)
    draw.line([(x0, y0), (x0, y1), (x1, y1)], INK)
    draw.text((x0, y1 + 6), "1", INK, font)
    draw.text((x1 - 60, y1 + 6), f"step {last:.0f}", INK, font)
    for i, (name, colour, x, y) in enumerate(shown):
        across = x0 + (x1 - x0) * (x - 1) / max(last - 1, 1)
        down = y1 - (y1 - y0) * (np.clip(y, low, high) - low) / (high - low)
        points = list(zip(across.tolist(), down.tolist(), strict=True))
        if len(points) > 1:
            draw.line(points, colour, 2)
        for px, py in points if len(points) <= 40 else ():
            draw.ellipse([px - 2, py - 2, px + 2, py + 2], colour)
        place = (x0 + (i % 2) * 170, y1 + 22 + 14 * (i // 2))
        draw.line([(place[0], place[1] + 6), (place[0] + 18, place[1] + 6)], colour, 3)
        # The font draws Latin letters only; a name with others must not stop a training.
        draw.text((place[0] + 24, place[1]), name[:22].encode("latin-1", "replace").decode("latin-1"), INK, font)
