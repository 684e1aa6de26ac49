"""Our dock widgets stand as tabs on one place: below each other each would have half the height."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

OURS = "napari_cellseg_"


def beside(widget: QWidget) -> None:
    """Put the dock of a widget as a tab onto the dock of another widget of ours, if there is one on the right."""
    dock = _dock_of(widget)
    main = dock.parent() if dock is not None else None
    if dock is None or not isinstance(main, QMainWindow) or dock.isFloating():
        return
    right = Qt.DockWidgetArea.RightDockWidgetArea
    if main.dockWidgetArea(dock) != right or main.tabifiedDockWidgets(dock):
        return
    for other in main.findChildren(QDockWidget):
        held = [child for child in other.findChildren(QWidget) if child.objectName().startswith(OURS)]
        if other is not dock and held and other.isVisible() and main.dockWidgetArea(other) == right:
            main.tabifyDockWidget(other, dock)
            dock.raise_()
            return


def _dock_of(widget: QWidget) -> QDockWidget | None:
    parent = widget.parent()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parent()
    return parent
