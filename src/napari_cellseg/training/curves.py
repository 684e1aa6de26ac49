"""Curves of a training run: read back from its table, drawn as a picture. Loads no torch."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..imaging.errors import DatasetError
from ..imaging.write.pictures import write_picture

if TYPE_CHECKING:
    from .events import TrainProgress

CURVES_FILE = "curves.png"
HISTORY_FILE = "history.csv"
# Okabe and Ito's colours can be distinguished with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK, FAINT = "#333333", "#dddddd"
PANEL, MARGIN, GAP = (420, 260), (58, 34), 20
# A panel of fewer pixels has no room below its curves.
LOW = 150


@dataclass(frozen=True, eq=False)
class HistoryTable:
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
    def from_progress(cls, history: Sequence[TrainProgress]) -> HistoryTable:
        """Take the columns from a run under way."""
        names = ("step", "seconds", "loss", "validation_loss", "iou", "dice", "rate")
        return cls(*(np.array([getattr(p, name) for p in history], float) for name in names))

    @classmethod
    def read(cls, path: Path) -> HistoryTable:
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


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve of a panel.

    Attributes
    ----------
    name, colour : str
        As the legend has them.
    x, y : ndarray of float
        Points; those whose y is not a number are skipped.
    best : int, optional
        The point that a ring marks.
    """

    name: str
    colour: str
    x: np.ndarray
    y: np.ndarray
    best: int | None = None


def draw_curves(runs: Mapping[str, HistoryTable]) -> Image.Image:
    """Draw loss, and IoU and Dice of the foreground, over the steps: one run with all its curves, or several alike.

    Parameters
    ----------
    runs : mapping of str to HistoryTable
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
            losses.append(Curve("training loss", COLOURS[0], run.step, learned))
            overlaps.append(Curve("IoU", COLOURS[2], run.step[looked], run.iou[looked]))
            overlaps.append(Curve("Dice", COLOURS[3], run.step[looked], run.dice[looked]))
        else:
            overlaps.append(Curve(name, colour, run.step[looked], run.iou[looked]))
        title = "validation loss" if alone else name
        losses.append(Curve(title, COLOURS[1] if alone else colour, run.step[looked], run.validation_loss[looked]))
    size = (PANEL[0], PANEL[1] + 14 * math.ceil(len(losses) / 2) + 20)
    title = "validation: IoU and Dice of the foreground" if alone else "validation: IoU of the foreground"
    loss = draw_panel(size, "loss" if alone else "validation loss", losses, end="step {:.0f}")
    overlap = draw_panel(size, title, overlaps, top=1.0, end="step {:.0f}")
    picture = Image.new("RGB", (2 * PANEL[0] + GAP, size[1]), "white")
    picture.paste(loss, (0, 0))
    picture.paste(overlap, (PANEL[0] + GAP, 0))
    return picture


def write_curves(path: Path, runs: Mapping[str, HistoryTable]) -> None:
    """Draw curves into a PNG file, whole or not at all."""
    write_picture(path, draw_curves(runs), "PNG")


def draw_panel(
    size: tuple[int, int],
    title: str,
    curves: Sequence[Curve],
    top: float | None = None,
    span: tuple[float, float] | None = None,
    end: str = "",
    colours: tuple[str, str, str] = ("white", INK, FAINT),
) -> Image.Image:
    """Draw curves with axes and a legend, which stands below them or, in a low panel, beside the title.

    Parameters
    ----------
    size : tuple of int
        Width and height in pixels.
    title : str
    curves : sequence of Curve
    top : float, optional
        The greatest value; by default it fits the curves.
    span : tuple of float, optional
        The least and greatest x; by default from 1 to the last.
    end : str
        The label of the greatest x, in which ``{}`` stands for it.
    colours : tuple of str
        Of the background, of axes and texts, and of thin lines.
    """
    paper, ink, faint = colours
    picture = Image.new("RGB", size, paper)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default()
    low = size[1] < LOW
    n_levels, below = (2, 8) if low else (4, MARGIN[1] + 14 * math.ceil(len(curves) / 2) + 20)
    x0, y0, x1, y1 = MARGIN[0] - 20 * low, 20 if low else MARGIN[1], size[0] - 8, size[1] - below
    draw.text((8 if low else x0, 2 if low else 8), title, ink, font)
    shown = [replace(c, x=c.x[np.isfinite(c.y)], y=c.y[np.isfinite(c.y)]) for c in curves]
    values = np.concatenate([c.y for c in shown] or [np.zeros(0)])
    first, last = span or (1.0, max((float(c.x[-1]) for c in shown if len(c.x)), default=1.0))
    # The first steps of a network from scratch are far off and would press all else flat.
    high = top or (float(np.percentile(values, 98)) * 1.1 if len(values) else 0.0) or 1.0
    for i in range(n_levels + 1):
        level = y1 - (y1 - y0) * i / n_levels
        draw.line([(x0, level), (x1, level)], faint)
        draw.text((8, level - 6), f"{high * i / n_levels:.3g}", ink, font)
    draw.line([(x0, y0), (x0, y1), (x1, y1)], ink)
    if end:
        draw.text((x0, y1 + 6), f"{first:.0f}", ink, font)
        draw.text((x1 - 60, y1 + 6), end.format(last), ink, font)
    for curve in shown:
        across = x0 + (x1 - x0) * (curve.x - first) / max(last - first, 1e-9)
        down = y1 - (y1 - y0) * np.clip(curve.y / high, 0, 1)
        points = list(zip(across.tolist(), down.tolist(), strict=True))
        if len(points) > 1:
            draw.line(points, curve.colour, 2)
        for px, py in points if len(points) <= 40 else ():
            draw.ellipse([px - 2, py - 2, px + 2, py + 2], curve.colour)
        if curve.best is not None and curve.best < len(points):
            px, py = points[curve.best]
            draw.ellipse([px - 5, py - 5, px + 5, py + 5], outline=ink, width=2)
    _draw_legend(draw, shown, (x1, 2) if low else (x0, y1 + 22), low, ink)
    return picture


def _draw_legend(
    draw: ImageDraw.ImageDraw, curves: Sequence[Curve], place: tuple[float, float], in_one_line: bool, ink: str
) -> None:
    """Name the curves: in one line that ends at a place, or in two columns from there on."""
    font, right = ImageFont.load_default(), place[0]
    for i, curve in reversed(list(enumerate(curves))):
        # The font draws Latin letters only; a name with others must not stop a training.
        name = curve.name[:22].encode("latin-1", "replace").decode("latin-1")
        x, y = place[0] + (i % 2) * 170, place[1] + 14 * (i // 2)
        if in_one_line:
            right -= draw.textlength(name, font) + 32
            x, y = right, place[1]
        draw.line([(x, y + 6), (x + 18, y + 6)], curve.colour, 3)
        draw.text((x + 24, y), name, ink, font)
