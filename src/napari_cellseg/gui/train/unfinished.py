"""The training that was interrupted last, to resume or to discard; hidden while there is none."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from ...training.runs import Unfinished, discard, list_unfinished
from ..shared.layout import in_row, sentence, small_button
from .job import TrainJob


class TrainUnfinished(QWidget):
    """A sentence and two buttons.

    Parameters
    ----------
    job : TrainJob
        Nothing is offered while it runs.
    report : callable
        Shows a sentence; its second argument is whether it is bad news.

    Signals
    -------
    resumed()
        The user chose to go on with `run`.
    """

    resumed = Signal()

    def __init__(self, job: TrainJob, report: Callable[[str, bool], object]) -> None:
        super().__init__()
        self.setObjectName("unfinished")
        self._job, self._report = job, report
        self.run: Unfinished | None = None
        self.text = sentence("unfinished_text")
        tip = "Go on where it stopped, with the same settings."
        self.go_on = small_button("train_resume", "Resume", tip, slot=self.resumed)
        tip = "Do not go on with it. A version that it has left stays in the list of models."
        self.give_up = small_button("train_discard", "Give up", tip, slot=self._on_give_up)
        self.setLayout(in_row((self.text, 4), (self.go_on, 2), (self.give_up, 2), spacing=6))

    def refresh(self) -> None:
        """Look for an interrupted training again."""
        runs = [] if self._job.running else list_unfinished()
        self.run = runs[0] if runs else None
        self.setVisible(self.run is not None)
        if self.run is not None:
            at = "while it was checked" if self.run.learned else f"at {round(100 * self.run.done)} %"
            self.text.setText(f"{self.run.name} was stopped {at}.")

    def _on_give_up(self) -> None:
        shown = self.run
        # Meanwhile another window may have gone on with it.
        self.refresh()
        if shown is None or self.run is None or self.run.path != shown.path:
            return
        try:
            discard(shown.path)
        except OSError as error:
            self._report(f"{shown.path} cannot be cleared: {error}", True)
        self.refresh()
