"""Run, Resume, Cancel, how far it is, and one sentence on what to do next."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from ..jobs.batch_job import BatchJob
from ..jobs.job_parts import CancelButton, Message
from ..shared.bindings import Bindings
from ..shared.colors import Colors, accent_button
from ..shared.progress_bar import ProgressBar

LONGEST = 260
READY = "Press Run. It works in the background; you can go on looking at images and correcting."


class BatchRunSection(QWidget):
    """Buttons, progress and the message line.

    Signals
    -------
    run_asked(), resume_asked()
    """

    run_asked = Signal()
    resume_asked = Signal()

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
        """Say how many images there are, and of how many there are results already."""
        self._n_images, self._n_before = n_images, n_before
        self._show_buttons()

    def say(self, text: str, warning: bool = False) -> None:
        """Show a sentence until the next phase of a batch."""
        self.message.say(text, warning)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.run.setStyleSheet(accent_button(colors))
        self.message.set_colors(colors)

    def _build(self) -> None:
        self.run = QPushButton("Run", objectName="batch_run")
        self.run.setToolTip(
            "Segment all these images with the recipe. Older results of ours are replaced; those that a person\n"
            "corrected are left alone. Nothing freezes meanwhile."
        )
        self.resume = QPushButton("Resume", objectName="batch_resume")
        self.resume.setToolTip(
            "Go on: what is done with this very recipe is left as it is. What failed, or changed since, is done again."
        )
        self.cancel = CancelButton(
            self._job, "batch_cancel", "Stop. What is done stays done. Pressed a second time it stops at once."
        )
        self.progress = ProgressBar(objectName="batch_progress")
        self.progress.setToolTip("How many images are done, and how long the others will take.")
        self.message = Message(READY, "batch_message", LONGEST)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(5)
        grid.setColumnStretch(0, 1)
        for column, button in enumerate((self.run, self.resume, self.cancel)):
            button.setMinimumHeight(30)
            grid.addWidget(button, 0, column)
        grid.addWidget(self.progress, 1, 0, 1, 3)
        grid.addWidget(self.message, 2, 0, 1, 3)
        self.run.clicked.connect(self.run_asked)
        self.resume.clicked.connect(self.resume_asked)

    def _show_buttons(self) -> None:
        running, n = self._job.running, self._n_images
        self.run.setText("Run" if not n else f"Run {n:,} image{'' if n == 1 else 's'}")
        self.run.setEnabled(not running and n > 0)
        self.resume.setEnabled(not running and n > 0 and self._n_before > 0)

    def _on_changed(self) -> None:
        self._show_buttons()
        self._on_progressed()
        outcome = self._job.outcome
        if self._job.running or outcome is not None:
            self.say(self._job.sentence(), outcome is not None and outcome.failed)

    def _on_progressed(self) -> None:
        job = self._job
        if job.running and job.kind == "starting":
            self.progress.show_busy()
            return
        if not job.running:
            self.progress.show_part(0)
            return
        self.progress.show_part(job.done, job.in_words())
        self.say(job.sentence())
