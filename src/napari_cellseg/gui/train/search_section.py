"""Let the computer try settings for some minutes, and take over those that did best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ...imaging.errors import CellsegError
from ...training.params import first_minutes
from ...training.settings import setting
from ..jobs.job_parts import CancelButton, Message
from ..shared.bindings import Bindings
from ..shared.colors import Colors
from ..shared.form import Form
from ..shared.layout import SMALL
from ..shared.pace import in_words
from ..shared.progress_bar import ProgressBar
from .job import TrainJob
from .search_job import SearchJob, SearchRequest, Tried

LIST_HEIGHT = 124
# A shorter training says nothing about which settings are good.
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
        Both at once would share the machine, and the figures of both would suffer.
    request : callable
        Makes a request of a budget; raises CellsegError where something is missing.

    Signals
    -------
    taken(object)
        Settings of a row are to be taken over: a Tried.
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
        self._bindings.bind(job.progressed, self._show_progress)
        self._bindings.bind(training.changed, self._enable)
        self._on_budget()
        self._on_changed()

    def start(self) -> None:
        """Start a search, unless something is missing, which is said."""
        try:
            request = self._request(self.budget.value)
        except CellsegError as error:
            self.say(str(error), True)
            return
        self._job.start(request)

    def say(self, text: str, warning: bool = False) -> None:
        """Show a sentence."""
        self.message.say(text, warning)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self.message.set_colors(colors)
        self._fill(anew=True)

    def _build(self) -> None:
        self.budget = Form(SearchBudget, "search")
        self.start_button = QPushButton("Start search", objectName="search_start")
        self.start_button.setToolTip(
            "Train with different settings, and rank them by the cells found in images held out."
        )
        self.cancel = CancelButton(self._job, "search_cancel", "Stop. What was tried until then stays in the table.")
        self.progress = ProgressBar(objectName="search_progress")
        self.progress.setToolTip("How much of the time is spent.")
        self.message = Message(objectName="search_message")
        self.list = QTreeWidget(objectName="search_table")
        self.list.setHeaderLabels(("#", "F1", "IoU", "Changed"))
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setFixedHeight(LIST_HEIGHT)
        self.list.setToolTip("What was tried, best first. Click a row to take its settings over.")
        header = self.list.header()
        for column in (0, 1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(3, QHeaderView.ResizeMode.Stretch)
        for button in (self.start_button, self.cancel):
            button.setStyleSheet(SMALL)
        self.start_button.clicked.connect(self.start)
        self.budget.changed.connect(self._on_budget)
        self.list.itemClicked.connect(lambda item, _: self._on_clicked(item))
        buttons = QHBoxLayout()
        for widget, part in ((self.start_button, 0), (self.progress, 1), (self.cancel, 0)):
            buttons.addWidget(widget, part)
        column_ = QVBoxLayout(self)
        column_.setContentsMargins(12, 0, 0, 0)
        column_.setSpacing(4)
        column_.addWidget(self.budget)
        column_.addLayout(buttons)
        column_.addWidget(self.message)
        column_.addWidget(self.list)

    def _on_budget(self) -> None:
        budget = self.budget.value
        seconds = 60 * first_minutes(budget.minutes, budget.trials)
        text = f"Each is first trained for {in_words(seconds)}."
        short = seconds < LEAST_SECONDS
        self.say(f"{text} That is short: give more minutes, or try fewer." if short else text, short)

    def _enable(self) -> None:
        job = self._job
        self.start_button.setEnabled(not job.running and not self._training.running)
        self.budget.setEnabled(not job.running)

    def _on_changed(self) -> None:
        job = self._job
        self._enable()
        if job.running or job.outcome is not None:
            self.say(job.sentence(), job.outcome is not None and job.outcome.failed)
        self._fill()
        self._show_progress()

    def _show_progress(self) -> None:
        job = self._job
        if job.kind == "starting":
            self.progress.show_busy()
            return
        words = f"{job.n_done} of {job.n_total} done" if job.running and job.n_total else ""
        self.progress.show_part(job.part if job.running else 0, words)

    def _fill(self, anew: bool = False) -> None:
        ranked = self._job.ranked
        self.list.setVisible(bool(ranked))
        if ranked == self._shown and not anew:
            return
        items = self.list.selectedItems()
        selected = self._shown[self.list.indexOfTopLevelItem(items[0])].number if items else None
        self._shown = ranked
        with QSignalBlocker(self.list):
            self.list.clear()
            for place, tried in enumerate(ranked, 1):
                item = QTreeWidgetItem([str(place), _figure(tried.f1), _figure(tried.iou), tried.changes])
                for column in range(4):
                    item.setToolTip(column, _about(tried))
                    if tried.problem and self._colors is not None:
                        item.setForeground(column, self._colors.warning)
                self.list.addTopLevelItem(item)
                item.setSelected(tried.number == selected)

    def _on_clicked(self, item: QTreeWidgetItem) -> None:
        tried = self._shown[self.list.indexOfTopLevelItem(item)]
        self.say(f"The settings of row {item.text(0)} are in the form now. Press Start to train with them.")
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
