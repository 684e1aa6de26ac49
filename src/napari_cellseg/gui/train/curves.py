"""Curves of a training under way: the loss on the training images, and on those that are held out."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from ..shared.plots import TOP, Plot
from .job import CurvePoints

HEIGHT = 96
OVERLAP_HEIGHT = 58
N_POINTS = 150
SMOOTHING = 0.04
MARGIN = 8


class StillPlot(Plot):
    """A plot in which nothing can be picked."""

    def __init__(self, name: str, height: int, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(MARGIN, height, parent)
        self.setObjectName(name)
        self.setCursor(Qt.CursorShape.ArrowCursor)
        self.setToolTip(tooltip)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Leave the mouse to the widget below."""
        event.ignore()

    mouseMoveEvent = mouseReleaseEvent = mousePressEvent


class TrainCurves(StillPlot):
    """Loss over the run, from its start at the left to the end of the time budget at the right."""

    title = "loss (lower is better)"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "train_curves", HEIGHT,
            "How far the network is from what you corrected; lower is better. Thin line: on the images that it learns "
            "from.\nThick line with dots: on images or parts that were held out. The ring marks the best, which is "
            "what is kept.", parent,
        )  # fmt: skip
        self.line = self.checks = np.zeros((0, 2))
        self.f1: float | None = None
        self.best: int | None = None

    def show_history(self, history: CurvePoints) -> None:
        """Show the points that are known so far."""
        self.line = _thinned(history.places, history.losses)
        self.checks = np.array([history.check_places, history.check_losses], float).T.reshape(-1, 2)
        self.best = history.best
        f1 = history.check_f1[self.best] if self.best is not None else np.nan
        self.f1 = None if np.isnan(f1) else float(f1)
        self.update()

    def _draw(self, painter: QPainter, top: float, bottom: float) -> None:
        values = np.concatenate([self.line[:, 1], self.checks[:, 1]])
        if not values.size:
            self._write(painter, self.title, "starts with Start")
            return
        # The first steps after a start may be far above all that follows.
        low, high = float(values.min()), float(max(np.percentile(values, 98), self.checks[:, 1].max(initial=-np.inf)))
        span = max(high - low, 1e-6)

        def points(curve: np.ndarray) -> list[QPointF]:
            heights = np.clip((curve[:, 1] - low) / span, 0, 1)
            pixels = bottom - 4 - heights * (bottom - top - 8)
            return [QPointF(self.x_of(place), y) for place, y in zip(curve[:, 0], pixels, strict=True)]

        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(self._colors.faint, 1.1))
        painter.drawPolyline(QPolygonF(points(self.line)))
        painter.setPen(QPen(self._colors.accent, 1.8))
        dots = points(self.checks)
        painter.drawPolyline(QPolygonF(dots))
        painter.setBrush(self._colors.accent)
        for dot in dots:
            painter.drawEllipse(dot, 2.2, 2.2)
        if self.best is not None and self.best < len(dots):
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(self._colors.text, 1.6))
            painter.drawEllipse(dots[self.best], 5.5, 5.5)
        self._write_legend(painter)

    def _write_legend(self, painter: QPainter) -> None:
        entries = [("learned from", self._colors.faint), ("held out", self._colors.accent)]
        if self.best is not None and self.best < len(self.checks):
            entries.append((f"best {self.checks[self.best, 1]:.3g}", self._colors.text))
        if self.f1 is not None:
            entries.append((f"F1 {self.f1:.2f}", self._colors.text))
        self._write(painter, "loss")
        x = self.width() - self._margin
        for text, color in reversed(entries):
            x = _write_before(painter, x, text, color)


class OverlapCurves(StillPlot):
    """IoU and Dice of the foreground on held-out images, over the run: 0 at the bottom, 1 at the top."""

    title = "IoU, Dice (higher is better)"

    def __init__(self, parent: QWidget | None = None) -> None:
        tip = "How well the pixels of the cells are found on what was held out; higher is better, 1 is perfect."
        super().__init__("train_overlap", OVERLAP_HEIGHT, tip, parent)
        self.places = np.zeros(0)
        self.curves: dict[str, np.ndarray] = {}

    def show_history(self, history: CurvePoints) -> None:
        """Show the points that are known so far."""
        self.places = np.array(history.check_places, float)
        curves = {"IoU": np.array(history.check_iou, float), "Dice": np.array(history.check_dice, float)}
        self.curves = {name: values for name, values in curves.items() if np.isfinite(values).any()}
        self.update()

    def _draw(self, painter: QPainter, top: float, bottom: float) -> None:
        colors = {"IoU": self._colors.accent, "Dice": self._colors.warning}
        x = self.width() - self._margin
        for name, values in reversed(self.curves.items()):
            there = np.isfinite(values)
            heights = bottom - 3 - np.clip(values[there], 0, 1) * (bottom - top - 6)
            points = [QPointF(self.x_of(place), y) for place, y in zip(self.places[there], heights, strict=True)]
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(colors[name], 1.8))
            painter.drawPolyline(QPolygonF(points))
            painter.setBrush(colors[name])
            for point in points:
                painter.drawEllipse(point, 1.8, 1.8)
            x = _write_before(painter, x, f"{name} {values[there][-1]:.2f}", colors[name])
        self._write(painter, "held out" if self.curves else self.title)


def _write_before(painter: QPainter, x: float, text: str, color: QColor) -> float:
    width = painter.fontMetrics().horizontalAdvance(text)
    painter.setPen(color)
    painter.drawText(QRectF(x - width - 1, 1, width + 2, TOP - 2), Qt.AlignmentFlag.AlignVCenter, text)
    return x - width - 10


def _thinned(places: list[float], values: list[float]) -> np.ndarray:
    """Return (n, 2) means of neighbouring steps: single steps jump too much to be read."""
    if not values:
        return np.zeros((0, 2))
    both = np.array([places, values], float)
    every = max(round(SMOOTHING * both.shape[1]), -(-both.shape[1] // N_POINTS), 1)
    starts = np.arange(0, both.shape[1], every)
    sums = np.add.reduceat(both, starts, axis=1)
    means: np.ndarray = sums / np.diff([*starts, both.shape[1]])
    return means.T
