"""Differences between the counts of the model and of the user over their mean (Bland & Altman), painted."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QHelpEvent, QMouseEvent, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QToolTip, QWidget

from ...evaluation.agreement.agreement import Agreement, band
from ..shared.plots import BOTTOM, TOP, Plot

HEIGHT = 150
AXIS = 36
NEAR = 9.0


class AgreementPlot(Plot):
    """One dot per image; the middle line is the bias, between the two others lie 95 % of the differences.

    Signals
    -------
    chosen(str)
        An image's dot was clicked: its name.
    """

    title = "automatic − manual"
    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(AXIS, HEIGHT, parent)
        self.setObjectName("agreement_plot")
        self.setCursor(Qt.CursorShape.ArrowCursor)
        self.agreement: Agreement | None = None

    def show_agreement(self, agreement: Agreement | None) -> None:
        """Show other counts; None shows none."""
        self.agreement = agreement
        self.setEnabled(agreement is not None)
        self.update()

    def dots(self) -> list[QPointF]:
        """Return where the images are drawn."""
        if self.agreement is None:
            return []
        x, y = self._axes(self.agreement)
        means = (self.agreement.people + self.agreement.ours) / 2
        return [QPointF(x(a), y(b)) for a, b in zip(means, self.agreement.differences, strict=True)]

    def event(self, event: QEvent) -> bool:
        """Show which image the dot under the mouse is."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent) and self.agreement is not None:
            place = self._near(QPointF(event.pos()))
            if place is None:
                text = "Each dot is an image. The middle line is the bias; 95 % of images lie between the other two."
            else:
                found = self.agreement
                text = f"{found.images[place]}: manual {found.people[place]:g}, automatic {found.ours[place]:g}"
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return bool(super().event(event))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose an image."""
        place = self._near(event.position())
        if place is not None and self.agreement is not None:
            self.chosen.emit(self.agreement.images[place])

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Nothing can be dragged here."""
        event.ignore()

    mouseReleaseEvent = mouseMoveEvent

    def _near(self, at: QPointF) -> int | None:
        away = [(dot - at).manhattanLength() for dot in self.dots()]
        return int(np.argmin(away)) if away and min(away) <= NEAR else None

    def _axes(self, agreement: Agreement):  # type: ignore[no-untyped-def]
        top, bottom = float(TOP + 4), float(self.height() - BOTTOM - TOP)
        means, low, _, high = band(agreement)
        right = max(float(means.max()) * 1.06, 1.0)
        values = np.concatenate([low, high, agreement.differences, [0.0]])
        least, most = float(values.min()), float(values.max())
        room = max(0.06 * (most - least), 0.5)
        least, most = least - room, most + room

        def x(value: float) -> float:
            return AXIS + (self.width() - 8 - AXIS) * float(value) / right

        def y(value: float) -> float:
            return bottom - (bottom - top) * (float(value) - least) / (most - least)

        return x, y

    def _draw(self, painter: QPainter, top: float, bottom: float) -> None:
        if self.agreement is None:
            return
        found = self.agreement
        x, y = self._axes(found)
        means, low, middle, high = band(found)
        colors = self._colors
        outline = [QPointF(x(a), y(b)) for a, b in zip(means, high, strict=True)]
        outline += [QPointF(x(a), y(b)) for a, b in zip(means[::-1], low[::-1], strict=True)]
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.under)
        painter.drawPolygon(QPolygonF(outline))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(colors.grid, 1.0))
        painter.drawLine(QPointF(x(0), y(0)), QPointF(self.width() - 8, y(0)))
        for curve, width in ((low, 1.0), (middle, 1.6), (high, 1.0)):
            painter.setPen(
                QPen(colors.accent, width, Qt.PenStyle.SolidLine if curve is middle else Qt.PenStyle.DashLine)
            )
            painter.drawPolyline(QPolygonF([QPointF(x(a), y(b)) for a, b in zip(means, curve, strict=True)]))
        painter.setPen(QPen(colors.background, 1.0))
        painter.setBrush(colors.text)
        for dot in self.dots():
            painter.drawEllipse(dot, 3.6, 3.6)
        self._write_numbers(painter, x, y, float(means.max()), float(low[-1]), float(middle[-1]), float(high[-1]))

    def _write_numbers(self, painter, x, y, right: float, low: float, middle: float, high: float) -> None:  # type: ignore[no-untyped-def]
        painter.setPen(self._colors.faint)
        side = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        taken: list[float] = []
        for value in (0.0, high, low, middle):
            at = y(value)
            # Numbers that would lie on each other can't be read.
            if all(abs(at - other) >= 11 for other in taken):
                taken.append(at)
                text = "0" if value == 0 else f"{value:+.0f}" if abs(value) >= 9.5 else f"{value:+.1f}"
                painter.drawText(QRectF(0, at - 8, AXIS - 5, 16), side, text)
        below = QRectF(AXIS, self.height() - BOTTOM - TOP + 2, self.width() - 8 - AXIS, TOP)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter, "mean of both counts")
        painter.drawText(below, side, f"{right:.0f}")
        self._write(painter, self.title, "dashed: 95 % limits")
