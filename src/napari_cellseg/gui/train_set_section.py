"""What is learned from: the training set's folder and its entries, to be looked at, replaced and removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ..imaging.errors import CellsegError
from ..training.training_set import Entry, TrainingSet, default_training_set
from .bindings import Bindings
from .colors import Colors
from .layout import SMALL, shrinkable, small_button
from .train_data import DataChoice
from .train_entry_layers import EntryLayers
from .train_fold import Fold
from .train_job import TrainJob
from .training_entry import Ask, add_current, part_in_words
from .workbench import Workbench
from .workers import Latest

COLUMNS = ("Image", "Cells", "Reviewed", "State")
LIST_HEIGHT = 112
EMPTY = "Nothing here yet. Correct and review an image, then add it."


class TrainSetSection(QWidget):
    """Chooser of the training set, and the list of its entries.

    Parameters
    ----------
    bench : Workbench
    job : TrainJob
        Knows which folder is chosen.
    ask : callable
        Asks a question inside the panel.
    tell : callable
        Shows a sentence, and whether it is bad news.

    Signals
    -------
    listed()
        The entries were read.
    """

    listed = Signal()

    def __init__(self, bench: Workbench, job: TrainJob, ask: Ask, tell: Callable[[str, bool], object]) -> None:
        super().__init__()
        self._bench, self._job, self._ask, self._tell = bench, job, ask, tell
        self.entries: list[Entry] = []
        self.problem = ""
        self._colors: Colors | None = None
        self._set: TrainingSet | None = None
        self._choices: list[DataChoice] = [] if job.data is None else [job.data]
        self._listing = Latest(self._on_failed)
        self._working = Latest(self._on_failed)
        self._layers = EntryLayers(bench)
        self._build()
        self._lay_out()
        self._bindings = Bindings(self)
        self._bindings.bind(job.set_changed, self._on_set_changed)
        for signal in (bench.session.chosen_changed, bench.session.cells_changed):
            self._bindings.bind(signal, self._on_cells)
        self.destroyed.connect(self._listing.close)
        self._on_cells()

    @property
    def usable(self) -> list[Entry]:
        """Entries that can be learned from."""
        return [entry for entry in self.entries if not entry.problem]

    @property
    def busy(self) -> bool:
        """Whether the folder is being read or written."""
        return self._listing.busy or self._working.busy

    def refresh(self) -> None:
        """Read the folder again, beside the window's thread."""
        self._list_folders()
        folder = self._job.folder

        def read() -> tuple[TrainingSet | None, list[Entry], str]:
            if not folder.exists():
                return None, [], ""
            try:
                # The same object again: it does not read files that have not changed.
                known = self._set if self._set is not None and self._set.path == folder else TrainingSet.open(folder)
                return known, known.entries(), ""
            except CellsegError as error:
                return None, [], str(error)

        self._listing.ask(read, lambda found: self._show(folder, *found))

    def choose(self, folder: str | Path) -> None:
        """Use another training set."""
        self._job.folder, self._job.data = Path(folder), None
        self._job.set_changed.emit(self._job.folder)

    def choose_data(self, choice: DataChoice) -> None:
        """Learn from images with masks in the place of a training set."""
        self._choices = [*(other for other in self._choices if other != choice), choice]
        self._job.data = choice
        self._job.set_changed.emit(choice.path)

    def choose_folder(self, folder: str | Path) -> None:
        """Use a folder, as the training set or the images with masks that it holds."""
        if is_training_set(Path(folder)):
            self.choose(folder)
        else:
            self.choose_data(DataChoice(Path(folder)))

    def selected(self) -> str | None:
        """Name of the selected entry."""
        items = self.list.selectedItems()
        return None if not items else str(items[0].data(0, Qt.ItemDataRole.UserRole))

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self.hint.setStyleSheet(f"color: {colors.faint.name()};")
        self._fill()

    def _build(self) -> None:
        self.folder = QComboBox(objectName="training_set")
        self.folder.setToolTip("What is learned from: your corrected images, or images with masks from elsewhere.")
        shrinkable(self.folder)
        self.folder.activated.connect(self._on_activated)
        self.other = small_button("training_folder", "Open …", "Learn from other images: a folder, a zip, an npz.")
        menu = QMenu(self.other)
        for text, tip, slot in (
            ("Folder …", "A training set, or images with masks.", self._on_other),
            ("Zip or npz …", "Images with masks in one file.", self._on_file),
            ("Images and masks in two folders …", "Files of the same name belong together.", self._on_two),
        ):
            action = menu.addAction(text)
            action.setToolTip(tip)
            action.triggered.connect(slot)
        self.other.setMenu(menu)
        # The three dots say that there is more; an arrow beside them does not fit.
        self.other.setStyleSheet(f"{SMALL} QPushButton::menu-indicator {{ image: none; width: 0; }}")
        self.list = QTreeWidget(objectName="training_entries")
        self.list.setHeaderLabels(COLUMNS)
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setFixedHeight(LIST_HEIGHT)
        self.list.setToolTip("Images that can be learned from. Double-click one to look at it.")
        self.list.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.list.header().setStretchLastSection(False)
        for column in (1, 2, 3):
            self.list.header().setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.list.itemSelectionChanged.connect(self._on_selected)
        self.list.itemDoubleClicked.connect(lambda *_: self.view_selected())
        self.hint = QLabel(EMPTY, objectName="training_hint")
        self.hint.setWordWrap(True)
        self.add = small_button(
            "training_add",
            "Add this image",
            "Put the image that is shown, with its cells and the reviewed area, into this training set.",
        )
        self.view = small_button("training_view", "View", "Show this entry's image, labels and reviewed area.")
        self.replace = small_button(
            "training_replace",
            "Replace",
            "Put the layers that View has opened, as you changed them, in the place of this entry.",
        )
        self.remove = small_button("training_remove", "Remove", "Delete this entry's files from the training set.")
        self.add.clicked.connect(self._on_add)
        self.view.clicked.connect(self.view_selected)
        self.replace.clicked.connect(self._on_replace)
        self.remove.clicked.connect(self._on_remove)

    def _lay_out(self) -> None:
        top, buttons = QHBoxLayout(), QHBoxLayout()
        top.addWidget(QLabel("Learn from"))
        top.addWidget(self.folder, 3)
        top.addWidget(self.other, 1)
        buttons.setSpacing(4)
        for button, part in ((self.add, 4), (self.view, 2), (self.replace, 3), (self.remove, 3)):
            buttons.addWidget(button, part)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.list)
        column.addWidget(self.hint)
        column.addLayout(buttons)
        self.fold = Fold("training_fold", "no images", "Show or hide the list of images.", inside, True)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(3)
        outer.addLayout(top)
        outer.addWidget(self.fold)
        self.fold.setVisible(self._job.data is None)

    def _list_folders(self) -> None:
        """List the training sets that lie where ours does, and the one that is chosen."""
        default, chosen = default_training_set(), self._job.folder
        found = [default]
        if default.parent.is_dir():
            found += sorted(p for p in default.parent.iterdir() if p != default and (p / "images").is_dir())
        found += [] if chosen in found else [chosen]
        with QSignalBlocker(self.folder):
            self.folder.clear()
            for path in found:
                self.folder.addItem(path.name, str(path))
                self.folder.setItemData(self.folder.count() - 1, str(path), Qt.ItemDataRole.ToolTipRole)
            for choice in self._choices:
                self.folder.addItem(choice.name, choice)
                self.folder.setItemData(self.folder.count() - 1, str(choice), Qt.ItemDataRole.ToolTipRole)
            data = self._job.data
            place = found.index(chosen) if data is None else len(found) + self._choices.index(data)
            self.folder.setCurrentIndex(place)

    def _show(self, folder: Path, opened: TrainingSet | None, entries: list[Entry], problem: str) -> None:
        if folder == self._job.folder:
            self._set, self.entries, self.problem = opened, entries, problem
            self._fill()
            self.listed.emit()

    def _fill(self) -> None:
        selected = self.selected()
        with QSignalBlocker(self.list):
            self.list.clear()
            for entry in self.entries:
                item = QTreeWidgetItem(_row(entry))
                item.setData(0, Qt.ItemDataRole.UserRole, entry.name)
                item.setToolTip(0, _about(entry))
                item.setToolTip(3, _about(entry))
                for column in (1, 2):
                    item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                if entry.problem and self._colors is not None:
                    for column in range(len(COLUMNS)):
                        item.setForeground(column, self._colors.warning)
                self.list.addTopLevelItem(item)
                item.setSelected(entry.name == selected)
        self.fold.title.setText(self.summary())
        self.hint.setVisible(bool(self.problem) or not self.entries)
        self.hint.setText(self.problem or EMPTY)
        self._on_selected()

    def summary(self) -> str:
        """Say how much there is to learn from."""
        n_bad = len(self.entries) - len(self.usable)
        if not self.entries:
            return "this folder cannot be used" if self.problem else "no images yet"
        n_cells = sum(entry.n_cells for entry in self.usable)
        images = f"{len(self.usable)} image" + ("" if len(self.usable) == 1 else "s")
        return f"{images}, {n_cells:,} cells" + (f"; {n_bad} cannot be used" if n_bad else "")

    def _on_set_changed(self, folder: Any) -> None:
        self.fold.setVisible(self._job.data is None)
        if self._job.data is not None:
            if self._job.data not in self._choices:
                self._choices.append(self._job.data)
            self._list_folders()
        elif folder == self._job.folder:
            self.refresh()

    def _on_activated(self, index: int) -> None:
        chosen = self.folder.itemData(index)
        if isinstance(chosen, DataChoice):
            self.choose_data(chosen)
        else:
            self.choose(chosen)

    def _on_selected(self) -> None:
        for button in (self.view, self.remove):
            button.setEnabled(self.selected() is not None)
        self.replace.setEnabled(self.selected() is not None and self._layers.shown(self.selected() or ""))

    def _on_cells(self, key: Any = None) -> None:
        self.add.setEnabled(self._bench.session.cells is not None)

    def _on_other(self) -> None:
        start = self._job.folder if self._job.folder.exists() else self._job.folder.parent.parent
        title = "Choose a training set, or a folder of images with masks"
        folder = QFileDialog.getExistingDirectory(self, title, str(start))
        if folder:
            self.choose_folder(folder)

    def _on_file(self) -> None:
        kinds = "Images with masks (*.zip *.npz)"
        path, _ = QFileDialog.getOpenFileName(self, "Choose a zip or npz of images with masks", "", kinds)
        if path:
            self.choose_data(DataChoice(Path(path)))

    def _on_two(self) -> None:
        images = QFileDialog.getExistingDirectory(self, "Choose the folder of images")
        if not images:
            return
        start = str(Path(images).parent)
        masks = QFileDialog.getExistingDirectory(self, "Choose the folder of masks, files of the same names", start)
        if masks:
            self.choose_data(DataChoice(Path(images), Path(masks)))

    def _on_add(self) -> None:
        try:
            add_current(self._bench, self._job.folder, ask=self._ask, tell=self._tell)
        except CellsegError as error:
            self._tell(str(error), True)

    def view_selected(self) -> None:
        """Show the selected entry as layers."""
        name, opened = self.selected(), self._set
        if name is None or opened is None:
            return

        def show(sample: Any) -> None:
            self._layers.show(opened.path, sample)
            self._on_selected()
            self._tell(f"'{name}' is shown. To change it, edit its labels or reviewed layer and press Replace.", False)

        self._working.ask(lambda: opened.read(name), show)

    def _on_replace(self) -> None:
        name, opened = self.selected(), self._set
        if name is None or opened is None:
            return
        try:
            changed = self._layers.read(opened.path, name)
        except CellsegError as error:
            self._tell(str(error), True)
            return

        def write() -> Entry:
            entry = opened.add(name, *changed, provenance=opened.provenance(name), replace=True)
            if entry.name != name:
                # Nobody had written down of which image the entry was: it was added anew.
                opened.remove(name)
            return entry

        def replaced(entry: Entry) -> None:
            self._tell(f"'{entry.name}' was replaced by what the layers show.", False)
            self._job.set_changed.emit(opened.path)

        self._working.ask(write, replaced)

    def _on_remove(self) -> None:
        name, opened = self.selected(), self._set
        if name is None or opened is None:
            return

        def removed(_: object) -> None:
            self._tell(f"'{name}' was removed from the training set.", False)
            self._job.set_changed.emit(opened.path)

        self._ask(
            f"Delete '{name}' from the training set? Its image, labels and reviewed area there are gone then.",
            "Delete it",
            "Keep it",
            lambda: self._working.ask(lambda: opened.remove(name), removed),
        )

    def _on_failed(self, error: BaseException) -> None:
        if not isinstance(error, (CellsegError, OSError)):
            self._bench.failed(error)
        self._tell(str(error) or type(error).__name__, True)


def is_training_set(folder: Path) -> bool:
    """Whether a folder holds a training set of ours, or nothing yet."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return True
    try:
        TrainingSet.open(folder)
    except CellsegError:
        return False
    return True


def _row(entry: Entry) -> list[str]:
    if entry.problem:
        return [entry.name, "–", "–", "cannot be used"]
    state = "changed" if entry.note else "ready"
    return [entry.name, f"{entry.n_cells:,}", part_in_words(entry.reviewed_fraction), state]


def _about(entry: Entry) -> str:
    size = f"{entry.size[0]} × {entry.size[1]} pixels" if any(entry.size) else ""
    added = f"added {entry.added.replace('T', ' ')[:16]}" if entry.added else ""
    return "\n".join(line for line in (entry.name, entry.problem, entry.note, size, added) if line)
