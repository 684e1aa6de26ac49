"""The settings of a training, for those who ask for them: of a fine-tune, or of learning from images with masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QPushButton, QVBoxLayout, QWidget

from ...training import settings_groups as train_settings
from ...training.finetune_params import FineTuneParams, is_expert
from ...training.params import AugmentParams, TrainParams
from ..shared.colors import Colors
from ..shared.fold import Fold
from .files_section import TrainFilesSection
from .form import SettingsForm


class TrainExpertSection(SettingsForm):
    """Controls of a fine-tune's expert settings."""

    def __init__(self) -> None:
        super().__init__([f for f in fields(FineTuneParams) if is_expert(f.name)], "train")
        self.reset = _reset_button("train_defaults")
        self.reset.clicked.connect(self.set_defaults)
        form = self.layout()
        assert isinstance(form, QFormLayout)
        form.addRow(self.reset)

    def words(self) -> tuple[str, ...]:
        """Return what differs from the defaults as words of the command line."""
        pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in self.values().items()]
        return tuple(word for pair in pairs for word in pair)


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
        self.forms: dict[str, SettingsForm] = {}
        self.folds: dict[str, Fold] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 0, 0, 0)
        column.setSpacing(1)
        for group, title in train_settings.TITLES.items():
            form = SettingsForm(train_settings.fields_of(group), f"data_{group}", train_settings.OWN)
            form.changed.connect(self.changed)
            inside = _column(form, self.files) if group == "data" else form
            fold = Fold(f"data_fold_{group}", title, f"Settings: {title.lower()}.", inside, False)
            self.forms[group], self.folds[group] = form, fold
            column.addWidget(fold)
        self.reset = _reset_button("data_defaults")
        self.reset.clicked.connect(self.set_defaults)
        column.addWidget(self.reset)
        self._from_parent = False

    @property
    def epochs(self) -> int | None:
        """How many epochs were asked for; None: the time budget says how long."""
        value: int | None = self.forms["training"].values().get("epochs")
        return value

    @property
    def augment(self) -> AugmentParams:
        """How images are varied.

        Raises
        ------
        CellsegError
            If the two numbers of a pair are not in order.
        """
        return AugmentParams(**self.forms["augmentation"].values())

    def set_start(self, from_parent: bool) -> None:
        """Show what matters to a training from a parent, or from nothing."""
        self._from_parent = from_parent
        self.folds["network"].setVisible(not from_parent)
        rate = train_settings.FROM_PARENT["learning_rate"] if from_parent else TrainParams.learning_rate
        self.forms["training"].set_own("learning_rate", rate)
        self.forms["training"].set_unset("diameter", train_settings.unset_diameter(from_parent))

    def take_over(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Set some settings, by group and name."""
        for group, settings in values.items():
            self.forms[group].set_values(settings)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.files.set_colors(colors)

    def values(self) -> dict[str, dict[str, Any]]:
        """Return what differs from the command line's defaults, by group."""
        return {group: form.values() for group, form in self.forms.items()}

    def words(self) -> tuple[str, ...]:
        """Return these as words of the command line."""
        return (*train_settings.option_words(self.values(), self._from_parent), *self.files.words())

    def check(self, minutes: float | None) -> TrainParams:
        """Build the settings that were chosen.

        Raises
        ------
        CellsegError
            If they cannot be used.
        """
        return train_settings.check(self.values(), minutes, self._from_parent)

    def _on_files(self) -> None:
        # A split says which images are held out.
        for name in ("validation", "split_by"):
            self.forms["data"].controls[name].setEnabled(self.files.choice.split is None)
        self.changed.emit()

    def set_defaults(self) -> None:
        """Forget what was changed."""
        for form in self.forms.values():
            form.set_defaults()


def _column(*widgets: QWidget) -> QWidget:
    inside = QWidget()
    column = QVBoxLayout(inside)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(3)
    for widget in widgets:
        column.addWidget(widget)
    return inside


def _reset_button(name: str) -> QPushButton:
    button = QPushButton("Back to the defaults", objectName=name)
    button.setToolTip("Set all of these to what they were.")
    return button
