"""A diagram of the reports as a widget."""

from __future__ import annotations

from qtpy.QtCore import QByteArray, QRectF, Qt
from qtpy.QtGui import QPainter, QPaintEvent
from qtpy.QtSvg import QSvgRenderer
from qtpy.QtWidgets import QWidget

from .colors import Colors, theme_colors

NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


class Diagram(QWidget):
    """Paints the SVG that `svg` returns for the size of the widget, in the theme's colours.

    Parameters
    ----------
    name : str
        Object name.
    empty : str
        What is shown where there is nothing to draw.
    """

    def __init__(self, name: str, empty: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self._empty = empty
        self._colors = theme_colors()

    @property
    def shape(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width(), self.height()

    def svg(self) -> str:
        """Return the diagram as the reports draw it; empty where there is nothing to draw."""
        raise NotImplementedError

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the diagram."""
        painter = QPainter(self)
        drawn = self.svg()
        if not drawn:
            painter.fillRect(self.rect(), self._colors.background)
            painter.setPen(self._colors.faint)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._empty)
            return
        color, points = self._colors.faint.name(), max(self.font().pointSizeF() - 1.5, 6.5)
        style = f'{NAMESPACES} color="{color}" fill="{color}" font-size="{points:g}pt"'
        # Qt knew only the older name of the reference until 6.7.
        drawn = drawn.replace("<svg ", f"<svg {style} ", 1).replace(" href=", " xlink:href=")
        QSvgRenderer(QByteArray(drawn.encode())).render(painter, QRectF(self.rect()))
