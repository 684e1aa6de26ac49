"""The list of a batch's images."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from ...results.rows import BatchRow
from ..shared.layout import elide_names
from .rows_model import CELLS, IMAGE, STATE, TIME, BatchModel

ROW_HEIGHT = 21


class BatchTable(QTableView):
    """The list.

    Signals
    -------
    opened(BatchRow)
        An image was double-clicked, or Enter was pressed.
    """

    opened = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("batch_table")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(ROW_HEIGHT)
        columns.setHighlightSections(False)
        columns.setStretchLastSection(False)
        self.doubleClicked.connect(lambda index: self.opened.emit(self.model().row(index.row())))

    def setModel(self, model: BatchModel) -> None:
        """Show the rows of a batch; sorted by their order until a title is clicked."""
        super().setModel(model)
        self.setSortingEnabled(True)
        self.sortByColumn(IMAGE, Qt.SortOrder.AscendingOrder)
        columns = self.horizontalHeader()
        for column, width in ((STATE, 92), (CELLS, 52), (TIME, 52)):
            columns.setSectionResizeMode(column, QHeaderView.ResizeMode.Interactive)
            self.setColumnWidth(column, width)
        columns.setSectionResizeMode(IMAGE, QHeaderView.ResizeMode.Stretch)
        elide_names(self, IMAGE)

    def selected(self) -> BatchRow | None:
        """Return the selected row."""
        index = self.currentIndex()
        return self.model().row(index.row()) if index.isValid() and self.selectionModel().hasSelection() else None

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Open the selected image with Enter."""
        row = self.selected()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and row is not None:
            self.opened.emit(row)
        else:
            super().keyPressEvent(event)
