"""The Train widget: learn from corrections in the background, compare old and new, then choose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ..imaging.errors import CellsegError
from ..network.versions import load_model, user_models_dir
from ..training.finetune_params import FineTuneParams
from ..training.runs import Unfinished, discard, list_unfinished, next_version_dir
from .bindings import Bindings
from .commands import segment_widget
from .dock import Dock
from .layout import small_button
from .segment_widget import SegmentWidget
from .train_expert_section import TrainExpertSection
from .train_fold import Fold
from .train_guard_section import TrainGuardSection
from .train_job import Outcome, TrainRequest, job_of
from .train_question import Question
from .train_set_section import TrainSetSection
from .train_start_section import TrainStartSection

if TYPE_CHECKING:
    from napari import Viewer

NOTHING = (
    "There is nothing to learn from yet. Segment an image, correct and review some of its cells in the Correct widget, "
    "and add it to this training set."
)


class TrainWidget(Dock):
    """Dock widget that makes a new model version from corrected images.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Given by napari.
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, "train", parent)
        self.job = job_of(self.bench)
        self.question = Question()
        self.start_section = TrainStartSection(self.job)
        self.set_section = TrainSetSection(self.bench, self.job, self.question.ask, self.start_section.say)
        self.guard_section = TrainGuardSection(self.bench, self.question)
        self.expert_section = TrainExpertSection()
        self._unfinished: Unfinished | None = None
        self._build_unfinished()
        self._lay_out()
        self.start_section.asked.connect(self.start)
        # Its place is known only once the layout has made room for it.
        self.question.asked.connect(lambda: QTimer.singleShot(0, self._show_question))
        self.start_section.use_asked.connect(self.use)
        self.guard_section.used.connect(self.use)
        self.guard_section.kept.connect(self._on_kept)
        self._bindings = Bindings(self)
        self._bindings.bind(self.job.changed, self._on_changed)
        self._bindings.bind(self.job.ended, self._on_ended)
        if self.job.outcome is not None:
            self._on_ended(self.job.outcome)

    def start(self) -> None:
        """Start to train, unless something is missing, which is said."""
        problem = self._problem()
        if problem:
            self.start_section.say(problem, True)
            return
        try:
            parent = load_model(self.start_section.parent_name)
            minutes = self.start_section.minutes.value()
            FineTuneParams(minutes=minutes, **self.expert_section.values())
        except CellsegError as error:
            self.start_section.say(str(error), True)
            return
        name = self.start_section.parent_name
        out, options = next_version_dir(parent.name), self.expert_section.words()
        self._begin(TrainRequest(self.job.folder, name, out, minutes, options))

    def resume(self) -> None:
        """Go on with the run that was interrupted last."""
        run = self._unfinished
        if run is not None:
            self._begin(TrainRequest(Path(run.training_set), run.parent, run.path, 0, resume=True))

    def use(self, name_or_path: str) -> None:
        """Let the Segment widget use a version, and predict the current image again; corrections stay."""
        try:
            version = load_model(name_or_path)
        except CellsegError as error:
            self.start_section.say(str(error), True)
            return
        listed = version.bundled or version.path.parent == user_models_dir().resolve()
        wanted = version.name if listed else str(version.path)
        self._show_expert()
        segment = self._segment_widget()
        segment.model_section.refresh(wanted)
        self.start_section.refresh(wanted)
        again = self.bench.session.cells is not None and self.bench.session.running is None
        if again:
            segment.segment()
        done = "The current image is being segmented again; your corrections stay." if again else ""
        self.start_section.say(f"{version.name} is used from now on. {done}".strip())

    def showEvent(self, event: QShowEvent) -> None:
        """Look what there is."""
        super().showEvent(event)
        self.start_section.refresh()
        self.set_section.refresh()
        self._show_unfinished()

    def window_seen(self, window: QWidget) -> None:
        """Stop the training, too, when the window closes."""
        super().window_seen(window)
        window.destroyed.connect(self.job.close)

    def _begin(self, request: TrainRequest) -> None:
        self.question.hide()
        self.guard_section.hide()
        self._show_expert()
        self.job.start(request)

    def _problem(self) -> str:
        """Say why training cannot start; empty when it can."""
        section = self.set_section
        if section.problem:
            return section.problem
        if section.usable or section.busy:
            return ""
        if section.entries:
            return f"No image of this training set can be used. {section.entries[0].problem}"
        return NOTHING

    def _segment_widget(self) -> SegmentWidget:
        """Return the viewer's Segment widget, docked by whatever means; opened if there is none."""
        found = self.window().findChild(SegmentWidget)
        return found if found is not None else segment_widget(self.bench.viewer)

    def _on_changed(self) -> None:
        self.expert_section.setEnabled(not self.job.running)
        self._show_unfinished()

    def _on_ended(self, outcome: Outcome) -> None:
        self.guard_section.show_outcome(outcome)
        self._show_expert()
        # The decision is what counts now; list and curves are one click away.
        for fold in (self.set_section.fold, self.start_section.fold):
            fold.unfold(outcome.version is None)
        self._show_unfinished()

    def _show_question(self) -> None:
        self.scroll.ensureWidgetVisible(self.question)

    def _show_expert(self) -> None:
        # Not while there is something to be decided, which then fits on a small screen.
        self.expert.setVisible(self.guard_section.isHidden())

    def _on_kept(self) -> None:
        self._show_expert()
        self.start_section.refresh()
        self.start_section.say("The old model stays in use. The new one is in the list of models, should you want it.")

    def _build_unfinished(self) -> None:
        self.unfinished = QWidget(objectName="unfinished")
        self.unfinished_text = QLabel(objectName="unfinished_text")
        self.unfinished_text.setWordWrap(True)
        self.resume_button = small_button("train_resume", "Resume", "Go on where it stopped, with the same settings.")
        self.discard_button = small_button(
            "train_discard", "Give up", "Do not go on with it. A version that it has left stays in the list of models."
        )
        self.resume_button.clicked.connect(self.resume)
        self.discard_button.clicked.connect(self._on_discard)
        row = QHBoxLayout(self.unfinished)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.unfinished_text, 4)
        row.addWidget(self.resume_button, 2)
        row.addWidget(self.discard_button, 2)

    def _show_unfinished(self) -> None:
        runs = [] if self.job.running else list_unfinished()
        self._unfinished = runs[0] if runs else None
        self.unfinished.setVisible(bool(runs))
        if self._unfinished is not None:
            part = round(100 * self._unfinished.done)
            self.unfinished_text.setText(f"{self._unfinished.name} was stopped at {part} %.")

    def _on_discard(self) -> None:
        if self._unfinished is not None:
            try:
                discard(self._unfinished.path)
            except OSError as error:
                self.start_section.say(f"{self._unfinished.path} cannot be cleared: {error}", True)
        self._show_unfinished()

    def _lay_out(self) -> None:
        self.expert = Fold(
            "train_expert", "Expert settings", "Settings that rarely need to be changed.", self.expert_section, False
        )
        column = QVBoxLayout()
        column.setSpacing(7)
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        parts = (self.set_section, line, self.start_section, self.unfinished, self.guard_section, self.question)
        for part in (*parts, self.expert):
            column.addWidget(part)
        self.lay_out(column)
