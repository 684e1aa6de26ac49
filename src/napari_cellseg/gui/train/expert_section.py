"""Expert settings of a fine-tune, and of a training on images with masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from ...training import settings_groups as groups
from ...training.finetune_params import FineTuneParams, is_expert
from ...training.params import AugmentParams, TrainParams
from ..shared.fold import Fold
from ..shared.form import Form
from ..shared.layout import button, in_column
from .files_section import TrainFilesSection

RESET, RESET_TIP = "Back to the defaults", "Set all of these to their defaults."


class TrainExpertSection(QWidget):
    """Controls of a fine-tune's expert settings."""

    def __init__(self) -> None:
        super().__init__()
        shown_elsewhere = [entry.name for entry in fields(FineTuneParams) if not is_expert(entry.name)]
        self.form = Form(FineTuneParams, "train", shown_elsewhere)
        self.reset = button("train_defaults", RESET, RESET_TIP, self.form.set_defaults)
        in_column(self.form, self.reset, into=self, left=12)

    def words(self) -> tuple[str, ...]:
        """Return the settings that differ from the defaults as words of the command line."""
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
            inside = in_column(form, *([self.files] if group == "data" else []), left=12)
            self.forms[group] = form
            self.folds[group] = Fold(f"data_fold_{group}", title, f"Settings: {title.lower()}.", inside, False)
        self.reset = button("data_defaults", RESET, RESET_TIP, self.set_defaults)
        in_column(*self.folds.values(), self.reset, into=self, spacing=1, left=10)
        self._from_parent = False

    @property
    def epochs(self) -> int | None:
        """Number of epochs; None if the time budget decides."""
        value: int | None = self.forms["training"]["epochs"].value
        return value

    @property
    def augment(self) -> AugmentParams:
        """How images are augmented.

        Raises
        ------
        CellsegError
            If the two numbers of a pair are not in order.
        """
        augment: AugmentParams = self.forms["augmentation"].value
        return augment

    def set_start(self, from_parent: bool) -> None:
        """Show the settings of a training from a parent, or from scratch."""
        self._from_parent = from_parent
        self.folds["network"].setVisible(not from_parent)
        rate = groups.FROM_PARENT["learning_rate"] if from_parent else TrainParams.learning_rate
        self.forms["training"].set_own("learning_rate", rate)
        self.forms["training"].set_unset("diameter", groups.unset_diameter(from_parent))

    def take_over(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Set some settings, by group and name."""
        for group, settings in values.items():
            self.forms[group].set_values(settings)

    def values(self) -> dict[str, dict[str, Any]]:
        """Return the settings that differ from the command line's defaults, by group."""
        return {group: form.changes() for group, form in self.forms.items()}

    def words(self) -> tuple[str, ...]:
        """Return the settings as words of the command line."""
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
        # A split defines which images are held out.
        for name in ("validation", "split_by"):
            self.forms["data"][name].enabled = self.files.choice.split is None
        self.changed.emit()

    def set_defaults(self) -> None:
        """Set all settings to their defaults."""
        for form in self.forms.values():
            form.set_defaults()
