"""Choosers of a split file and of a table of kinds and groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QGridLayout, QLabel, QLineEdit, QToolButton, QWidget

from ...imaging.errors import CellsegError
from ...training.data.choice import DataChoice
from ...training.data.loading import Loaded
from ...training.data.split_files import FileChoice, describe_groups, describe_split, describe_weights
from ..shared.layout import in_grid
from ..shared.message import Message

SPLITS, TABLES = "Splits (*.json)", "Tables (*.csv)"


class FileRow:
    """A file that can be chosen: its name, a button to choose it, one to clear it, and a sentence about it."""

    def __init__(self, grid: QGridLayout, row: int, name: str, title: str, none: str, tip: str) -> None:
        self.path: Path | None = None
        self.name = QLineEdit(objectName=f"{name}_file", readOnly=True, placeholderText=none, minimumWidth=60)
        self.choose = QToolButton(objectName=f"{name}_choose", text="…", toolTip=f"Choose a file. {tip}")
        self.forget = QToolButton(objectName=f"{name}_forget", text="×", toolTip="Clear this choice.")
        self.about = Message(objectName=f"{name}_about", hides=True)
        self._tip = tip
        label = QLabel(title, toolTip=tip)
        for column, widget in enumerate((label, self.name, self.choose, self.forget)):
            grid.addWidget(widget, row, column)
        grid.addWidget(self.about, row + 1, 0, 1, 4)

    def show(self, path: Path | None, text: str, bad: bool) -> None:
        """Show a choice, and a sentence about it."""
        self.path = path
        self.name.setText("" if path is None else path.name)
        self.name.setToolTip(self._tip if path is None else str(path))
        self.forget.setEnabled(path is not None)
        self.about.report(text, bad)


class TrainFilesSection(QWidget):
    """Which split and which table of kinds the training uses; each dataset has its own.

    Signals
    -------
    changed()
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.problem = ""
        self._data: DataChoice | None = None
        self._loaded: Loaded | None = None
        self._choices: dict[DataChoice, FileChoice] = {}
        grid = in_grid(self, vertical=2)
        self.split = FileRow(
            grid, 0, "split", "Split file", "none: a new split",
            "A split.json or training.json that another training has left: the same images are held out again.",
        )  # fmt: skip
        self.groups = FileRow(
            grid, 2, "groups", "Kinds file", "groups.csv, if there is one",
            "A table (CSV) with image_id, kind and group. 'Kinds …' makes one.",
        )  # fmt: skip
        self.split.choose.clicked.connect(lambda: self._ask("Choose a split.json or training.json", SPLITS))
        self.groups.choose.clicked.connect(lambda: self._ask("Choose a table with image_id, kind and group", TABLES))
        self.split.forget.clicked.connect(lambda: self.choose(replace(self.choice, split=None)))
        self.groups.forget.clicked.connect(lambda: self.choose(replace(self.choice, groups=None, weights={})))
        self._check()

    @property
    def choice(self) -> FileChoice:
        """The files that are chosen for the present dataset."""
        return FileChoice() if self._data is None else self._choices.get(self._data, FileChoice())

    def words(self) -> tuple[str, ...]:
        """Return the choice as words of the command line."""
        return self.choice.words()

    def choose(self, choice: FileChoice) -> None:
        """Choose other files for the present dataset."""
        if self._data is not None:
            self._choices[self._data] = choice
            self._check()
            self.changed.emit()

    def show_data(self, data: DataChoice, loaded: Loaded | None) -> None:
        """Show the files of a dataset, checked against its images once those were read."""
        if (data, loaded) != (self._data, self._loaded):
            self._data, self._loaded = data, loaded
            self._check()
            self.changed.emit()

    def _ask(self, title: str, kinds: str) -> None:
        start = "" if self._data is None else str(self._data.path.parent)
        path, _ = QFileDialog.getOpenFileName(self, title, start, kinds)
        if path and kinds == SPLITS:
            self.choose(replace(self.choice, split=Path(path)))
        elif path:
            # The weights were of the kinds of another table.
            self.choose(replace(self.choice, groups=Path(path), weights={}))

    def _check(self) -> None:
        choice, loaded = self.choice, self._loaded
        self.problem = ""
        text, bad = "", False
        if choice.split is not None:
            samples = None if loaded is None else loaded.samples
            text, bad = self._described(partial(describe_split, choice.split, samples))
        self.split.show(choice.split, text, bad)
        text, bad = "", False
        if choice.groups is not None and self._data is not None:
            text, bad = self._described(partial(describe_groups, choice.groups, self._data.path, loaded))
        self.groups.show(choice.groups, text if bad else f"{text} {describe_weights(choice.weights)}".strip(), bad)

    def _described(self, describe: Callable[[], str]) -> tuple[str, bool]:
        try:
            return describe(), False
        except CellsegError as error:
            self.problem = self.problem or str(error)
            return str(error), True
