"""Open napari's own table of a layer's features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMainWindow, QTableView

from ...imaging.errors import CellsegError

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Labels

PLUGIN, WIDGET = "napari", "Features table widget"
HEIGHT = 210


def open_table(viewer: Viewer, layer: Labels) -> QTableView | None:
    """Select a layer and show its features in napari's Features table; returns the rows of that.

    Raises
    ------
    CellsegError
        When this napari has no such table.
    """
    viewer.layers.selection.active = layer
    before = set(viewer.window.dock_widgets)
    try:
        dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    except (KeyError, ValueError) as error:
        raise CellsegError(
            "This napari has no Features table. Update napari, or save the results and open the CSV file."
        ) from error
    dock.show()
    dock.raise_()
    main = dock.parent()
    if set(viewer.window.dock_widgets) - before and isinstance(main, QMainWindow):
        # Between the docks at the sides, which keep their height: below the sliders it would push them out of sight.
        main.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        main.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
        main.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
        main.resizeDocks([dock], [HEIGHT], Qt.Orientation.Vertical)
    rows: QTableView | None = widget.findChild(QTableView)
    return rows
