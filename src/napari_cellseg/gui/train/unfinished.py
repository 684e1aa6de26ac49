"""The training that was interrupted last: go on with it, or give it up; hidden while there is none."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from ...training.runs import Unfinished, discard, list_unfinished
from ..shared.layout import small_button
from .job import TrainJob


class TrainUnfinished(QWidget):
    """A sentence and two buttons.

    Parameters
    ----------
    job : TrainJob
        While it runs, nothing is offered.
    tell : callable
        Shows a sentence, and whether it is bad news.

    Signals
    -------
    resumed()
        The person wants to go on with `run`.
    """

    resumed = Signal()

    def __init__(self, job: TrainJob, tell: Callable[[str, bool], object]) -> None:
        super().__init__()
        self.setObjectName("unfinished")
        self._job, self._tell = job, tell
        self.run: Unfinished | None = None
        self.text = QLabel(objectName="unfinished_text")
        self.text.setWordWrap(True)
        self.go_on = small_button("train_resume", "Resume", "Go on where it stopped, with the same settings.")
        self.give_up = small_button(
            "train_discard", "Give up", "Do not go on with it. A version that it has left stays in the list of models."
        )
        self.go_on.clicked.connect(self.resumed)
        self.give_up.clicked.connect(self._on_give_up)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.text, 4)
        row.addWidget(self.go_on, 2)
        row.addWidget(self.give_up, 2)

    def refresh(self) -> None:
        """Look for such a training again."""
        runs = [] if self._job.running else list_unfinished()
        self.run = runs[0] if runs else None
        self.setVisible(self.run is not None)
        if self.run is not None:
            self.text.setText(f"{self.run.name} was stopped at {round(100 * self.run.done)} %.")

    def _on_give_up(self) -> None:
        shown = self.run
        # Meanwhile another window may have gone on with it.
        self.refresh()
        if shown is None or self.run is None or self.run.path != shown.path:
            return
        try:
            discard(shown.path)
        except OSError as error:
            self._tell(f"{shown.path} cannot be cleared: {error}", True)
        self.refresh()
