"""Which images of a file that holds several are to be opened: a list to tick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from ...imaging.read.scenes import file_of, scene_of
from ..shared.layout import button, in_row, sentence

# So many are ticked at first; of more only the first of each file, so that no one opens a whole plate unasked.
_TICKED = 8
_SIZE = (380, 420)


class ScenesDialog(QDialog):
    """Lists the images of files, and calls back with the ticked ones; the window can be used meanwhile.

    Parameters
    ----------
    found : sequence of (Path, str)
        Addresses of the images, and their names.
    then : callable
        Called with the addresses of the ticked images.
    parent : QWidget, optional
    """

    def __init__(
        self, found: Sequence[tuple[Path, str]], then: Callable[[list[Path]], object], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent, objectName="scenes")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Images in the file")
        self.resize(*_SIZE)
        self._then = then
        self.about = sentence("scenes_about", "")
        self.list = QListWidget(objectName="scenes_list")
        self.list.setToolTip("Each ticked image becomes a layer. For all images of many files use the Batch widget.")
        self.all = button("scenes_all", "All", "Tick every image.", lambda: self._tick(True))
        self.none = button("scenes_none", "None", "Tick no image.", lambda: self._tick(False))
        buttons = QDialogButtonBox()
        self.open_button = buttons.addButton("Open", QDialogButtonBox.ButtonRole.AcceptRole)
        self.cancel = buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(self.about)
        column.addWidget(self.list, 1)
        column.addLayout(in_row(self.all, self.none, None))
        column.addWidget(buttons)
        self.list.itemChanged.connect(self._enable)
        self.list.itemDoubleClicked.connect(self._open_one)
        self.add(found)

    def add(self, found: Sequence[tuple[Path, str]]) -> None:
        """List more images."""
        scenes = [path for path, _ in found if scene_of(path) is not None]
        firsts = {file_of(path): path for path in reversed(scenes)}
        for path, name in found:
            item = QListWidgetItem(name, self.list)
            item.setData(Qt.ItemDataRole.UserRole, path)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            first = firsts.get(file_of(path), path)
            item.setCheckState(_state(len(scenes) <= _TICKED or path == first))
        self.about.setText(f"{self.list.count():,} images were found. Tick those to open.")
        self._enable()

    def ticked(self) -> list[Path]:
        """Return the addresses of the ticked images, in the order of the list."""
        return [item.data(Qt.ItemDataRole.UserRole) for item in self._items() if item.checkState() == _state(True)]

    def accept(self) -> None:
        """Close, and open what is ticked."""
        paths = self.ticked()
        super().accept()
        self._then(paths)

    def _items(self) -> list[QListWidgetItem]:
        return [self.list.item(i) for i in range(self.list.count())]

    def _tick(self, on: bool) -> None:
        for item in self._items():
            item.setCheckState(_state(on))

    def _open_one(self, item: QListWidgetItem) -> None:
        self._tick(False)
        item.setCheckState(_state(True))
        self.accept()

    def _enable(self) -> None:
        self.open_button.setEnabled(bool(self.ticked()))


def _state(on: bool) -> Qt.CheckState:
    return Qt.CheckState.Checked if on else Qt.CheckState.Unchecked
