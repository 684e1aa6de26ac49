"""What our dock widgets have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from ..shared.colors import Colors, theme_colors
from ..shared.layout import scrolled
from .bench import workbench_of
from .docking import beside

if TYPE_CHECKING:
    from napari import Viewer


class Dock(QWidget):
    """A dock widget: a column of sections that can be scrolled, in napari's theme, as a tab beside the others of ours.

    A subclass builds its sections, then calls :meth:`lay_out`.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Given by napari.
    name : str
        Qt's name of the widget is ``napari_cellseg_`` and this.
    """

    def __init__(self, napari_viewer: Viewer, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"napari_cellseg_{name}")
        self.bench = workbench_of(napari_viewer)
        self.session = self.bench.session
        self.scroll: QScrollArea
        self._colored: tuple[QWidget, ...] = ()
        self._watched = 0

    def lay_out(self, column: QVBoxLayout) -> None:
        """Fill the widget with a column; the parts of it that have `set_colors` follow the theme from now on."""
        parts = [column.itemAt(i).widget() for i in range(column.count())]
        self._colored = tuple(part for part in parts if hasattr(part, "set_colors"))
        self.scroll = scrolled(self, column)
        self.follow_theme()

    def follow_theme(self) -> None:
        """Give every section the colours of napari's theme."""
        colors: Colors = theme_colors(self.bench.viewer.theme)
        for section in self._colored:
            section.set_colors(colors)

    def window_seen(self, window: QWidget) -> None:
        """Act once for each window that the widget is shown in; here: stop all work when it closes."""
        window.destroyed.connect(self.bench.close)
        beside(self)

    def changeEvent(self, event: QEvent) -> None:
        """Follow napari's theme, which arrives as a new style sheet."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange and getattr(self, "_colored", ()):
            self.follow_theme()

    def showEvent(self, event: QShowEvent) -> None:
        """Look which window this is."""
        super().showEvent(event)
        window = self.window()
        # Kept as a number: a reference would keep the closed window alive.
        if id(window) != self._watched:
            self._watched = id(window)
            self.window_seen(window)
