"""Opens the window with the kinds of a dataset's images, and lets trainings use what is chosen there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from ...training.data.choice import DataChoice
from ...training.data.split_files import describe_weights
from ..shared.colors import theme_colors
from ..viewer.bench import Bench
from .data_section import TrainDataSection
from .files_section import TrainFilesSection
from .job import TrainJob
from .kinds_window import KindsWindow


class KindsOpener(QObject):
    """At most one window with kinds.

    Parameters
    ----------
    bench : Bench
    job : TrainJob
        Knows which dataset is chosen.
    images : TrainDataSection
        Has read it.
    files : TrainFilesSection
        Knows which table is in use, and is told of another.
    parent : QWidget

    Signals
    -------
    used(str)
        Kinds are used from now on, in a sentence.
    """

    used = Signal(str)

    def __init__(
        self, bench: Bench, job: TrainJob, images: TrainDataSection, files: TrainFilesSection, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._bench, self._job, self._images, self._files, self._parent = bench, job, images, files, parent
        self.window: KindsWindow | None = None

    def open(self) -> None:
        """Open the window, anew if it is open."""
        loaded, data, choice = self._images.loaded, self._job.data, self._files.choice
        if loaded is None or data is None:
            return
        if self.window is not None:
            self.window.close()
        colors = theme_colors(self._bench.viewer.theme)
        self.window = window = KindsWindow(data, loaded, choice.groups, choice.weights, colors, self._parent)
        window.used.connect(lambda path, weights: self._use(data, path, weights))
        window.finished.connect(lambda *_: self._on_closed(window))
        window.show()

    def _use(self, data: DataChoice, path: Path | None, weights: Mapping[str, float]) -> None:
        # Meanwhile another dataset may have been chosen.
        if data == self._job.data:
            self._files.choose(replace(self._files.choice, groups=path, weights=weights))
            self.used.emit(f"The kinds are used from the next Start on. {describe_weights(weights)}".strip())

    def _on_closed(self, window: KindsWindow) -> None:
        if self.window is window:
            self.window = None
