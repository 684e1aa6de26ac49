"""Opens the window with the models, and announces the changes that are made there."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from ...network.versions import ModelVersion
from ..models.calibration_job import CalibrationJob, CalibrationSource
from ..models.calibration_sources import sources_for
from ..models.models_window import ModelsWindow
from ..shared.bindings import Bindings
from ..shared.colors import theme_colors
from ..viewer.bench import Bench
from .job import TrainJob
from .search_job import SearchJob
from .set_section import TrainSetSection


class ModelsOpener(QObject):
    """At most one window with models.

    Parameters
    ----------
    bench : Bench
    job : TrainJob
        Knows which images with masks are chosen.
    corrections : TrainSetSection
        Knows the training set.
    parent : QWidget

    Signals
    -------
    changed(str)
        A model was imported, or has new defaults: its name.
    """

    changed = Signal(str)

    def __init__(self, bench: Bench, job: TrainJob, corrections: TrainSetSection, parent: QWidget) -> None:
        super().__init__(parent)
        self._bench, self._job, self._corrections, self._parent = bench, job, corrections, parent
        self.calibration: CalibrationJob = CalibrationJob.for_bench(bench)
        self.window: ModelsWindow | None = None
        self._bindings = Bindings(self)
        self._bindings.bind(job.set_changed, self._on_sources)
        corrections.listed.connect(self._on_sources)

    def open(self, selected: str) -> None:
        """Open the window with a model selected; one that is open is closed first."""
        if self.window is not None:
            if self.window.busy:
                self.window.raise_()
                return
            self.window.close()
        colors = theme_colors(self._bench.viewer.theme)
        self.window = window = ModelsWindow(
            self.calibration, self._sources, selected, colors, self._used, self._at_work, self._parent
        )
        window.changed.connect(self.changed)
        window.renamed.connect(self._on_renamed)
        window.finished.connect(lambda *_: self._on_closed(window))
        window.show()

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
        if self.window is not None:
            self.window.refresh_sources()

    def _on_closed(self, window: ModelsWindow) -> None:
        if self.window is window:
            self.window = None
