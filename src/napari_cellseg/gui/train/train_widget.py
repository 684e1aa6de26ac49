"""The Train widget: learn from corrections in the background, compare the old and the new model, then choose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QWidget

from ...evaluation.compare import read_comparison
from ...imaging.errors import CellsegError
from ...network.versions import ModelVersion, load_model, user_models_dir
from ..planes.plane_run import PlaneRun
from ..shared.bindings import Bindings
from ..shared.fold import Fold
from ..shared.help import HelpButton
from ..shared.layout import in_column, separator
from ..shared.message import errors_to
from ..shared.question import Question
from ..viewer.dock import Dock
from .add_entry import add_current
from .asking import NOTHING, TrainAsking
from .data_section import TrainDataSection
from .expert_section import TrainDataExpertSection, TrainExpertSection
from .guard_section import TrainGuardSection
from .job import TrainJob
from .pair_layers import PairLayers
from .request import Outcome, TrainRequest
from .result_section import TrainResultSection
from .search_job import SearchJob
from .search_section import SearchSection
from .set_section import TrainSetSection
from .start_section import SCRATCH, TrainStartSection
from .unfinished import TrainUnfinished
from .windows import TrainWindows

if TYPE_CHECKING:
    from napari import Viewer

SEARCHING = (
    "A search for settings is under way, and a training beside it would spoil its figures. Cancel it first, or wait."
)


class TrainWidget(Dock):
    """Dock widget that makes a new model version from corrected images, or from images with masks."""

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, "train", parent)
        self.job = TrainJob.for_bench(self.bench)
        self.question = Question()
        self.start_section = TrainStartSection(self.job)
        self.set_section = TrainSetSection(self.bench, self.job, self.question.ask, self.start_section.report)
        self.guard_section = TrainGuardSection(self.bench, self.question)
        layers = PairLayers(self.bench)
        self.result_section = TrainResultSection(self.bench, self.start_section.report, layers)
        self.expert_section, self.data_expert = TrainExpertSection(), TrainDataExpertSection()
        self.data_section = TrainDataSection(
            self.bench, self.job, self.start_section.report, lambda: self.data_expert.augment, layers
        )
        self.asking = TrainAsking(
            self.job, self.start_section, self.set_section, self.data_section, self.expert_section, self.data_expert
        )
        self.search_job = SearchJob.for_bench(self.bench)
        self.search_section = SearchSection(self.search_job, self.job, self.asking.search)
        self.windows = TrainWindows(
            self.bench, self.job, self.set_section, self.data_section, self.data_expert.files, self
        )
        self.unfinished = TrainUnfinished(self.job, self.start_section.report)
        self.unfinished.resumed.connect(self.resume)
        self._lay_out()
        start, result = self.start_section, self.result_section
        start.start.clicked.connect(self.start)
        start.use.clicked.connect(lambda: self.use(start.parent_name))
        start.figures.clicked.connect(lambda: self.show_figures(start.parent_name))
        start.models.clicked.connect(lambda: self.windows.open_models(start.parent_name))
        start.compare.clicked.connect(lambda: self.windows.compare())
        self.guard_section.used.connect(self.use)
        self.guard_section.kept.connect(self._on_kept)
        start.parent_changed.connect(self._on_source)
        self.data_expert.changed.connect(self._on_source)
        result.used.connect(self.use)
        result.closed.connect(self._show_expert)
        result.compare.clicked.connect(lambda: self.windows.compare(result.version.path if result.version else None))
        self.windows.models_changed.connect(self._on_models)
        self.data_section.read.connect(self._on_source)
        self.set_section.listed.connect(self._on_source)
        self.data_section.kinds.clicked.connect(self.windows.open_kinds)
        self.windows.kinds_used.connect(start.report)
        self.search_section.taken.connect(lambda tried: self.data_expert.take_over(tried.values))
        self._bindings = Bindings(self)
        self._bindings.bind(self.job.changed, self._on_changed)
        self._bindings.bind(self.job.ended, self._on_ended)
        self._bindings.bind(self.job.set_changed, self._on_source)
        self._bindings.bind(self.session.choices.changed, self._on_used)
        self._on_used()
        self._on_source()
        if self.job.outcome is not None:
            self._on_ended(self.job.outcome)

    def add_chosen(self, report: Callable[[str, bool], object]) -> None:
        """Add the chosen image to the training set in the background; `report` shows the outcome.

        Raises
        ------
        CellsegError
            If there is no image, or it was not segmented yet.
        """
        add_current(self.bench, report=report)

    def start(self) -> None:
        """Start to train, or show what is missing."""
        with errors_to(self.start_section.report):
            if self.search_job.running:
                raise CellsegError(SEARCHING)
            self._begin(self.asking.request())

    def resume(self) -> None:
        """Go on with the run that was interrupted last."""
        run = self.unfinished.run
        if self.search_job.running:
            self.start_section.report(SEARCHING, True)
        elif run is not None:
            folder = Path(run.training_set)
            self._begin(TrainRequest(folder, run.parent, run.path, 0, resume=True, command=run.command))

    def use(self, name_or_path: str) -> None:
        """Use a version in the Segment widget, and segment the current image again; corrections stay."""
        with errors_to(self.start_section.report):
            self._use(load_model(name_or_path))

    def _use(self, version: ModelVersion) -> None:
        listed = version.bundled or version.path.parent == user_models_dir().resolve()
        wanted = version.name if listed else str(version.path)
        self._show_expert()
        self.session.choose_model(wanted)
        self.start_section.refresh(wanted)
        again = self.bench.session.cells is not None and self.bench.session.running is None
        if again:
            self.bench.part(PlaneRun).segment_chosen()
        done = "The current image is being segmented again; your corrections stay." if again else ""
        self.start_section.report(f"{version.name} is used from now on. {done}".strip())

    def show_figures(self, name_or_path: str) -> None:
        """Show the figures of a version from when it was made: against its parent, or on held-out images."""
        with errors_to(self.start_section.report):
            version = load_model(name_or_path)
            comparison = read_comparison(version.path)
            if comparison is not None:
                request = TrainRequest(self.job.folder, version.parent or "", version.path, 0)
                self._show_outcome(Outcome(request, version, comparison, False, False, ""))
            else:
                self._show_version(version)
            self._fold_for(True)

    def _on_used(self, _: Any = None) -> None:
        self.start_section.show_used(self.session.choices.viewer.model)

    def _on_source(self, *_: Any) -> None:
        """Follow the choice of the data and of the parent."""
        trains = self.asking.trains
        self.data_expert.files.show_data(self.asking.choice, self.data_section.loaded if self.job.data else None)
        self.search_fold.setVisible(trains)
        self.data_expert.set_start(self.start_section.parent_name != SCRATCH)
        self.expert_section.setVisible(not trains)
        self.data_expert.setVisible(trains)
        self.start_section.show_kind(trains, self.data_expert.epochs)
        problem = self.asking.problem()
        self.start_section.set_problem(problem, warning=problem != NOTHING)

    def came_into_view(self) -> None:
        """Refresh the lists."""
        self.start_section.refresh()
        self.set_section.refresh()
        self.unfinished.refresh()

    def _begin(self, request: TrainRequest) -> None:
        self.question.hide()
        self.guard_section.hide()
        self.result_section.hide()
        self._show_expert()
        self._fold_for(False)
        self.job.start(request)

    def _on_models(self, *_: object) -> None:
        # The choice stays; the defaults of a model, or the list of models, have changed.
        self.start_section.refresh()
        self.session.models_changed.emit()

    def _on_changed(self) -> None:
        for section in (self.expert_section, self.data_expert):
            section.setEnabled(not self.job.running)
        self.unfinished.refresh()

    def _on_ended(self, outcome: Outcome) -> None:
        if self.job.trains and outcome.version is not None:
            self.start_section.refresh()
            self._show_version(outcome.version)
        else:
            self._show_outcome(outcome)
        self._fold_for(outcome.version is not None)
        self.unfinished.refresh()

    def _show_outcome(self, outcome: Outcome) -> None:
        self.result_section.hide()
        self.guard_section.show_outcome(outcome)
        self._show_expert()

    def _show_version(self, version: ModelVersion) -> None:
        self.guard_section.hide()
        self.result_section.show_version(version)
        self._show_expert()

    def _fold_for(self, decision: bool) -> None:
        # The decision matters most then; lists and curves are one click away.
        for fold in (self.set_section.fold, self.data_section.fold, self.start_section.fold):
            fold.unfold(not decision)

    def _show_expert(self) -> None:
        # Hidden while there is a decision to make, which then fits on a small screen.
        self.expert.setVisible(self.guard_section.isHidden() and self.result_section.isHidden())

    def _on_kept(self) -> None:
        self._show_expert()
        self.start_section.refresh()
        used = Path(self.session.choices.viewer.model).name
        self.start_section.report(f"{used} stays in use. The new model is in the list of models, should you want it.")

    def _lay_out(self) -> None:
        tip = "Let the computer try settings for some minutes; the best can then be taken over."
        self.search_fold = Fold("search_fold", "Search for good settings", tip, self.search_section, False)
        search = in_column(self.search_fold, left=10)
        inside = in_column(self.expert_section, self.data_expert, search, spacing=6)
        self.expert = Fold("train_expert", "Expert settings", "Settings that rarely need to be changed.", inside, False)
        self.expert.add_beside(HelpButton("Expert settings"))
        self.search_fold.add_beside(HelpButton("Search for settings"))
        parts = (self.set_section, self.data_section, separator(), self.start_section, self.unfinished)
        self.fill(
            *parts,
            self.guard_section,
            self.result_section,
            self.expert,
            below=(self.question, self.start_section.message),
        )
