"""The calibration map of the reports as a picture to click into."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QPointF, Qt, Signal
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QSizePolicy, QToolTip

from ...evaluation.calibration_map import CalibrationMap
from ...reports.diagrams import heat_map_frame, heat_map_svg
from ..shared.diagram import Diagram

SMALLEST = (300, 220)


class HeatMap(Diagram):
    """A calibration map: threshold to the right, smallest size upwards, good is light.

    Signals
    -------
    picked(float, int)
        A threshold and a smallest size in pixels were clicked or dragged to.
    """

    picked = Signal(float, int)

    def __init__(self) -> None:
        super().__init__("heat_map", "not calibrated yet")
        self.found: CalibrationMap | None = None
        self.setMinimumSize(*SMALLEST)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMouseTracking(True)

    def show_map(self, found: CalibrationMap | None) -> None:
        """Show another map, or another choice on it."""
        self.found = found
        self.setCursor(Qt.CursorShape.ArrowCursor if found is None else Qt.CursorShape.CrossCursor)
        self.update()

    def svg(self) -> str:
        """Return the map."""
        return "" if self.found is None else heat_map_svg(self.found, self.shape)

    def point_of(self, threshold: float, min_size: float) -> QPointF:
        """Return where a setting lies, in the widget's pixels."""
        assert self.found is not None
        frame = heat_map_frame(self.found, self.shape)
        return QPointF(frame.x(threshold), frame.y(min_size))

    def setting_at(self, point: QPointF) -> tuple[float, int]:
        """Return the threshold and smallest size at a place, or at the nearest one on the map."""
        found = self.found
        assert found is not None
        threshold, size = heat_map_frame(found, self.shape).values_at(point.x(), point.y())
        # The figure is known only at the places of the map.
        threshold = found.thresholds[np.abs(found.thresholds - threshold).argmin()]
        size = found.sizes[np.abs(found.sizes - size).argmin()]
        return round(float(threshold), 3), round(float(size))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose a setting."""
        if event.button() == Qt.MouseButton.LeftButton and self.found is not None:
            self.picked.emit(*self.setting_at(event.position()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Choose a setting while the button is held, and show what is under the pointer."""
        found = self.found
        if found is None:
            return
        threshold, min_size = self.setting_at(event.position())
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.picked.emit(threshold, min_size)
        text = f"threshold {threshold:.2f}, at least {min_size} px: {figure_text(found, found.at(threshold, min_size))}"
        QToolTip.showText(event.globalPosition().toPoint(), text, self)


def figure_text(found: CalibrationMap, value: float) -> str:
    """Return a figure of a map in words."""
    if found.goal == "count":
        return f"{value:.1f} cells off in an image"
    return f"AP (.5 to .9) {value:.3f}"
