"""Kinds of images as rows: an editable name, the number of images, and their share of the training."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem

from ...evaluation.kinds_table import KindTable
from ..shared.choosers import leave_wheel
from ..shared.numbers import DecimalBox

COLUMNS = ("Kind", "Images", "Share")
SHARE_WIDTH = 104
NO_KIND = "(no kind)"
BOLD = "font-weight: bold;"


class KindsList(QTableWidget):
    """One row for each kind.

    Signals
    -------
    renamed(str, str)
        A name was edited: the old one, the new one.
    weighted(str, float)
        A share was edited: the kind, its share.
    """

    renamed = Signal(str, str)
    weighted = Signal(str, float)

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self.setObjectName("kinds_table")
        self.names: list[str] = []
        self.setHorizontalHeaderLabels(COLUMNS)
        self.horizontalHeaderItem(2).setToolTip(
            "How often images of this kind are learned from. As it is: as often as there are images of it."
        )
        self.verticalHeader().hide()
        self.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.setToolTip("Click a kind to see its images; double-click its name to change it.")
        header = self.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Fixed)
        header.resizeSection(2, SHARE_WIDTH)
        self.itemChanged.connect(self._on_edited)

    def selected(self) -> list[str]:
        """Return the kinds whose rows are selected."""
        rows = sorted({index.row() for index in self.selectionModel().selectedRows()})
        return [self.names[row] for row in rows]

    def show_table(self, table: KindTable) -> None:
        """Show other kinds; those that were selected stay so."""
        kept, shares = set(self.selected()), table.shares()
        self.names = list(shares)
        with QSignalBlocker(self):
            self.clearContents()
            self.setRowCount(len(shares))
            for row, (kind, n) in enumerate(table.counts().items()):
                count = QTableWidgetItem(f"{n:,}")
                count.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                count.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.setItem(row, 0, QTableWidgetItem(kind or NO_KIND))
                self.setItem(row, 1, count)
                self.setCellWidget(row, 2, self._share(kind, shares[kind], kind in table.weights))
            model = self.selectionModel()
            model.clearSelection()
            for row, kind in enumerate(self.names):
                if kind in kept:
                    model.select(self.model().index(row, 0), model.SelectionFlag.Select | model.SelectionFlag.Rows)

    def _share(self, kind: str, share: float, changed: bool) -> DecimalBox:
        tip = "As often as there are images of it. Change it to learn from them more or less often."
        box = DecimalBox(suffix=" %", keyboardTracking=False, toolTip=tip)
        box.setRange(0.1, 100)
        box.setDecimals(1)
        leave_wheel(box)
        box.setValue(100 * share)
        if changed:
            box.setStyleSheet(BOLD)
        box.valueChanged.connect(partial(self._on_share, box, kind))
        return box

    def _on_share(self, box: DecimalBox, kind: str, value: float) -> None:
        box.setStyleSheet(BOLD)
        self.weighted.emit(kind, value / 100)

    def _on_edited(self, item: QTableWidgetItem) -> None:
        if item.column() == 0 and item.text() != (self.names[item.row()] or NO_KIND):
            self.renamed.emit(self.names[item.row()], kind_name(item.text()))


def kind_name(text: str) -> str:
    """Return the kind that a text stands for."""
    return "" if text.strip() == NO_KIND else text
