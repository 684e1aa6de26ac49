"""How good every threshold and smallest size is, as a picture to click into."""

from __future__ import annotations

import math

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from ...evaluation.calibration_map import CalibrationMap
from ...reports.diagrams import heat_map
from .colors import Colors, theme_colors

LEFT, RIGHT, TOP, BOTTOM = 44, 12, 8, 36
SMALLEST = (300, 220)
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
CHOSEN = QColor("#d00000")


class HeatMap(QWidget):
    """A calibration map: threshold to the right, smallest size upwards, good is light.

    Signals
    -------
    picked(float, int)
        A threshold and a smallest size in pixels were clicked or dragged to.
    """

    picked = Signal(float, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("heat_map")
        self._found: CalibrationMap | None = None
        self._picture = QImage()
        self._colors = theme_colors()
        self.setMinimumSize(*SMALLEST)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMouseTracking(True)

    @property
    def found(self) -> CalibrationMap | None:
        """The map that is shown."""
        return self._found

    def show_map(self, found: CalibrationMap | None) -> None:
        """Show another map, or another choice on it."""
        if found is not None and (self._found is None or found.values is not self._found.values):
            pixels = heat_map(found)
            height, width = pixels.shape[:2]
            # Copied: the picture must outlive the array.
            self._picture = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()
        self._found = found
        self.setCursor(Qt.CursorShape.ArrowCursor if found is None else Qt.CursorShape.CrossCursor)
        self.update()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self.update()

    def point_of(self, threshold: float, min_size: float) -> QPointF:
        """Where a setting lies, in the widget's pixels."""
        area = self._area()
        low, high, largest = self._ranges()
        x = area.left() + (threshold - low) / (high - low) * area.width()
        return QPointF(x, area.bottom() - min(min_size / largest, 1.0) * area.height())

    def setting_at(self, point: QPointF) -> tuple[float, int]:
        """The threshold and smallest size at a place, or at the nearest one on the map."""
        area = self._area()
        low, high, largest = self._ranges()
        across = min(max((point.x() - area.left()) / area.width(), 0.0), 1.0)
        up = min(max((area.bottom() - point.y()) / area.height(), 0.0), 1.0)
        threshold, size = low + across * (high - low), up * largest
        if self._found is not None:
            # Only of the places that the map has is the figure known.
            threshold = self._found.thresholds[np.abs(self._found.thresholds - threshold).argmin()]
            size = self._found.sizes[np.abs(self._found.sizes - size).argmin()]
        return round(float(threshold), 3), round(float(size))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose a setting."""
        if event.button() == Qt.MouseButton.LeftButton and self._found is not None:
            self.picked.emit(*self.setting_at(event.position()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Choose a setting while the button is held, and say what is under the pointer."""
        found = self._found
        if found is None:
            return
        threshold, min_size = self.setting_at(event.position())
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.picked.emit(threshold, min_size)
        text = f"threshold {threshold:.2f}, at least {min_size} px: {figure_text(found, found.at(threshold, min_size))}"
        QToolTip.showText(event.globalPosition().toPoint(), text, self)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the map, its axes, the setting chosen (ring) and the one before (cross)."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area, found = self._area(), self._found
        painter.fillRect(area, self._colors.background)
        if found is None:
            painter.setPen(self._colors.faint)
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "not calibrated yet")
            painter.end()
            return
        painter.drawImage(area, self._picture)
        self._paint_axes(painter, area)
        at = self.point_of(*found.before[:2])
        for color, width in ((QColor("white"), 4), (QColor("black"), 2)):
            painter.setPen(QPen(color, width))
            for way in (1, -1):
                painter.drawLine(QPointF(at.x() - 5, at.y() - 5 * way), QPointF(at.x() + 5, at.y() + 5 * way))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for color, width in ((QColor("white"), 5), (CHOSEN, 3)):
            painter.setPen(QPen(color, width))
            painter.drawEllipse(self.point_of(found.threshold, found.min_size), 7, 7)
        painter.end()

    def _paint_axes(self, painter: QPainter, area: QRectF) -> None:
        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() - 1.5, 6.5))
        painter.setFont(font)
        painter.setPen(self._colors.faint)
        low, high, largest = self._ranges()
        for part in TICKS:
            x = area.left() + part * area.width()
            box = QRectF(x - 20, area.bottom() + 3, 40, 13)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, f"{low + part * (high - low):.2g}")
        for size in _sizes(largest):
            y = area.bottom() - size / largest * area.height()
            box = QRectF(16, y - 7, LEFT - 20, 14)
            painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{size:g}")
        below = QRectF(area.left(), area.bottom() + 17, area.width(), 16)
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, "threshold")
        painter.save()
        painter.translate(9, area.center().y())
        painter.rotate(-90)
        painter.drawText(QRectF(-80, -8, 160, 16), Qt.AlignmentFlag.AlignCenter, "smallest cell, px")
        painter.restore()

    def _area(self) -> QRectF:
        return QRectF(LEFT, TOP, max(self.width() - LEFT - RIGHT, 1), max(self.height() - TOP - BOTTOM, 1))

    def _ranges(self) -> tuple[float, float, float]:
        """Least and greatest threshold, and the largest size."""
        found = self._found
        if found is None:
            return 0.0, 1.0, 1.0
        return float(found.thresholds[0]), float(found.thresholds[-1]), max(float(found.sizes[-1]), 1.0)


def figure_text(found: CalibrationMap, value: float) -> str:
    """Say a figure of a map in words."""
    if found.goal == "count":
        return f"{value:.1f} cells off in an image"
    return f"AP (.5 to .9) {value:.3f}"


def _sizes(largest: float) -> list[float]:
    """Round sizes for the axis, about four."""
    step = 10 ** math.floor(math.log10(largest / 3)) if largest > 3 else 1.0
    step *= next(factor for factor in (1, 2, 5, 10) if largest / (factor * step) <= 5)
    return np.arange(0, largest + 1e-9, step).tolist()
