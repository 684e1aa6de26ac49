"""The windows that the Train widget opens: models, kinds of images, and trainings side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from ...network.versions import ModelVersion
from ...training.data.choice import DataChoice
from ...training.data.split_files import describe_weights
from ..models.calibration_job import CalibrationJob, CalibrationSource
from ..models.calibration_sources import sources_for
from ..models.models_window import ModelsWindow
from ..shared.bindings import Bindings
from ..shared.colors import theme_colors
from ..viewer.bench import Bench
from .data_section import TrainDataSection
from .files_section import TrainFilesSection
from .job import TrainJob
from .kinds_window import KindsWindow
from .runs_window import RunsWindow, find_runs
from .search_job import SearchJob
from .set_section import TrainSetSection


class TrainWindows(QObject):
    """At most one window of each kind; one that is open is closed before another one opens.

    Parameters
    ----------
    bench : Bench
    job : TrainJob
        Knows which images with masks are chosen.
    corrections : TrainSetSection
        Knows the training set.
    images : TrainDataSection
        Has read the images with masks.
    files : TrainFilesSection
        Knows which table of kinds is in use, and takes another.
    parent : QWidget

    Signals
    -------
    models_changed(str)
        A model was imported, or has new defaults: its name.
    kinds_used(str)
        Kinds are used from now on, in a sentence.
    """

    models_changed = Signal(str)
    kinds_used = Signal(str)

    def __init__(
        self,
        bench: Bench,
        job: TrainJob,
        corrections: TrainSetSection,
        images: TrainDataSection,
        files: TrainFilesSection,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._bench, self._job, self._parent = bench, job, parent
        self._corrections, self._images, self._files = corrections, images, files
        self.calibration: CalibrationJob = CalibrationJob.for_bench(bench)
        self.models: ModelsWindow | None = None
        self.kinds: KindsWindow | None = None
        self.runs: RunsWindow | None = None
        self._bindings = Bindings(self)
        self._bindings.bind(job.set_changed, self._on_sources)
        corrections.listed.connect(self._on_sources)

    def open_models(self, selected: str) -> None:
        """Open the window of the models with one selected; while that is busy it comes to the front."""
        if self.models is not None and self.models.busy:
            self.models.raise_()
            return
        window = ModelsWindow(
            self.calibration, self._sources, selected, self._colors, self._used, self._at_work, self._parent
        )
        window.changed.connect(self.models_changed)
        window.renamed.connect(self._on_renamed)
        self._show("models", window)

    def open_kinds(self) -> None:
        """Open the window of the kinds of the images that are chosen, once they were read."""
        loaded, data, choice = self._images.loaded, self._job.data, self._files.choice
        if loaded is not None and data is not None:
            window = KindsWindow(data, loaded, choice.groups, choice.weights, self._colors, self._parent)
            window.used.connect(lambda path, weights: self._use_kinds(data, path, weights))
            self._show("kinds", window)

    def compare(self, path: Path | None = None) -> None:
        """Open a window with the trainings of all versions side by side; that of `path` is ticked first."""
        self._bench.in_background(find_runs, lambda runs: self._show("runs", RunsWindow(runs, path, self._parent)))

    @property
    def _colors(self) -> Any:
        return theme_colors(self._bench.viewer.theme)

    def _show(self, name: str, window: Any) -> None:
        """Show a window in the place of the one of its kind."""
        if getattr(self, name) is not None:
            getattr(self, name).close()
        setattr(self, name, window)
        window.finished.connect(lambda *_: self._on_closed(name, window))
        window.show()

    def _on_closed(self, name: str, window: Any) -> None:
        if getattr(self, name) is window:
            setattr(self, name, None)

    def _use_kinds(self, data: DataChoice, path: Path | None, weights: Mapping[str, float]) -> None:
        # Meanwhile another dataset may have been chosen.
        if data == self._job.data:
            self._files.choose(replace(self._files.choice, groups=path, weights=weights))
            self.kinds_used.emit(f"The kinds are used from the next Start on. {describe_weights(weights)}".strip())

    def _sources(self, model: ModelVersion) -> Sequence[CalibrationSource]:
        corrected = self._job.folder if self._corrections.usable else None
        return sources_for(model, self._job.data, corrected)

    def _used(self) -> str:
        return self._bench.session.choices.viewer.model

    def _at_work(self) -> bool:
        return self._job.running or SearchJob.for_bench(self._bench).running or self.calibration.running

    def _on_renamed(self, old: str, new: str) -> None:
        if self._used() == old:
            self._bench.session.choose_model(new)

    def _on_sources(self, *_: object) -> None:
        if self.models is not None:
            self.models.refresh_sources()
