"""The two small plots beside the sliders, painted directly so that they cost next to nothing while a slider moves."""

from __future__ import annotations

import math

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QBrush, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from .colors import Colors, theme_colors

TOP, BOTTOM = 17, 3
LOWER = 18
N_BINS = 42


class Plot(QWidget):
    """A plot whose horizontal axis is the slider below it: 0 at the slider's left end, 1 at its right.

    Signals
    -------
    picked(float)
        A place on the axis, 0 to 1, that was clicked or dragged to.
    pressed(), released()
    """

    title = ""
    picked = Signal(float)
    pressed = Signal()
    released = Signal()

    # In pixels: beside the axis, as at the ends of a slider, and of the plot.
    margin, full_height = 9, 62

    def __init__(self, name: str, tooltip: str = "") -> None:
        super().__init__(objectName=name, toolTip=tooltip)
        self._colors = theme_colors()
        self.setFixedHeight(self.full_height)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.SizeHorCursor)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self.update()

    def set_low(self, low: bool) -> None:
        """Set a low height where other widgets need the room."""
        self.setFixedHeight(self.full_height - LOWER if low else self.full_height)

    def x_of(self, place: float) -> float:
        """Return the horizontal pixel of a place on the axis (0 to 1)."""
        return self.margin + place * max(self.width() - 1 - 2 * self.margin, 1)

    def place_of(self, x: float) -> float:
        """Return the place on the axis (0 to 1) of a horizontal pixel."""
        return min(max((x - self.margin) / max(self.width() - 1 - 2 * self.margin, 1), 0.0), 1.0)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to drag."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.pressed.emit()
            self.picked.emit(self.place_of(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.picked.emit(self.place_of(event.position().x()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End of a drag."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.released.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the background and, if enabled, what the subclass draws."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._colors.background)
        painter.drawRoundedRect(QRectF(self.rect()), 3, 3)
        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() - 1.5, 6.5))
        painter.setFont(font)
        if self.isEnabled():
            self._draw(painter, float(TOP), float(self.height() - BOTTOM))
        else:
            painter.setOpacity(0.5)
            self._write(painter, self.title)
        painter.end()

    def _draw(self, painter: QPainter, top: float, bottom: float) -> None:
        raise NotImplementedError

    def _write(self, painter: QPainter, left: str, right: str = "") -> None:
        """Write into the line above the drawing."""
        painter.setPen(self._colors.faint)
        box = QRectF(self.margin, 1, self.width() - 2 * self.margin, TOP - 2)
        for text, side in ((left, Qt.AlignmentFlag.AlignLeft), (right, Qt.AlignmentFlag.AlignRight)):
            painter.drawText(box, side | Qt.AlignmentFlag.AlignVCenter, text)

    def _marker(self, painter: QPainter, x: float, top: float, bottom: float) -> None:
        painter.setPen(QPen(self._colors.text, 1.2))
        painter.drawLine(QPointF(x, top), QPointF(x, bottom))


class CountCurve(Plot):
    """Count over threshold, with the present point and the widest flat stretch."""

    title = "count at every threshold"

    full_height = 68

    def __init__(self, name: str, tooltip: str = "") -> None:
        super().__init__(name, tooltip)
        self.thresholds = np.zeros(0)
        self.counts = np.zeros(0, dtype=np.int64)
        self.stretch = (math.nan, math.nan)
        self.threshold = 0.5
        self.count = 0

    def set_curve(self, thresholds: np.ndarray, counts: np.ndarray, stretch: tuple[float, float]) -> None:
        """Show another curve."""
        self.thresholds, self.counts, self.stretch = thresholds, counts, stretch
        self.update()

    def set_point(self, threshold: float, count: int) -> None:
        """Move the present point."""
        self.threshold, self.count = threshold, count
        self.update()

    def _draw(self, painter: QPainter, top: float, bottom: float) -> None:
        highest = int(self.counts.max(initial=0))
        if not highest:
            self._write(painter, "no cells at any threshold")
            return

        def y_of(count: float) -> float:
            return bottom - (bottom - top - 2) * count / highest

        low, high = self.stretch
        if not math.isnan(low):
            band = QRectF(QPointF(self.x_of(low), top), QPointF(self.x_of(high), bottom))
            painter.fillRect(band, self._colors.band)
        # Below its first threshold the curve is level (the floor of the split).
        xs = [self.x_of(0.0), *(self.x_of(t) for t in self.thresholds)]
        ys = [y_of(count) for count in (self.counts[0], *self.counts.tolist())]
        line = QPolygonF([QPointF(x, y) for x, y in zip(xs, ys, strict=True)])
        area = QPolygonF([QPointF(xs[0], bottom), *line, QPointF(xs[-1], bottom)])
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._colors.under)
        painter.drawPolygon(area)
        painter.setPen(QPen(self._colors.accent, 1.8))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(line)
        x, y = self.x_of(self.threshold), y_of(min(self.count, highest))
        self._marker(painter, x, top, bottom)
        painter.setPen(QPen(self._colors.background, 1.5))
        painter.setBrush(QBrush(self._colors.text))
        painter.drawEllipse(QPointF(x, y), 4.5, 4.5)
        self._write(painter, self.title, f"at most {highest:,}")


class Histogram(Plot):
    """Bars over the axis; those before a line are grey."""

    def __init__(self, name: str, tooltip: str = "") -> None:
        super().__init__(name, tooltip)
        self.bars = np.zeros(N_BINS, dtype=np.int64)

    def _draw_bars(self, painter: QPainter, line: float, top: float, bottom: float) -> None:
        highest = int(self.bars.max(initial=0))
        painter.setPen(Qt.PenStyle.NoPen)
        for i in np.flatnonzero(self.bars).tolist():
            left, right = self.x_of(i / N_BINS), self.x_of((i + 1) / N_BINS)
            height = max((bottom - top - 4) * int(self.bars[i]) / highest, 1.5)
            box = QRectF(left + 0.5, bottom - height, right - left - 1, height)
            painter.fillRect(box, self._colors.accent if (i + 0.5) / N_BINS >= line else self._colors.grid)
        self._marker(painter, self.x_of(line), top, bottom)


class AreaHistogram(Histogram):
    """How many cells have which area; those smaller than `min_size` are grey.

    The axis is linear in the diameter (square root of the area), so that small and large cells both have room.
    """

    title = "cells by area"

    def __init__(self, name: str, tooltip: str = "") -> None:
        super().__init__(name, tooltip)
        self.largest = 1000
        self.min_size = 0

    def set_areas(self, areas: np.ndarray, largest: int) -> None:
        """Show other areas (pixels); `largest` is the area at the right end of the axis."""
        self.largest = max(int(largest), 1)
        places = np.sqrt(np.minimum(areas, self.largest) / self.largest)
        self.bars = np.histogram(places, bins=N_BINS, range=(0, 1))[0]
        self.update()

    def set_min_size(self, min_size: int) -> None:
        """Move the line."""
        self.min_size = min_size
        self.update()

    def _draw(self, painter: QPainter, top: float, bottom: float) -> None:
        self._draw_bars(painter, math.sqrt(min(self.min_size / self.largest, 1.0)), top, bottom)
        known = bool(self.bars.any())
        self._write(painter, self.title, f"up to {self.largest:,} px" if known else "no cells at this threshold")


class ValueHistogram(Histogram):
    """How many cells have which value of a marker; those above the threshold are in colour."""

    title = "cells by value"

    def __init__(self, name: str, tooltip: str = "") -> None:
        super().__init__(name, tooltip)
        self.span = (0.0, 1.0)
        self.threshold = 0.0

    def place(self, value: float) -> float:
        """Return the place of a value on the axis, 0 to 1."""
        low, high = self.span
        return min(max((value - low) / (high - low), 0.0), 1.0)

    def set_values(self, values: np.ndarray) -> None:
        """Show other values; NaN is not shown, and the highest 0.2 % stand in the last bar."""
        known = values[np.isfinite(values)]
        low, high = (float(known.min()), float(np.percentile(known, 99.8))) if len(known) else (0.0, 1.0)
        self.span = (low, high if high > low else low + max(abs(low), 1.0) * 1e-3)
        self.bars = np.histogram(np.minimum(known, self.span[1]), bins=N_BINS, range=self.span)[0]
        self.update()

    def set_threshold(self, threshold: float) -> None:
        """Move the line."""
        self.threshold = threshold
        self.update()

    def _draw(self, painter: QPainter, top: float, bottom: float) -> None:
        self._draw_bars(painter, self.place(self.threshold), top, bottom)
        low, high = self.span
        self._write(painter, self.title, f"{low:,.4g} to {high:,.4g}" if self.bars.any() else "no cell has a value")


class PlaneCounts(Plot):
    """Count of every plane of a stack as a bar, with a mark at the plane in view."""

    title = "cells in each plane"

    full_height = 48

    def __init__(self, name: str, tooltip: str = "") -> None:
        super().__init__(name, tooltip)
        self.counts = np.zeros(0, dtype=np.int64)
        self.number = 0
        self.total, self.words = "", ""
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def set_counts(self, counts: np.ndarray, number: int, total: str, words: str) -> None:
        """Show other counts (-1: not known); `number` is the plane in view, `words` name it."""
        self.counts, self.number, self.total, self.words = counts, number, total, words
        self.update()

    def number_at(self, place: float) -> int:
        """Return the number of the plane whose bar is at a place on the axis (0 to 1)."""
        return min(int(place * len(self.counts)), len(self.counts) - 1)

    def _draw(self, painter: QPainter, top: float, bottom: float) -> None:
        n, highest = len(self.counts), max(int(self.counts.max(initial=0)), 1)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        gap = 1 if n <= 80 else 0
        for i in np.flatnonzero(self.counts >= 0).tolist():
            left, right = self.x_of(i / n), self.x_of((i + 1) / n)
            height = max((bottom - top - 2) * int(self.counts[i]) / highest, 1.0)
            color = self._colors.accent if i != self.number else self._colors.text
            painter.fillRect(QRectF(left, bottom - height, max(right - left - gap, 1), height), color)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if n:
            self._marker(painter, (self.x_of(self.number / n) + self.x_of((self.number + 1) / n)) / 2, top, bottom)
        known = n > 0 and self.counts[self.number] >= 0
        here = f"{int(self.counts[self.number]):,}" if known else "not yet"
        self._write(painter, self.total or self.title, f"{self.words}: {here}" if self.words else "")
