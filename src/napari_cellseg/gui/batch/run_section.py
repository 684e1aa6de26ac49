"""Run, Resume and Cancel, the progress, and a sentence on what to do next."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from ..jobs.batch_job import BatchJob
from ..jobs.job_parts import CancelButton, JobBar
from ..shared.bindings import Bindings
from ..shared.colors import Colors, accent_button
from ..shared.help import HelpButton
from ..shared.layout import button, in_column, in_row
from ..shared.message import Message

READY = "Press Run. It works in the background; you can go on looking at images and correcting."


class BatchRunSection(QWidget):
    """Buttons, which the widget connects, progress and the message."""

    def __init__(self, job: BatchJob, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._job = job
        self._n_images = self._n_before = 0
        self._build()
        self._bindings = Bindings(self)
        self._bindings.bind(job.changed, self._on_changed)
        self._bindings.bind(job.progressed, self._on_progressed)
        self._on_changed()

    def set_images(self, n_images: int, n_before: int) -> None:
        """Show how many images there are, and how many of them have results already."""
        self._n_images, self._n_before = n_images, n_before
        self._show_buttons()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.run.setStyleSheet(accent_button(colors))

    def _build(self) -> None:
        tip = (
            "Segment all these images with the recipe. Older results are replaced, but not those that were manually\n"
            "corrected. You can go on working meanwhile."
        )
        self.run = button("batch_run", "Run", tip)
        tip = (
            "Go on: images that are done with this recipe are skipped. Those that failed, or changed since, are done "
            "again."
        )
        self.resume = button("batch_resume", "Resume", tip)
        tip = "Stop. What is done stays done. Pressed a second time it stops at once."
        self.cancel = CancelButton(self._job, "batch_cancel", tip)
        tip = "How many images are done, and how long the others will take."
        self.progress = JobBar(self._job, "batch_progress", tip)
        self.message = Message(READY, "batch_message", rows=3)
        # Shows a sentence until the next phase of a batch.
        self.report = self.message.report
        for control in (self.run, self.resume, self.cancel):
            control.setMinimumHeight(30)
        buttons = in_row((self.run, 1), self.resume, self.cancel, HelpButton("Batch"), spacing=5)
        in_column(buttons, self.progress, into=self, spacing=5)

    def _show_buttons(self) -> None:
        running, n = self._job.running, self._n_images
        self.run.setText("Run" if not n else f"Run {n:,} image{'' if n == 1 else 's'}")
        self.run.setEnabled(not running and n > 0)
        self.resume.setEnabled(not running and n > 0 and self._n_before > 0)

    def _on_changed(self) -> None:
        self._show_buttons()
        outcome = self._job.outcome
        if self._job.running or outcome is not None:
            self.report(self._job.sentence(), outcome is not None and outcome.failed)

    def _on_progressed(self) -> None:
        if self._job.running:
            self.report(self._job.sentence())
