"""Differences between the counts of the model and of the user over their mean (Bland & Altman)."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QEvent, QPointF, Signal
from qtpy.QtGui import QHelpEvent, QMouseEvent
from qtpy.QtWidgets import QToolTip

from ...evaluation.agreement.agreement import Agreement
from ...reports.agreement_report import agreement_frame, agreement_svg
from ..shared.diagram import Diagram

HEIGHT = 150
NEAR = 9.0
ABOUT = "Each dot is an image. The middle line is the bias; 95 % of images lie between the other two."


class AgreementPlot(Diagram):
    """The diagram of the report, in which a dot is an image that can be clicked.

    Signals
    -------
    chosen(str)
        An image's dot was clicked: its name.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__("agreement_plot", "automatic − manual")
        self.setFixedHeight(HEIGHT)
        self.agreement: Agreement | None = None

    def show_agreement(self, agreement: Agreement | None) -> None:
        """Show other counts; None shows none."""
        self.agreement = agreement
        self.setEnabled(agreement is not None)
        self.update()

    def svg(self) -> str:
        """Return the diagram."""
        return "" if self.agreement is None else agreement_svg(self.agreement, self.shape)

    def dots(self) -> list[QPointF]:
        """Return where the images are drawn."""
        found = self.agreement
        if found is None:
            return []
        frame, means = agreement_frame(found, self.shape), (found.people + found.automatic) / 2
        return [QPointF(frame.x(a), frame.y(b)) for a, b in zip(means, found.differences, strict=True)]

    def event(self, event: QEvent) -> bool:
        """Show which image the dot under the mouse is."""
        found = self.agreement
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent) and found is not None:
            place = self._near(QPointF(event.pos()))
            text = ABOUT
            if place is not None:
                text = f"{found.images[place]}: manual {found.people[place]:g}, automatic {found.automatic[place]:g}"
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return bool(super().event(event))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose an image."""
        place = self._near(event.position())
        if place is not None and self.agreement is not None:
            self.chosen.emit(self.agreement.images[place])

    def _near(self, at: QPointF) -> int | None:
        away = [(dot - at).manhattanLength() for dot in self.dots()]
        return int(np.argmin(away)) if away and min(away) <= NEAR else None
