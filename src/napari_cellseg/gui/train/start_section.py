"""The version to start from, the time budget, Start and Cancel, the progress and the curves."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QSizePolicy, QToolButton, QWidget
from superqt import QElidingLabel

from ...network.versions import ModelVersion, lineage, list_models, load_model
from ...training.finetune_params import FineTuneParams
from ..jobs.job_parts import CancelButton, JobBar
from ..shared import preferences
from ..shared.bindings import Bindings
from ..shared.choosers import chooser, fill
from ..shared.colors import Colors, accent_button
from ..shared.fold import Fold
from ..shared.form import control_of
from ..shared.help import HelpButton
from ..shared.layout import SMALL, button, in_column, in_row
from ..shared.message import Message
from ..shared.numbers import NumberBox
from .curves import HEIGHT, LOSS_TIP, OVERLAP_HEIGHT, OVERLAP_TIP, TrainCurves, losses, overlaps
from .job import TrainJob

MINUTES_WIDTH = 112
SCRATCH = ""
READY = "Press Start. The network learns from what you reviewed, in the background; you can go on working."
READY_TO_TRAIN = "Press Start. The network learns from these images in the background; some are held out to check it."


class TrainStartSection(QWidget):
    """Parent version, time budget, buttons, message and curves; the widget connects the buttons.

    Signals
    -------
    parent_changed()
        Another version, or nothing, was chosen to start from.
    """

    parent_changed = Signal()

    def __init__(self, job: TrainJob, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._job = job
        self._problem, self._ready, self._used = "", READY, ""
        self._build()
        self._lay_out()
        self._bindings = Bindings(self)
        self._bindings.bind(job.changed, self._on_changed)
        self._bindings.bind(job.progressed, self._show_history)
        self.refresh(preferences.default_model())
        self._on_changed()
        self._show_history()

    @property
    def parent_name(self) -> str:
        """Name of the version to start from; empty to start from nothing."""
        chosen = self.parent_model.currentData()
        return str(preferences.default_model() if chosen is None else chosen)

    def refresh(self, wanted: str | None = None) -> None:
        """List the versions again, and choose the wanted one, or the present one, if it is there."""
        wanted = self.parent_name if wanted is None else wanted
        # Networks of other packages are not trained here.
        self._models = [model for model in list_models() if not model.network]
        self.compare.setVisible(sum(bool(model.training) for model in self._models) > 1)
        entries = [*((model.title, model.name) for model in self._models), ("scratch", SCRATCH)]
        if wanted not in [name for _, name in entries] and Path(wanted).is_dir():
            self._models.append(load_model(wanted))
            entries.append((Path(wanted).name, wanted))
        fill(self.parent_model, entries if self._models else [("no model installed", None), *entries], wanted, 0)
        self._show_lineage()

    def set_problem(self, problem: str, warning: bool = True) -> None:
        """Switch Start off and show why it can't start; with an empty text it can."""
        before, self._problem = self._problem, problem
        self.start.setEnabled(not self._job.running and not problem)
        if not self._job.running and problem != before:
            self.report(problem or self._ready, warning and bool(problem))

    def show_used(self, model: str) -> None:
        """Show whether the chosen version is the one that the Segment widget uses."""
        self._used = model
        self._show_lineage()

    def show_kind(self, trains: bool, epochs: int | None) -> None:
        """Show what Start does: train on images with masks, for the time or for some epochs, or fine-tune."""
        epochs = epochs if trains else None
        self.minutes.setVisible(epochs is None)
        self.time.setText("Time" if epochs is None else f"{epochs:,} epochs")
        self._ready = READY_TO_TRAIN if trains else READY
        if self.message.full_text in (READY, READY_TO_TRAIN):
            self.report(self._ready)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.start.setStyleSheet(accent_button(colors))
        self.lineage.setStyleSheet(f"color: {colors.faint.name()};")

    def _build(self) -> None:
        tip = "The model that the new one starts from. It is never changed: choosing it again is the undo."
        self.parent_model = chooser("train_parent", tip, slot=self._on_parent)
        self.time = QLabel("Time")
        self._minutes = control_of(FineTuneParams, "minutes", "train", FineTuneParams.minutes)
        self.minutes: NumberBox = self._minutes.native
        self.minutes.setFixedWidth(MINUTES_WIDTH)
        self.minutes.setToolTip("How long it may learn. Five minutes are enough for a few images; more helps a little.")
        self.lineage = QElidingLabel(objectName="train_lineage")
        # The end of a lineage matters most.
        self.lineage.setElideMode(Qt.TextElideMode.ElideLeft)
        self.lineage.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        tip = (
            "Let the Segment widget use this version, and segment the current image again.\n"
            "To undo it, use the older one again."
        )
        self.use = button("train_use_parent", "Use it", tip, style=SMALL)
        tip = "How good this version was when it was made: its figures, and what it changed."
        self.figures = button("train_figures", "Figures", tip, style=SMALL)
        tip = "All models: import, export, and calibrate their threshold and smallest cell."
        self.models = button("train_models", "Models …", tip, style=SMALL)
        tip = "Teach a copy of this model what you corrected. Nothing is overwritten."
        self.start = button("train_start", "Start", tip)
        tip = "Stop, and keep the best so far. Pressed a second time it stops at once."
        self.cancel = CancelButton(self._job, "train_cancel", tip)
        for control in (self.start, self.cancel):
            control.setMinimumHeight(30)
        tip = "How much of it all is done, and the time that is left for learning."
        self.progress = JobBar(self._job, "train_progress", tip)
        self.message = Message(READY, "train_message", rows=3)
        # Shows a sentence until the next phase of a training.
        self.report = self.message.report
        tip = "Set the trainings of several versions side by side: figures, curves, settings."
        self.compare = QToolButton(objectName="train_compare", text="Compare runs", toolTip=tip)
        self.curves = TrainCurves("train_curves", HEIGHT, LOSS_TIP, losses)
        self.overlap = TrainCurves("train_overlap", OVERLAP_HEIGHT, OVERLAP_TIP, overlaps, top=1.0)
        self.overlap.hide()

    def _lay_out(self) -> None:
        inside = in_column(self.curves, self.overlap, spacing=3)
        self.fold = Fold("train_curves_fold", "Curves", "How the loss fell.", inside, True)
        self.fold.add_beside(self.compare)
        in_column(
            in_row(QLabel("Start from"), (self.parent_model, 1), self.use, self.figures, spacing=6),
            in_row(self.time, self.minutes, (self.lineage, 1), self.models, spacing=6),
            in_row(self.start, (self.progress, 1), self.cancel, HelpButton("Train"), spacing=5),
            self.fold, into=self, spacing=5,
        )  # fmt: skip

    def _chosen(self) -> ModelVersion | None:
        return next((m for m in self._models if self.parent_name in (m.name, str(m.path))), None)

    def _show_lineage(self) -> None:
        version = self._chosen()
        names = lineage(version, self._models) if version is not None else []
        text = " › ".join(names) if len(names) > 1 else "bundled"
        if len(names) == 1 and version is not None and not version.bundled:
            text = "from scratch"
        if self.parent_name == SCRATCH and version is None:
            names, text = ["nothing"], "untrained"
        self.lineage.setText(text if names else "")
        about = version.description if version is not None else ""
        self.lineage.setToolTip(f"Where this version comes from: {text}\n{about}".strip())
        in_use = version is not None and self._used in (version.name, str(version.path))
        self.use.setText("In use" if in_use else "Use it")
        self.use.setEnabled(version is not None and not in_use)
        self.figures.setEnabled(version is not None)

    def _on_parent(self, *_: int) -> None:
        self._show_lineage()
        self.parent_changed.emit()

    def _on_changed(self) -> None:
        job = self._job
        self.start.setEnabled(not job.running and not self._problem)
        for control in (self.parent_model, self.minutes):
            control.setEnabled(not job.running)
        if job.running or job.outcome is not None:
            self.report(job.sentence(), job.outcome is not None and job.outcome.failed)
        if job.kind == "starting":
            self.fold.unfold(True)
            self._show_history()

    def _show_history(self) -> None:
        self.curves.show_history(self._job.history)
        self.overlap.show_history(self._job.history)
        self.overlap.setVisible(self._job.trains)
