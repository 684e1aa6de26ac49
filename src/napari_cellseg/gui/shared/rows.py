"""A list with columns whose rows can be selected."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem

from .layout import elide_names


class Rows(QTreeWidget):
    """One line per row.

    Parameters
    ----------
    name : str
        Object name.
    columns : sequence of str
    tooltip : str
    height : int, optional
        In pixels; by default as much as there is room for.
    stretched : int
        The column that takes the room that the others leave.
    """

    def __init__(
        self, name: str, columns: Sequence[str], tooltip: str, height: int | None = None, stretched: int = 0
    ) -> None:
        super().__init__(objectName=name)
        self.setHeaderLabels(list(columns))
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setToolTip(tooltip)
        if height is not None:
            self.setFixedHeight(height)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(stretched, QHeaderView.ResizeMode.Stretch)
        elide_names(self, stretched)

    def add(
        self, texts: Sequence[str], tooltip: str = "", color: QColor | None = None, right: Collection[int] = ()
    ) -> QTreeWidgetItem:
        """Add a row; `right` are the columns that are aligned at the right."""
        item = QTreeWidgetItem(list(texts))
        for column in range(len(texts)):
            item.setToolTip(column, tooltip)
            if color is not None:
                item.setForeground(column, color)
            if column in right:
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.addTopLevelItem(item)
        return item

    def fill(self, rows: Iterable[tuple[Sequence[str], str, QColor | None]], right: Collection[int] = ()) -> None:
        """Show other rows (texts, tooltip, colour); one with the first text of the selected row is selected then.

        No selection signal is emitted meanwhile.
        """
        selected = self.selected()
        with QSignalBlocker(self):
            self.clear()
            for texts, tooltip, color in rows:
                self.add(texts, tooltip, color, right).setSelected(texts[0] == selected)

    def selected(self) -> str | None:
        """Return the first text of the selected row."""
        items = self.selectedItems()
        return items[0].text(0) if items else None

    def selected_row(self) -> int | None:
        """Return the number of the selected row."""
        items = self.selectedItems()
        return self.indexOfTopLevelItem(items[0]) if items else None
