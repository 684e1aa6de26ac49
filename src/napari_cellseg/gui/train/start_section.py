"""Which version to start from, for how long; Start, Cancel, how far it is, and the curves."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from ...network.versions import ModelVersion, lineage, list_models, load_model
from ...training.finetune_params import FineTuneParams
from ..jobs.job_parts import CancelButton, Message
from ..shared import preferences
from ..shared.bindings import Bindings
from ..shared.colors import Colors, accent_button
from ..shared.fold import Fold
from ..shared.form import control_of
from ..shared.layout import SMALL, leave_wheel, shrinkable
from ..shared.numbers import NumberBox
from ..shared.pace import in_words
from ..shared.progress_bar import ProgressBar
from .curves import OverlapCurves, TrainCurves
from .job import TrainJob

MINUTES_WIDTH = 112
LONGEST = 220
SCRATCH = ""
READY = "Press Start. The network learns from what you reviewed, in the background; you can go on working."
READY_TO_TRAIN = "Press Start. The network learns from these images in the background; some are held out to check it."


class TrainStartSection(QWidget):
    """Parent version, time budget, buttons, message and curves.

    Signals
    -------
    asked()
        Start was pressed.
    use_asked(str)
        The chosen version is to be used in the Segment widget.
    figures_asked(str)
        How good the chosen version is, is to be shown.
    models_asked()
        All models are to be shown.
    compare_asked()
        Trainings are to be looked at side by side.
    parent_changed()
        Another version, or nothing, was chosen to start from.
    """

    asked = Signal()
    use_asked = Signal(str)
    figures_asked = Signal(str)
    models_asked = Signal()
    compare_asked = Signal()
    parent_changed = Signal()

    def __init__(self, job: TrainJob, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._job = job
        self._build()
        self._lay_out()
        self._bindings = Bindings(self)
        self._bindings.bind(job.changed, self._on_changed)
        self._bindings.bind(job.progressed, self._on_progressed)
        self.refresh(preferences.default_model())
        self._on_changed()
        self._on_progressed()

    @property
    def parent_name(self) -> str:
        """Name of the version to start from; empty to start from nothing."""
        chosen = self.parent_model.currentData()
        return str(preferences.default_model() if chosen is None else chosen)

    def refresh(self, wanted: str | None = None) -> None:
        """List the versions again, and choose the wanted one, or the present one, if it is there."""
        wanted = self.parent_name if wanted is None else wanted
        self._models = list_models()
        self.compare.setVisible(sum(bool(model.training) for model in self._models) > 1)
        with QSignalBlocker(self.parent_model):
            self.parent_model.clear()
            for model in self._models:
                self.parent_model.addItem(model.name, model.name)
            self.parent_model.addItem("scratch", SCRATCH)
            if self.parent_model.findData(wanted) < 0 and Path(wanted).is_dir():
                self._models.append(load_model(wanted))
                self.parent_model.addItem(Path(wanted).name, wanted)
            if not self._models:
                self.parent_model.insertItem(0, "no model installed", None)
            self.parent_model.setCurrentIndex(max(self.parent_model.findData(wanted), 0))
        self._show_lineage()

    def say(self, text: str, warning: bool = False) -> None:
        """Show a sentence until the next phase of a training."""
        self.message.say(text, warning)

    def show_kind(self, trains: bool, epochs: int | None) -> None:
        """Say what Start will do: train on images with masks, for the time or for some epochs, or fine-tune."""
        epochs = epochs if trains else None
        self.minutes.setVisible(epochs is None)
        self.time.setText("Time" if epochs is None else f"{epochs:,} epochs")
        if self.message.said in (READY, READY_TO_TRAIN):
            self.say(READY_TO_TRAIN if trains else READY)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.start.setStyleSheet(accent_button(colors))
        self.curves.set_colors(colors)
        self.overlap.set_colors(colors)
        self.lineage.setStyleSheet(f"color: {colors.faint.name()};")
        self.message.set_colors(colors)

    def _build(self) -> None:
        self.parent_model = QComboBox(objectName="train_parent")
        self.parent_model.setToolTip(
            "The model that the new one starts from. It is never changed: choosing it again is the undo."
        )
        shrinkable(self.parent_model)
        self.parent_model.activated.connect(self._on_parent)
        self.time = QLabel("Time")
        self._minutes = control_of(FineTuneParams, "minutes", "train", FineTuneParams.minutes)
        self.minutes: NumberBox = self._minutes.native
        self.minutes.setFixedWidth(MINUTES_WIDTH)
        self.minutes.setToolTip("How long it may learn. Five minutes are enough for a few images; more helps a little.")
        leave_wheel(self.parent_model)
        self.lineage = QElidingLabel(objectName="train_lineage")
        # The end of a line of versions is what counts.
        self.lineage.setElideMode(Qt.TextElideMode.ElideLeft)
        self.lineage.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.use = QPushButton("Use it", objectName="train_use_parent")
        self.use.setToolTip(
            "Let the Segment widget use this version, and segment the current image again.\n"
            "Going back to an older one is the undo."
        )
        self.use.clicked.connect(lambda: self.use_asked.emit(self.parent_name))
        self.figures = QPushButton("Figures", objectName="train_figures")
        self.figures.setToolTip("How good this version was when it was made: its figures, and what it changed.")
        self.models = QPushButton("Models …", objectName="train_models")
        self.models.setToolTip("All models: import, export, and calibrate their threshold and smallest cell.")
        self.models.clicked.connect(self.models_asked)
        for button in (self.use, self.figures, self.models):
            button.setStyleSheet(SMALL)
        self.figures.clicked.connect(lambda: self.figures_asked.emit(self.parent_name))
        self.start = QPushButton("Start", objectName="train_start")
        self.start.setToolTip("Teach a copy of this model what you corrected. Nothing is overwritten.")
        self.cancel = CancelButton(
            self._job, "train_cancel", "Stop, and keep the best so far. Pressed a second time it stops at once."
        )
        for button in (self.start, self.cancel):
            button.setMinimumHeight(30)
        self.progress = ProgressBar(objectName="train_progress")
        self.progress.setToolTip("How much of the time budget is spent.")
        self.message = Message(READY, "train_message", LONGEST)
        self.compare = QToolButton(objectName="train_compare")
        self.compare.setText("Compare runs")
        self.compare.setToolTip("Set the trainings of several versions side by side: figures, curves, settings.")
        self.compare.clicked.connect(self.compare_asked)
        self.curves, self.overlap = TrainCurves(), OverlapCurves()
        self.overlap.hide()
        self.start.clicked.connect(self.asked)

    def _lay_out(self) -> None:
        top, middle = QHBoxLayout(), QHBoxLayout()
        top.addWidget(QLabel("Start from"))
        top.addWidget(self.parent_model, 1)
        top.addWidget(self.use)
        top.addWidget(self.figures)
        middle.addWidget(self.time)
        middle.addWidget(self.minutes)
        middle.addWidget(self.lineage, 1)
        middle.addWidget(self.models)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(5)
        grid.setColumnStretch(1, 1)
        grid.addLayout(top, 0, 0, 1, 3)
        grid.addLayout(middle, 1, 0, 1, 3)
        for column, widget in enumerate((self.start, self.progress, self.cancel)):
            grid.addWidget(widget, 2, column)
        grid.addWidget(self.message, 3, 0, 1, 3)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.curves)
        column.addWidget(self.overlap)
        self.fold = Fold("train_curves_fold", "Curves", "How the loss fell.", inside, True)
        self.fold.add_beside(self.compare)
        grid.addWidget(self.fold, 4, 0, 1, 3)

    def _chosen(self) -> ModelVersion | None:
        return next((m for m in self._models if self.parent_name in (m.name, str(m.path))), None)

    def _show_lineage(self) -> None:
        version = self._chosen()
        names = lineage(version, self._models) if version is not None else []
        text = " › ".join(names) if len(names) > 1 else "bundled"
        if len(names) == 1 and version is not None and not version.bundled:
            text = "from scratch"
        if self.parent_name == SCRATCH and version is None:
            names, text = ["nothing"], "knows nothing"
        self.lineage.setText(text if names else "")
        about = version.description if version is not None else ""
        self.lineage.setToolTip(f"Where this version comes from: {text}\n{about}".strip())
        self.use.setEnabled(version is not None)
        self.figures.setEnabled(version is not None)

    def _on_parent(self, *_: int) -> None:
        self._show_lineage()
        self.parent_changed.emit()

    def _on_changed(self) -> None:
        job = self._job
        self.start.setEnabled(not job.running)
        for control in (self.parent_model, self.minutes):
            control.setEnabled(not job.running)
        if job.running or job.outcome is not None:
            self.say(job.sentence(), job.outcome is not None and job.outcome.failed)
        if job.kind == "starting":
            self.fold.unfold(True)
            self._show_history()
        self._show_progress()

    def _on_progressed(self) -> None:
        self._show_history()
        self._show_progress()

    def _show_history(self) -> None:
        self.curves.show_history(self._job.history)
        self.overlap.show_history(self._job.history)
        self.overlap.setVisible(self._job.trains)

    def _show_progress(self) -> None:
        job, phase = self._job, self._job.phase
        if job.running and phase.total <= 0:
            self.progress.show_busy()
            return
        words = ""
        if job.kind == "running" and not phase.message:
            words = f"step {job.step}" if job.step else ""
            words += f", {in_words(job.seconds_left)} left" if job.seconds_left is not None else ""
        elif job.running:
            words = f"{phase.message} {phase.done} of {phase.total}"
        self.progress.show_part(phase.fraction if job.running else 0, words.strip(", "))
