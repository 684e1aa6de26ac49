"""What the windows beside a batch have in common."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDialog, QWidget

from ..jobs.batch_job import BatchJob
from ..shared.bindings import Bindings


class ResultsWindow(QDialog):
    """Window with the results of a batch, which stays open beside napari. A subclass defines `fill`.

    Signals
    -------
    opened(BatchRow)
        An image was chosen to be opened.
    """

    opened = Signal(object)

    def __init__(self, job: BatchJob, name: str, title: str, size: tuple[int, int], parent: QWidget | None) -> None:
        super().__init__(parent, objectName=name, windowTitle=title)
        self.resize(*size)
        self._job = job
        self._bindings = Bindings(self)
        self._bindings.bind_each(self.fill, job.ended, job.rows.reset)

    def fill(self, _: Any = None) -> None:
        """Show the present results."""
        raise NotImplementedError
