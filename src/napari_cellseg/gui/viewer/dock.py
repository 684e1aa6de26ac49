"""What the dock widgets have in common, and how one is opened by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from qtpy.QtWidgets import QDockWidget, QLabel, QLayout, QMainWindow, QScrollArea, QVBoxLayout, QWidget

from ..shared.choosers import guard_wheel
from ..shared.colors import theme_colors
from ..shared.layout import scrolled, show_file
from ..shared.workers import Latest
from .benches import bench_of

if TYPE_CHECKING:
    from napari import Viewer

PLUGIN = "napari-cellseg"
PREFIX = "napari_cellseg_"
# Names of the docks by which they are opened, and what the manifest calls them.
DOCKS = {
    "segment": "Segment and count cells",
    "correct": "Correct and review cells",
    "train": "Train on corrected cells",
    "batch": "Segment a folder of images",
    "agreement": "Check counts against your own",
}
# On its tab: five have to fit beside each other.
TABS = {"segment": "Segment", "correct": "Correct", "train": "Train", "batch": "Batch", "agreement": "Check"}


def open_dock(viewer: Viewer, name: str, raised: bool = True) -> Any:
    """Return a viewer's dock widget by its name, opened if it is not; no dock needs the class of another.

    Parameters
    ----------
    viewer : napari.Viewer
    name : {"segment", "correct", "train", "batch", "agreement"}
    raised : bool
        Bring it to the front; else the dock that is in front of its tabs stays there.

    Returns
    -------
    Dock
    """
    window = bench_of(viewer).viewer.window
    main: QMainWindow = window._qt_window
    found = main.findChild(QWidget, f"{PREFIX}{name}")
    if found is None:
        # Noted before it is made: a dock takes its place among the tabs as soon as it is shown, or a moment later.
        Dock.new_in_front = raised
        try:
            _, found = window.add_plugin_dock_widget(PLUGIN, DOCKS[name])
        finally:
            Dock.new_in_front = True
    elif raised and (dock := _dock_of(found)) is not None:
        dock.show()
        dock.raise_()
    return found


class Dock(QWidget):
    """A dock widget: a column of sections that can be scrolled, in napari's theme, as a tab beside the other docks.

    A subclass builds its sections, then calls :meth:`fill`.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Given by napari.
    name : str
        Qt's name of the widget is ``napari_cellseg_`` and this.
    """

    new_in_front = True

    def __init__(self, napari_viewer: Viewer, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"{PREFIX}{name}")
        self.bench = bench_of(napari_viewer)
        self.session = self.bench.session
        self.scroll: QScrollArea
        self._in_front = self.new_in_front
        self._filled = False
        self._watched = 0
        self._pages: Latest | None = None
        self._dropped: Callable[[list[str | Path]], object] | None = None

    def fill(self, *parts: QWidget | QLayout, spacing: int = 7, below: Sequence[QWidget] = ()) -> None:
        """Fill the widget with a column of parts; what has `set_colors` in it follows the theme from now on.

        Parts `below` have a place of their own under the column: messages and questions, which never move a control.
        """
        column = QVBoxLayout()
        column.setSpacing(spacing)
        for part in parts:
            column.addLayout(part) if isinstance(part, QLayout) else column.addWidget(part)
        self.scroll = scrolled(self, column, below)
        self._filled = True
        self.follow_theme()

    def follow_theme(self) -> None:
        """Give everything in the dock that has `set_colors` the colours of napari's theme."""
        colors = theme_colors(self.bench.viewer.theme)
        for part in self.findChildren(QWidget):
            if hasattr(part, "set_colors"):
                part.set_colors(colors)

    def take_dropped(self, slot: Callable[[list[str | Path]], object]) -> None:
        """Call a slot with the files and folders that are dropped on the widget."""
        self._dropped = slot
        self.setAcceptDrops(True)

    @property
    def reporting(self) -> bool:
        """Whether a page is being written."""
        return self._pages is not None and self._pages.busy

    def write_page(
        self, write: Callable[[], Path], report: Callable[[str, bool], object], enable: Callable[[], object]
    ) -> None:
        """Write a page in a background thread, then show it in the browser.

        Parameters
        ----------
        write : callable
            Writes the page, and returns its file.
        report : callable
            Shows a sentence; its second argument is whether it is bad news.
        enable : callable
            Switches the button off while a page is being written (see `reporting`), and on after that.
        """
        if self.reporting:
            return

        def written(path: Path) -> None:
            report(f"The report is {path}", False)
            show_file(path)

        report("Writing the report …", False)
        self._pages = Latest(self.bench.failure_to(report), enable, owner=self)
        self._pages.ask(write, written)
        enable()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept files and folders only."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take the dropped files and folders."""
        event.acceptProposedAction()
        if self._dropped is not None:
            self._dropped([url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()])

    @property
    def in_view(self) -> bool:
        """Whether the user sees the dock: Qt calls one visible, too, that is behind others of its tabs."""
        return self.isVisible() and not self.visibleRegion().isEmpty()

    def came_into_view(self) -> None:
        """Act when the dock is shown, or comes to the front of its tabs; here: do nothing."""

    def _on_front(self, in_front: bool) -> None:
        if in_front and self.isVisible():
            self.came_into_view()

    def window_seen(self, window: QWidget) -> None:
        """Act once for each window that the widget is shown in; here: stop all work when it closes."""
        window.destroyed.connect(self.bench.close)
        self._name_dock()
        beside(self, self._in_front)

    def _name_dock(self) -> None:
        """Give the tab a short name, and the title bar one that has room."""
        dock, name = _dock_of(self), self.objectName().removeprefix(PREFIX)
        if dock is None:
            return
        dock.visibilityChanged.connect(self._on_front)
        dock.setWindowTitle(TABS[name])
        title = dock.titleBarWidget().findChild(QLabel) if dock.titleBarWidget() is not None else None
        if title is not None:
            title.setText(DOCKS[name])

    def changeEvent(self, event: QEvent) -> None:
        """Follow napari's theme, which arrives as a new style sheet."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange and getattr(self, "_filled", False):
            self.follow_theme()

    def showEvent(self, event: QShowEvent) -> None:
        """Follow the main window that holds this dock; a floating dock is a window of its own, which may close."""
        super().showEvent(event)
        guard_wheel(self)
        window = self.window()
        # Kept as a number: a reference would keep the closed window alive.
        if isinstance(window, QMainWindow) and id(window) != self._watched:
            self._watched = id(window)
            self.window_seen(window)
        self.came_into_view()


def beside(widget: QWidget, in_front: bool = True) -> None:
    """Put the dock of a widget as a tab onto that of another widget of the plugin, if there is one on the right."""
    dock = _dock_of(widget)
    main = dock.parent() if dock is not None else None
    if dock is None or not isinstance(main, QMainWindow) or dock.isFloating():
        return
    right = Qt.DockWidgetArea.RightDockWidgetArea
    if main.dockWidgetArea(dock) != right or main.tabifiedDockWidgets(dock):
        return
    for other in main.findChildren(QDockWidget):
        held = [child for child in other.findChildren(QWidget) if child.objectName().startswith(PREFIX)]
        if other is not dock and held and other.isVisible() and main.dockWidgetArea(other) == right:
            tabs = [other, *main.tabifiedDockWidgets(other)]
            seen = [tab for tab in tabs if not tab.widget().visibleRegion().isEmpty()]
            main.tabifyDockWidget(other, dock)
            for tab in [dock] if in_front else seen:
                tab.raise_()
            return


def _dock_of(widget: QWidget) -> QDockWidget | None:
    parent = widget.parent()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parent()
    return parent
