"""The entries of a training set as a list."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from ...training.data.training_set import Entry
from ..shared.colors import Colors
from .add_entry import part_in_words

COLUMNS = ("Image", "Cells", "Reviewed", "State")
LIST_HEIGHT = 112


class EntryList(QTreeWidget):
    """One line per entry; what was selected stays so when the entries are read again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, objectName="training_entries")
        self.setHeaderLabels(COLUMNS)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setFixedHeight(LIST_HEIGHT)
        self.setToolTip("Images that can be learned from. Double-click one to look at it.")
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.header().setStretchLastSection(False)
        for column in (1, 2, 3):
            self.header().setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)

    def selected(self) -> str | None:
        """Name of the selected entry."""
        items = self.selectedItems()
        return None if not items else str(items[0].data(0, Qt.ItemDataRole.UserRole))

    def show_entries(self, entries: Sequence[Entry], colors: Colors | None) -> None:
        """List these; no signal of a selection comes meanwhile."""
        selected = self.selected()
        with QSignalBlocker(self):
            self.clear()
            for entry in entries:
                item = QTreeWidgetItem(_row(entry))
                item.setData(0, Qt.ItemDataRole.UserRole, entry.name)
                item.setToolTip(0, _about(entry))
                item.setToolTip(3, _about(entry))
                for column in (1, 2):
                    item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                if entry.problem and colors is not None:
                    for column in range(len(COLUMNS)):
                        item.setForeground(column, colors.warning)
                self.addTopLevelItem(item)
                item.setSelected(entry.name == selected)


def _row(entry: Entry) -> list[str]:
    if entry.problem:
        return [entry.name, "–", "–", "cannot be used"]
    state = "changed" if entry.note else "ready"
    return [entry.name, f"{entry.n_cells:,}", part_in_words(entry.reviewed_fraction), state]


def _about(entry: Entry) -> str:
    size = f"{entry.size[0]} × {entry.size[1]} pixels" if any(entry.size) else ""
    added = f"added {entry.added.replace('T', ' ')[:16]}" if entry.added else ""
    return "\n".join(line for line in (entry.name, entry.problem, entry.note, size, added) if line)
