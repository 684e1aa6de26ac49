"""The list of a batch's images as a Qt model that stays quick with ten thousand rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtWidgets import QWidget

from ...results.rows import BatchRow
from ..jobs.batch_rows import BatchRows
from ..shared.bindings import Bindings
from ..shared.colors import Colors

COLUMNS = ("Image", "State", "Cells", "Time")
IMAGE, STATE, CELLS, TIME = range(4)
ALL, FAILED, FLAGGED, CORRECTED = "all", "failed", "flagged", "corrected"
_PLACE = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_ORDER = ("running", "failed", "waiting", "done", "skipped", "kept")


class BatchModel(QAbstractTableModel):
    """Rows of a batch as a Qt model.

    A row stays where it is while the batch goes on, also in a sorted list: it does not jump from under the mouse.

    Parameters
    ----------
    rows : BatchRows
    owner : QWidget
        When Qt destroys it the model follows the rows no more.
    """

    def __init__(self, rows: BatchRows, owner: QWidget) -> None:
        super().__init__(owner)
        self.rows = rows
        self.show = ALL
        self._colors: Colors | None = None
        # Numbers of the rows in the order of the list; and the place of each number, once it is asked for.
        self._shown: list[int] = []
        self._places: dict[int, int] | None = None
        self._added: tuple[str, str, int] | None = None
        self._sorted = (IMAGE, False)
        self._bindings = Bindings(owner)
        self._bindings.bind(rows.reset, self._on_reset)
        self._bindings.bind(rows.added, self._on_added)
        self._bindings.bind(rows.changed, self._on_changed)
        self._bindings.bind(rows.flagged, self._on_flagged)
        self._on_reset()

    def row(self, place: int) -> BatchRow:
        """Return the row at a place of the list."""
        return self.rows.rows[self._shown[place]]

    def place(self, number: int) -> int | None:
        """Return where a row is in the list; None where it is not shown."""
        if self._places is None:
            self._places = {number: place for place, number in enumerate(self._shown)}
        return self._places.get(number)

    def set_show(self, which: str) -> None:
        """Show all rows, or only those that failed, stand out or were corrected."""
        self.show = which
        self._on_reset()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        if self._shown:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._shown) - 1, len(COLUMNS) - 1))

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many rows are shown."""
        return 0 if parent is not None and parent.isValid() else len(self._shown)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the titles of the columns."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what Qt asks for about one field."""
        row, column = self.row(index.row()), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(row, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.about(row)
        if role == Qt.ItemDataRole.TextAlignmentRole and column in (CELLS, TIME):
            return _PLACE
        if role == Qt.ItemDataRole.ForegroundRole and self._colors is not None:
            if row.state == "failed" or _is_changed(row) or (row.image, row.page) in self.rows.flags:
                return self._colors.warning
            if row.state in ("waiting", "skipped"):
                return self._colors.faint
            if row.state == "running":
                return self._colors.accent
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; rows without a value come last."""
        self._sorted = (column, order == Qt.SortOrder.DescendingOrder)
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        numbers = [self._shown[index.row()] for index in before]
        self._arrange(self._shown)
        after = [self.index(self.place(n) or 0, index.column()) for n, index in zip(numbers, before, strict=True)]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def state(self, row: BatchRow) -> str:
        """Return the state of an image in few words."""
        if row.state == "running":
            image, part = self.rows.part
            return f"running {part:.0%}" if image == row.image and part else "running"
        if row.state == "failed":
            return f"failed: {_without(row.error, row)}"
        if row.state == "waiting":
            return "waiting"
        words = "corrected" if row.corrected or row.state == "kept" else "done"
        if _is_changed(row):
            # What is wrong comes first: the column is narrow.
            words = f"image changed; {words}"
        flag = self.rows.flags.get((row.image, row.page))
        return f"{words}; {flag}" if flag else words

    def about(self, row: BatchRow) -> str:
        """Return all that is known of an image, as text."""
        lines = [row.title]
        flag = self.rows.flags.get((row.image, row.page))
        if row.state == "failed":
            lines.append(f"Failed: {row.error}")
        if row.state == "skipped":
            lines.append("It was done before in the same way, and is left as it was.")
        if row.state == "kept":
            lines.append("It was manually corrected, and is left as it was.")
        if _is_changed(row):
            lines.append(row.error)
        if row.has_result and row.median_area_px is not None:
            lines.append(f"Median area {row.median_area_px:,.0f} px.")
        if row.has_result and row.median_volume_vox is not None:
            lines.append(f"Linked over slices; median volume {row.median_volume_vox:,.0f} voxels.")
        if row.positive:
            lines.append(f"Called: {', '.join(f'{name} {n:,}' for name, n in row.positive.items())}.")
        lines += [f"Stands out: {flag}."] if flag else []
        return "\n".join([*lines, *row.notes])

    def _text(self, row: BatchRow, column: int) -> str:
        if column == IMAGE:
            return row.title
        if column == STATE:
            return self.state(row)
        if column == CELLS:
            return "" if row.count is None or not row.has_result else f"{row.count:,}"
        return "" if row.seconds is None or row.state == "running" else f"{row.seconds:.1f} s"

    def _wanted(self, number: int) -> bool:
        row = self.rows.rows[number]
        if self.show == FAILED:
            return row.state == "failed"
        if self.show == FLAGGED:
            return (row.image, row.page) in self.rows.flags
        if self.show == CORRECTED:
            return row.corrected or row.state == "kept"
        return True

    def _arrange(self, numbers: list[int]) -> None:
        column, falling = self._sorted
        rows, order = self.rows.rows, self.rows.order
        having: Callable[[int], Any]
        if column == CELLS:
            having = lambda n: rows[n].count if rows[n].has_result else None  # noqa: E731
        elif column == TIME:
            having = lambda n: rows[n].seconds  # noqa: E731
        elif column == STATE:
            having = lambda n: (_ORDER.index(rows[n].state), rows[n].error)  # noqa: E731
        else:
            having = order
        values = {n: having(n) for n in numbers}
        known = sorted((n for n in numbers if values[n] is not None), key=lambda n: (values[n], order(n)))
        if falling:
            known.reverse()
        self._shown = [*known, *sorted((n for n in numbers if values[n] is None), key=order)]
        self._places = self._added = None

    def _on_reset(self) -> None:
        self.beginResetModel()
        self._arrange([number for number in range(len(self.rows)) if self._wanted(number)])
        self.endResetModel()

    def _on_flagged(self) -> None:
        if self.show == FLAGGED:
            self._on_reset()
        elif self._shown:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._shown) - 1, len(COLUMNS) - 1))

    def _on_added(self, number: int) -> None:
        if not self._wanted(number):
            return
        row, last = self.rows.rows[number], True
        if self._added is not None and self._added[0] == row.image and self._added[1] < row.page:
            at = self._added[2] + 1
        else:
            at, last = self._place_beside(row, number)
        self.beginInsertRows(QModelIndex(), at, at)
        self._shown.insert(at, number)
        self._places = None
        # Most often the plane after this one comes next.
        self._added = (row.image, row.page, at) if last else None
        self.endInsertRows()

    def _place_beside(self, row: BatchRow, number: int) -> tuple[int, bool]:
        """Find the place of a new row among those of its image, by its plane; and whether it is the last of them."""
        places = {
            n: place for n in self.rows.numbers(row.image) if n != number and (place := self.place(n)) is not None
        }
        if not places:
            return len(self._shown), True
        below = [place for n, place in places.items() if self.rows.rows[n].page < row.page]
        return (max(below) + 1 if below else min(places.values())), len(below) == len(places)

    def _on_changed(self, numbers: set[int]) -> None:
        if self.show != ALL and any((self.place(n) is not None) != self._wanted(n) for n in numbers):
            self._on_reset()
            return
        places = sorted(place for n in numbers if (place := self.place(n)) is not None)
        for first, last in _stretches(places):
            self.dataChanged.emit(self.index(first, 0), self.index(last, len(COLUMNS) - 1))


def _is_changed(row: BatchRow) -> bool:
    """Whether an image file changed after its labels were corrected: it has a result and an error."""
    return row.has_result and bool(row.error)


def _without(error: str, row: BatchRow) -> str:
    """Drop the name of the image, which is shown beside it, so that the reason fits the narrow column."""
    for name in (str(row.source.get("path", "")), row.image, row.image.rpartition("/")[2]):
        if name and error.startswith(name):
            return error[len(name) :].lstrip(": ")
    return error


def _stretches(places: list[int]) -> list[tuple[int, int]]:
    """Put neighbours together: first and last of each stretch."""
    found: list[tuple[int, int]] = []
    for place in places:
        if found and place == found[-1][1] + 1:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return found
