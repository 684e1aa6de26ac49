"""Pickers of a split file and of a table of kinds and groups, for those who have one."""

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
from ..shared.colors import Colors

SPLITS, TABLES = "Splits (*.json)", "Tables (*.csv)"


class FileRow:
    """A file that may be chosen: its name, a button to choose it, one to forget it, and what is to be said of it."""

    def __init__(self, grid: QGridLayout, row: int, name: str, title: str, none: str, tip: str) -> None:
        self.path: Path | None = None
        self.name = QLineEdit(objectName=f"{name}_file")
        self.name.setReadOnly(True)
        self.name.setPlaceholderText(none)
        self.name.setMinimumWidth(60)
        self.choose, self.forget = QToolButton(objectName=f"{name}_choose"), QToolButton(objectName=f"{name}_forget")
        self.choose.setText("…")
        self.choose.setToolTip(f"Choose a file. {tip}")
        self.forget.setText("×")
        self.forget.setToolTip("Do without this file.")
        self.said = QLabel(objectName=f"{name}_said")
        self.said.setWordWrap(True)
        self._tip = tip
        label = QLabel(title)
        label.setToolTip(tip)
        for column, widget in enumerate((label, self.name, self.choose, self.forget)):
            grid.addWidget(widget, row, column)
        grid.addWidget(self.said, row + 1, 0, 1, 4)

    def show(self, path: Path | None, text: str, color: str) -> None:
        """Show a choice, and a sentence about it."""
        self.path = path
        self.name.setText("" if path is None else path.name)
        self.name.setToolTip(self._tip if path is None else str(path))
        self.forget.setEnabled(path is not None)
        self.said.setText(text)
        self.said.setVisible(bool(text))
        self.said.setStyleSheet(f"color: {color};" if color else "")


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
        self._colors: Colors | None = None
        self._data: DataChoice | None = None
        self._loaded: Loaded | None = None
        self._choices: dict[DataChoice, FileChoice] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(1, 1)
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
        """What is chosen for the present dataset."""
        return FileChoice() if self._data is None else self._choices.get(self._data, FileChoice())

    def words(self) -> tuple[str, ...]:
        """Return what was chosen as words of the command line."""
        return self.choice.words()

    def choose(self, choice: FileChoice) -> None:
        """Choose something else for the present dataset."""
        if self._data is not None:
            self._choices[self._data] = choice
            self._check()
            self.changed.emit()

    def show_data(self, data: DataChoice, loaded: Loaded | None) -> None:
        """Follow the dataset: what was chosen for it, checked against its images once they were read."""
        if (data, loaded) != (self._data, self._loaded):
            self._data, self._loaded = data, loaded
            self._check()
            self.changed.emit()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self._check()

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
            text, bad = self._said(partial(describe_split, choice.split, samples))
        self.split.show(choice.split, text, self._color(bad))
        text, bad = "", False
        if choice.groups is not None and self._data is not None:
            text, bad = self._said(partial(describe_groups, choice.groups, self._data.path, loaded))
        text = text if bad else f"{text} {describe_weights(choice.weights)}".strip()
        self.groups.show(choice.groups, text, self._color(bad))

    def _said(self, describe: Callable[[], str]) -> tuple[str, bool]:
        try:
            return describe(), False
        except CellsegError as error:
            self.problem = self.problem or str(error)
            return str(error), True

    def _color(self, bad: bool) -> str:
        if self._colors is None:
            return ""
        return (self._colors.warning if bad else self._colors.faint).name()
