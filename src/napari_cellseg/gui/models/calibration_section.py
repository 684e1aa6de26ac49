"""Calibration of a model's threshold and smallest size: the map, and a button that keeps them as its defaults."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from ...evaluation.calibration_map import CalibrationMap, read_calibration, store_calibration
from ...imaging.errors import CellsegError
from ...network.exchange.import_model import import_model
from ...network.smallest import smallest_in_words
from ...network.versions import ModelVersion, list_models
from ..jobs.job_parts import CancelButton, JobBar
from ..shared.bindings import Bindings
from ..shared.choosers import chooser, fill
from ..shared.colors import Colors, accent_button
from ..shared.layout import button, heading, in_column, in_row, label, sentence
from ..shared.message import Message, errors_to
from .calibration_job import CalibrationJob, CalibrationRequest, CalibrationSource
from .heat_map import HeatMap, figure_text

GOALS = (("the smallest error of the count", "count"), ("the highest average precision", "ap"))
NO_IMAGES = (
    "Calibration needs images whose cells are known. Choose some in the Train widget (Learn from), or add corrected "
    "images to its training set."
)
READY = "Segments the images once, and then tries 256 thresholds with every smallest size."
CLICK = (
    "Light is good. The ring is in the middle of the settings that these images cannot distinguish from the best; "
    "click to choose another."
)


class CalibrationSection(QWidget):
    """Images, goal, Calibrate, the map, and a button that keeps the chosen setting.

    Parameters
    ----------
    job : CalibrationJob
    find_sources : callable
        Images with known cells that there are for a model.
    report : callable
        Shows a sentence; its second argument is whether it is bad news.

    Signals
    -------
    stored(object)
        A model has new defaults: its ModelVersion.
    """

    stored = Signal(object)

    def __init__(
        self,
        job: CalibrationJob,
        find_sources: Callable[[ModelVersion], Sequence[CalibrationSource]],
        report: Callable[[str, bool], object],
    ) -> None:
        super().__init__()
        self._job, self._find_sources, self._report = job, find_sources, report
        self.model: ModelVersion | None = None
        self._sources: Sequence[CalibrationSource] = ()
        self._kept = False
        self._build()
        self._lay_out()
        self._bindings = Bindings(self)
        self._bindings.bind(job.changed, self._on_changed)
        self._bindings.bind(job.ended, self._on_ended)
        self._on_changed()

    @property
    def found(self) -> CalibrationMap | None:
        """The map that is shown, with the setting that is chosen on it."""
        return self.map.found

    def show_model(self, model: ModelVersion | None) -> None:
        """Show the calibration of a model."""
        self.model, found, problem = model, None, ""
        self._sources = self._find_sources(model) if model is not None else ()
        present = self.source.currentText()
        fill(self.source, [(source.title, source.title) for source in self._sources], present, 0)
        if model is not None:
            try:
                found = self._job.unkept.get(_asked(model)) or read_calibration(model.path)
            except CellsegError as error:
                problem = str(error)
        self._show_map(found, found is not None and model is not None and _is_default(found, model))
        if problem:
            self._report(problem, True)
        self._on_changed()

    def start(self) -> None:
        """Calibrate the model on the images that are chosen."""
        model, index = self.model, self.source.currentIndex()
        if model is None or index < 0:
            self._report(NO_IMAGES, True)
            return
        self._report("", False)
        self._job.start(CalibrationRequest(_asked(model), self._sources[index], self.goal.currentData()))

    def report_outcome(self) -> None:
        """Show the outcome of the last calibration, which may have ended while the window was closed."""
        outcome = self._job.outcome
        if outcome is not None and not self._job.running:
            self._report(outcome.sentence, outcome.failed)

    def choose(self, threshold: float, min_size: int) -> None:
        """Choose another setting on the map."""
        if self.found is not None and self.model is not None:
            found = self.found.choosing(threshold, min_size)
            self._job.unkept[_asked(self.model)] = found
            self._show_map(found, _is_default(found, self.model))
            self._enable()

    def keep(self) -> None:
        """Make the chosen setting the model's defaults; a bundled model is copied first."""
        model, found = self.model, self.found
        if model is None or found is None:
            return
        with errors_to(self._report):
            own = import_model(model.path, copy_name(model)) if model.bundled else model
            version = store_calibration(found, own)
            self._job.unkept.pop(_asked(model), None)
            copied = f"A copy, {version.name}, was made, because {model.name} came with the plugin. Its"
            copied = copied if model.bundled else f"{version.name}: the"
            smallest = smallest_in_words(found.min_size, version.diameter is not None)
            self._report(f"{copied} sliders start at {found.threshold:.2f} and {smallest} from now on.", False)
            self.stored.emit(version)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.map.set_colors(colors)
        self.about.set_colors(colors)
        self.start_button.setStyleSheet(accent_button(colors))

    def _build(self) -> None:
        self.title = heading("Calibrate")
        tip = "Images whose cells are known. Best are those that the model has not learned from."
        self.source = chooser("calibration_source", tip)
        tip = "The right number of cells in each image, or cells that are found and outlined rightly."
        self.goal = chooser("calibration_goal", tip, GOALS)
        self.start_button = button("calibration_start", "Calibrate", READY, self.start)
        self.cancel = CancelButton(self._job, "calibration_cancel", "Stop. Nothing is changed.")
        self.progress = JobBar(self._job, "calibration_progress", "How far it is.")
        self.map = HeatMap()
        self.figures = sentence("calibration_figures")
        self.about = Message(READY, "calibration_about")
        self.keep_button = button("calibration_keep", "Keep as its defaults", "", self.keep)
        self.map.picked.connect(self.choose)

    def _lay_out(self) -> None:
        images, goal = (in_row(label(text), (box, 1)) for text, box in (("On", self.source), ("For", self.goal)))
        buttons = in_row(self.start_button, (self.progress, 1), self.cancel, spacing=6)
        parts = (self.title, images, goal, buttons, self.about, self.map, self.figures, self.keep_button)
        in_column(*parts, into=self, spacing=6)

    def _show_map(self, found: CalibrationMap | None, kept: bool) -> None:
        self._kept = kept
        self.map.show_map(found)
        self.figures.setVisible(found is not None)
        if found is not None:
            threshold, size, value = found.before
            self.figures.setText(
                f"× before: {threshold:.2f}, {size} px: {figure_text(found, value)}\n"
                f"○ chosen: {found.threshold:.2f}, {found.min_size} px: {figure_text(found, found.value)}"
            )

    def _enable(self) -> None:
        model, job = self.model, self._job
        self.title.setText("Calibrate" if model is None else f"Calibrate {model.name}")
        usable = model is not None and bool(self._sources)
        for control in (self.source, self.goal, self.start_button):
            control.setEnabled(usable and not job.running)
        self.keep_button.setEnabled(self.found is not None and not self._kept and not job.running)
        self.keep_button.setText(
            "Keep as the defaults of a copy" if model is not None and model.bundled else "Keep as its defaults"
        )
        self.keep_button.setToolTip(
            "These are its defaults already." if self._kept else "Let the sliders start here with this model."
        )

    def _on_changed(self) -> None:
        job = self._job
        self._enable()
        if job.running:
            self.about.report(job.sentence())
        elif not self._sources and self.model is not None:
            self.about.report(NO_IMAGES)
        else:
            self.about.report(CLICK if self.found is not None else READY)

    def _on_ended(self, _: object) -> None:
        outcome = self._job.outcome
        if outcome is not None and self.model is not None and outcome.request.model == _asked(self.model):
            self.show_model(self.model)
        self.report_outcome()


def copy_name(model: ModelVersion) -> str:
    """Return a free name for a copy of a model: ``cells calibrated``, then ``cells calibrated 2``."""
    taken = {other.name for other in list_models()}
    name, i = f"{model.name} calibrated", 1
    while name in taken:
        i += 1
        name = f"{model.name} calibrated {i}"
    return name


def _asked(model: ModelVersion) -> str:
    """Return how the command line names a model: by its folder, which is unique."""
    return str(model.path)


def _is_default(found: CalibrationMap, model: ModelVersion) -> bool:
    return abs(found.threshold - model.threshold) < 1e-6 and found.min_size == model.min_size
