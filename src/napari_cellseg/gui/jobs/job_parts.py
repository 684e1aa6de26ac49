"""The parts that every section of a job has: a bar that shows how far it is, and a button that ends it."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton

from ..shared.bindings import Bindings
from ..shared.progress_bar import ProgressBar
from .child_job import ChildJob


class JobBar(ProgressBar):
    """Shows how far a job is.

    Parameters
    ----------
    job : ChildJob
    objectName, tooltip : str
    """

    def __init__(self, job: ChildJob, objectName: str, tooltip: str) -> None:
        super().__init__(objectName=objectName)
        self._job = job
        self.setToolTip(tooltip)
        self._bindings = Bindings(self)
        self._bindings.bind_each(self._on_changed, job.changed, job.progressed)
        self._on_changed()

    def _on_changed(self) -> None:
        job = self._job
        if not job.running:
            self.show_part(0)
        elif job.part is None:
            self.show_busy()
        else:
            self.show_part(job.part, job.in_words())


class CancelButton(QPushButton):
    """Asks a job to stop, and then stops it at once.

    Parameters
    ----------
    job : ChildJob
    objectName : str
    tooltip : str
        What becomes of the work.
    """

    def __init__(self, job: ChildJob, objectName: str, tooltip: str) -> None:
        super().__init__("Cancel", objectName=objectName)
        self._job = job
        self.setToolTip(tooltip)
        self.clicked.connect(job.cancel)
        self._bindings = Bindings(self)
        self._bindings.bind(job.changed, self._on_changed)
        self._on_changed()

    def _on_changed(self) -> None:
        self.setEnabled(self._job.running)
        self.setText("Stop now" if self._job.kind == "stopping" else "Cancel")
