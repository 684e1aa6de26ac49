"""Search for good settings: some are tried for some minutes, and the best can be taken over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QTreeWidgetItem, QWidget

from ...training.params import first_minutes
from ...training.settings import setting
from ..jobs.job_parts import CancelButton, JobBar
from ..shared.bindings import Bindings
from ..shared.colors import Colors
from ..shared.form import Form
from ..shared.layout import SMALL, button, in_column, in_row
from ..shared.message import Message, errors_to
from ..shared.progress_bar import in_words
from ..shared.rows import Rows
from .job import TrainJob
from .search_job import SearchJob, SearchRequest, Tried

LIST_HEIGHT = 124
# After a shorter training the ranking of the settings means little.
LEAST_SECONDS = 60


@dataclass(frozen=True)
class SearchBudget:
    """How long a search may take, and how many settings it tries."""

    minutes: float = setting(20.0, "Time", "how long all trainings together may take", 0.05, 1440, unit="min")
    trials: int = setting(
        6, "Try", "how many settings are tried around those above: learning rate, loss, crops per step, schedule, "
        "variation.\nThe better half is trained again, and longer, until two are left", 2, 24, unit="settings",
    )  # fmt: skip


class SearchSection(QWidget):
    """Budget, Start search, Cancel, and a table of what was tried, best first.

    Parameters
    ----------
    job : SearchJob
    training : TrainJob
        Both at once would share the machine and distort each other's figures.
    request : callable
        Makes a request of a budget; raises CellsegError where something is missing.

    Signals
    -------
    taken(object)
        A row was clicked, whose settings are to be used: a Tried.
    """

    taken = Signal(object)

    def __init__(self, job: SearchJob, training: TrainJob, request: Callable[[SearchBudget], SearchRequest]) -> None:
        super().__init__()
        self._job, self._training, self._request = job, training, request
        self._colors: Colors | None = None
        self._shown: list[Tried] = []
        self._build()
        self._bindings = Bindings(self)
        self._bindings.bind(job.changed, self._on_changed)
        self._bindings.bind(training.changed, self._enable)
        self._on_budget()
        self._on_changed()

    def start(self) -> None:
        """Start a search, or show what is missing."""
        with errors_to(self.message.report):
            self._job.start(self._request(self.budget.value))

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self._fill(anew=True)

    def _build(self) -> None:
        self.budget = Form(SearchBudget, "search")
        tip = "Train with different settings, and rank them by the cells found in images held out."
        self.start_button = button("search_start", "Start search", tip, self.start)
        self.cancel = CancelButton(self._job, "search_cancel", "Stop. What was tried until then stays in the table.")
        self.progress = JobBar(self._job, "search_progress", "How much of the time is spent.")
        self.message = Message(objectName="search_message")
        tip = (
            "What was tried, best first. Click a row to take its settings over.\n"
            "F1: cells found in the images held out, matched at an overlap (IoU) of 0.5. IoU: of all cell pixels."
        )
        self.list = Rows("search_table", ("#", "F1", "IoU", "Changed"), tip, LIST_HEIGHT, 3)
        for control in (self.start_button, self.cancel):
            control.setStyleSheet(SMALL)
        self.budget.changed.connect(self._on_budget)
        self.list.itemClicked.connect(lambda item, _: self._on_clicked(item))
        buttons = in_row(self.start_button, (self.progress, 1), self.cancel)
        in_column(self.budget, buttons, self.message, self.list, into=self, left=12)

    def _on_budget(self) -> None:
        budget = self.budget.value
        seconds = 60 * first_minutes(budget.minutes, budget.trials)
        text = f"Each is first trained for {in_words(seconds)}."
        short = seconds < LEAST_SECONDS
        self.message.report(f"{text} That is short: give more minutes, or try fewer." if short else text, short)

    def _enable(self) -> None:
        job = self._job
        self.start_button.setEnabled(not job.running and not self._training.running)
        self.budget.setEnabled(not job.running)

    def _on_changed(self) -> None:
        job = self._job
        self._enable()
        if job.running or job.outcome is not None:
            self.message.report(job.sentence(), job.outcome is not None and job.outcome.failed)
        self._fill()

    def _fill(self, anew: bool = False) -> None:
        ranked = self._job.ranked
        self.list.setVisible(bool(ranked))
        if ranked == self._shown and not anew:
            return
        place = self.list.selected_row()
        selected = None if place is None else self._shown[place].number
        self._shown = ranked
        with QSignalBlocker(self.list):
            self.list.clear()
            for place, tried in enumerate(ranked, 1):
                texts = (str(place), _figure(tried.f1), _figure(tried.iou), tried.changes)
                color = self._colors.warning if tried.problem and self._colors is not None else None
                item = self.list.add(texts, _about(tried), color)
                item.setSelected(tried.number == selected)

    def _on_clicked(self, item: QTreeWidgetItem) -> None:
        tried = self._shown[self.list.indexOfTopLevelItem(item)]
        self.message.report(f"The settings of row {item.text(0)} are in the form now. Press Start to train with them.")
        self.taken.emit(tried)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _about(tried: Tried) -> str:
    lines = [f"Settings {tried.number}: {tried.changes}"]
    for entries in tried.values.values():
        lines += [f"{name.replace('_', ' ')}: {_plain(value)}" for name, value in entries.items()]
    rounds = "" if tried.round == 1 else f", in round {tried.round}"
    lines.append(f"trained for {in_words(60 * tried.minutes)}{rounds}")
    return "\n".join([*lines, *([tried.problem] if tried.problem else [])])


def _plain(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return " to ".join(_plain(one) for one in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
