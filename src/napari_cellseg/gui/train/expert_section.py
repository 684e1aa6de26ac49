"""The settings of a training, for those who ask for them: of a fine-tune, or of learning from images with masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from ...training import settings_groups as groups
from ...training.finetune_params import FineTuneParams, is_expert
from ...training.params import AugmentParams, TrainParams
from ..shared.colors import Colors
from ..shared.fold import Fold
from ..shared.form import Form
from .files_section import TrainFilesSection


class TrainExpertSection(QWidget):
    """Controls of a fine-tune's expert settings."""

    def __init__(self) -> None:
        super().__init__()
        shown_elsewhere = [entry.name for entry in fields(FineTuneParams) if not is_expert(entry.name)]
        self.form = Form(FineTuneParams, "train", shown_elsewhere)
        self.reset = _reset_button("train_defaults")
        self.reset.clicked.connect(self.form.set_defaults)
        _fill_column(self, self.form, self.reset, left=12)
        self.set_colors = self.form.set_colors

    def words(self) -> tuple[str, ...]:
        """Return what differs from the defaults as words of the command line."""
        return tuple(groups.words_of(self.form.changes()))


class TrainDataExpertSection(QWidget):
    """Controls of a training on images with masks, in groups that can be folded away.

    Signals
    -------
    changed()
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.files = TrainFilesSection()
        self.files.changed.connect(self._on_files)
        self.forms: dict[str, Form[Any]] = {}
        self.folds: dict[str, Fold] = {}
        for group, title in groups.TITLES.items():
            form: Form[Any] = Form(groups.GROUPS[group], f"data_{group}", groups.LEFT_OUT, groups.OWN)
            form.changed.connect(self.changed)
            inside = QWidget()
            _fill_column(inside, form, *([self.files] if group == "data" else []), left=12)
            self.forms[group] = form
            self.folds[group] = Fold(f"data_fold_{group}", title, f"Settings: {title.lower()}.", inside, False)
        self.reset = _reset_button("data_defaults")
        self.reset.clicked.connect(self.set_defaults)
        _fill_column(self, *self.folds.values(), self.reset, left=10)
        self._from_parent = False

    @property
    def epochs(self) -> int | None:
        """How many epochs were asked for; None: the time budget says how long."""
        value: int | None = self.forms["training"]["epochs"].value
        return value

    @property
    def augment(self) -> AugmentParams:
        """How images are varied.

        Raises
        ------
        CellsegError
            If the two numbers of a pair are not in order.
        """
        augment: AugmentParams = self.forms["augmentation"].value
        return augment

    def set_start(self, from_parent: bool) -> None:
        """Show what matters to a training from a parent, or from nothing."""
        self._from_parent = from_parent
        self.folds["network"].setVisible(not from_parent)
        rate = groups.FROM_PARENT["learning_rate"] if from_parent else TrainParams.learning_rate
        self.forms["training"].set_own("learning_rate", rate)
        self.forms["training"].set_unset("diameter", groups.unset_diameter(from_parent))

    def take_over(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Set some settings, by group and name."""
        for group, settings in values.items():
            self.forms[group].set_values(settings)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.files.set_colors(colors)
        for form in self.forms.values():
            form.set_colors(colors)

    def values(self) -> dict[str, dict[str, Any]]:
        """Return what differs from the command line's defaults, by group."""
        return {group: form.changes() for group, form in self.forms.items()}

    def words(self) -> tuple[str, ...]:
        """Return these as words of the command line."""
        return (*groups.option_words(self.values(), self._from_parent), *self.files.words())

    def check(self, minutes: float | None) -> TrainParams:
        """Build the settings that were chosen.

        Raises
        ------
        CellsegError
            If they cannot be used.
        """
        return groups.check(self.values(), minutes, self._from_parent)

    def _on_files(self) -> None:
        # A split says which images are held out.
        for name in ("validation", "split_by"):
            self.forms["data"][name].enabled = self.files.choice.split is None
        self.changed.emit()

    def set_defaults(self) -> None:
        """Forget what was changed."""
        for form in self.forms.values():
            form.set_defaults()


def _fill_column(inside: QWidget, *parts: QWidget, left: int = 0) -> None:
    column = QVBoxLayout(inside)
    column.setContentsMargins(left, 0, 0, 0)
    column.setSpacing(3)
    for part in parts:
        column.addWidget(part)


def _reset_button(name: str) -> QPushButton:
    button = QPushButton("Back to the defaults", objectName=name)
    button.setToolTip("Set all of these to what they were.")
    return button
