"""The entries of a training set as a list."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker

from ...training.data.training_set import Entry
from ..shared.colors import Colors
from ..shared.rows import Rows
from .add_entry import part_in_words

COLUMNS = ("Image", "Cells", "Reviewed", "State")
LIST_HEIGHT = 112


class EntryList(Rows):
    """One line per entry; what was selected stays so when the entries are read again."""

    def __init__(self) -> None:
        tip = "Images that can be learned from. Double-click one to look at it."
        super().__init__("training_entries", COLUMNS, tip, LIST_HEIGHT)

    def selected(self) -> str | None:
        """Return the name of the selected entry."""
        items = self.selectedItems()
        return items[0].text(0) if items else None

    def show_entries(self, entries: Sequence[Entry], colors: Colors | None) -> None:
        """List some entries; no selection signal is emitted meanwhile."""
        selected = self.selected()
        with QSignalBlocker(self):
            self.clear()
            for entry in entries:
                color = colors.warning if entry.problem and colors is not None else None
                self.add(_row(entry), _about(entry), color, right=(1, 2)).setSelected(entry.name == selected)


def _row(entry: Entry) -> list[str]:
    if entry.problem:
        return [entry.name, "–", "–", "cannot be used"]
    state = "changed" if entry.note else "ready"
    return [entry.name, f"{entry.n_cells:,}", part_in_words(entry.reviewed_fraction), state]


def _about(entry: Entry) -> str:
    size = f"{entry.size[0]} × {entry.size[1]} pixels" if any(entry.size) else ""
    added = f"added {entry.added.replace('T', ' ')[:16]}" if entry.added else ""
    return "\n".join(line for line in (entry.name, entry.problem, entry.note, size, added) if line)
