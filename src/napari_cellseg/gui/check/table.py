"""The table of both counts, into which the user types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from ...evaluation.agreement.store import LARGEST_COUNT, PersonCount
from ..shared.layout import elide_names
from .known import Entry

COLUMNS = ("Image", "Manual", "Auto", "±")
IMAGE, PERSON, AUTO, DIFFERENCE = range(4)
ROW_HEIGHT = 22
HEIGHT = 176
_TIPS = (
    "Without its tick an image does not count here.",
    "Type how many cells you count, or press Count by clicking. Empty it to take it back.",
    "What was counted automatically with these settings; corrections by hand are left aside.",
    "Automatic minus manual count.",
)
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class AgreementTable(QTableWidget):
    """One row per image.

    Signals
    -------
    typed(str, object)
        Id of an image and the user's count of it; None removes it.
    ticked(str, bool)
        Id of an image, and whether it is to count.
    refused(str)
        A sentence on what was typed and is no count.
    """

    typed = Signal(str, object)
    ticked = Signal(str, bool)
    refused = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(COLUMNS), parent)
        self.setObjectName("agreement_table")
        self.setHorizontalHeaderLabels(COLUMNS)
        for column, tip in enumerate(_TIPS):
            self.horizontalHeaderItem(column).setToolTip(tip)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        triggers = QAbstractItemView.EditTrigger
        self.setEditTriggers(triggers.DoubleClicked | triggers.AnyKeyPressed | triggers.EditKeyPressed)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFixedHeight(HEIGHT)
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(ROW_HEIGHT)
        columns.setHighlightSections(False)
        columns.setSectionResizeMode(IMAGE, QHeaderView.ResizeMode.Stretch)
        elide_names(self, IMAGE)
        for column, width in ((PERSON, 54), (AUTO, 54), (DIFFERENCE, 46)):
            columns.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            self.setColumnWidth(column, width)
        self.entries: list[Entry] = []
        self._people: Mapping[str, PersonCount] = {}
        self.itemChanged.connect(self._on_item)

    def fill(self, entries: Sequence[Entry], people: Mapping[str, PersonCount]) -> None:
        """Show other rows; where only numbers changed, what is being typed stays."""
        same = [entry.id for entry in entries] == [entry.id for entry in self.entries]
        self.entries, self._people = list(entries), dict(people)
        with QSignalBlocker(self):
            if not same:
                chosen = self.selected()
                self.setRowCount(0)
                self.setRowCount(len(entries))
                self._make_items()
                self.choose("" if chosen is None else chosen.id)
            for row, entry in enumerate(self.entries):
                self._show(row, entry)

    def selected(self) -> Entry | None:
        """Return the selected row."""
        row = self.currentRow()
        return self.entries[row] if 0 <= row < min(len(self.entries), self.rowCount()) else None

    def choose(self, id_: str) -> None:
        """Select an image's row, or the first."""
        ids = [entry.id for entry in self.entries]
        if ids:
            self.setCurrentCell(ids.index(id_) if id_ in ids else 0, PERSON)

    def _make_items(self) -> None:
        for row in range(len(self.entries)):
            for column in range(len(COLUMNS)):
                item = QTableWidgetItem()
                flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
                if column == PERSON:
                    flags |= Qt.ItemFlag.ItemIsEditable
                if column != IMAGE:
                    item.setTextAlignment(_RIGHT)
                item.setFlags(flags)
                self.setItem(row, column, item)

    def _show(self, row: int, entry: Entry) -> None:
        one = self._people.get(entry.id)
        people = None if one is None else one.people
        image = self.item(row, IMAGE)
        image.setText(entry.image)
        image.setToolTip(entry.image)
        if people is None or one is None:
            image.setFlags(image.flags() & ~Qt.ItemFlag.ItemIsUserCheckable)
            image.setData(Qt.ItemDataRole.CheckStateRole, None)
        else:
            image.setFlags(image.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            image.setCheckState(Qt.CheckState.Checked if one.used else Qt.CheckState.Unchecked)
        self.item(row, PERSON).setText("" if people is None else f"{people}")
        self.item(row, AUTO).setText("–" if entry.automatic is None else f"{entry.automatic}")
        both = people is not None and entry.automatic is not None
        difference = (entry.automatic or 0) - (people or 0)
        self.item(row, DIFFERENCE).setText((f"{difference:+d}" if difference else "0") if both else "")

    def _on_item(self, item: QTableWidgetItem) -> None:
        entry = self.entries[item.row()]
        one = self._people.get(entry.id)
        if item.column() == IMAGE:
            if one is not None and one.people is not None:
                self.ticked.emit(entry.id, item.checkState() == Qt.CheckState.Checked)
            return
        if item.column() != PERSON:
            return
        text = item.text().strip()
        known = None if one is None else one.people
        if not text:
            if known is not None:
                self.typed.emit(entry.id, None)
            return
        if not (text.isdecimal() and text.isascii() and int(text) <= LARGEST_COUNT):
            with QSignalBlocker(self):
                item.setText("" if known is None else f"{known}")
            self.refused.emit(f"'{text[:20]}' is no count of cells. Type a whole number, 0 or more.")
            return
        if int(text) != known:
            self.typed.emit(entry.id, int(text))
