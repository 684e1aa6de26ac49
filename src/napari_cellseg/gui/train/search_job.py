"""A search for settings in a child process: the trainings that are done, and the outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...imaging.home import user_home
from ...training.data.choice import DataChoice
from ..jobs.child_job import ChildJob
from ..jobs.child_process import ChildProcess
from ..jobs.reports import number


@dataclass(frozen=True)
class SearchRequest:
    """The settings of one search.

    Attributes
    ----------
    data : DataChoice
    parent : str
        Name or folder of the version that every training starts from; empty to start from nothing.
    out : Path
        A new folder.
    minutes : float
        Time of all trainings together.
    trials : int
        Settings to try.
    options : tuple of str
        Further words of the command line: the settings to start from.
    """

    data: DataChoice
    parent: str
    out: Path
    minutes: float
    trials: int
    options: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """Return the command line that carries this out."""
        words = ["search", *self.data.words(), "--out", str(self.out), "--minutes", f"{self.minutes:g}"]
        words += ["--trials", str(self.trials), *(["--parent", self.parent] if self.parent else [])]
        return [*words, *self.options]


@dataclass(frozen=True)
class Tried:
    """Settings that were tried, with the result of their last training.

    Attributes
    ----------
    number, round : int
    minutes : float
    f1, iou : float or None
        On the images that were held out.
    changes : str
        How they differ from the settings to start from.
    values : dict
        The settings that a search may change, by group, as the forms hold them.
    folder, problem : str
    """

    number: int
    round: int
    minutes: float
    f1: float | None
    iou: float | None
    changes: str
    values: Mapping[str, Mapping[str, Any]]
    folder: str
    problem: str


@dataclass(frozen=True)
class SearchOutcome:
    """The outcome of a search: a sentence, and whether it failed."""

    request: SearchRequest
    failed: bool
    sentence: str


class SearchJob(ChildJob):
    """At most one search per viewer."""

    stopping_sentence = "Stopping. What was tried is kept …"

    def __init__(self) -> None:
        super().__init__()
        self.request: SearchRequest | None = None
        self.outcome: SearchOutcome | None = None
        self.tried: dict[int, Tried] = {}
        self._ranking: Sequence[int] = ()
        self.n_done = self.n_total = 0

    @property
    def ranked(self) -> list[Tried]:
        """The settings that were tried, best first."""
        return [self.tried[number] for number in self._ranking if number in self.tried]

    def in_words(self) -> str:
        """Return how many trainings are done."""
        return f"{self.n_done} of {self.n_total} done" if self.n_total else ""

    def _begin(self, request: SearchRequest) -> list[str]:
        self.tried, self._ranking = {}, ()
        self.n_done = self.n_total = 0
        return request.words()

    def _sentence(self) -> str:
        return " ".join([f"Training {self.n_done + 1} of {self.n_total}.", *self.notes[-1:]])

    def _receive_one(self, event: Mapping[str, Any]) -> bool:
        kind = event.get("event")
        if kind == "search":
            self.n_total = int(number(event.get("trainings")) or 0)
            self._become("running")
        elif kind == "progress":
            total = number(event.get("total"))
            self._done = min((number(event.get("done")) or 0.0) / total, 1.0) if total else self._done
        elif kind == "trial":
            self._receive_trial(event)
        return kind == "progress"

    def _receive_trial(self, event: Mapping[str, Any]) -> None:
        tried = _tried(event)
        if tried is None:
            return
        self.tried[tried.number] = tried
        ranking = event.get("ranking")
        self._ranking = ranking if isinstance(ranking, list) else (*self._ranking, tried.number)
        self.n_done = min(self.n_done + 1, max(self.n_total - 1, 0))
        self.changed.emit()

    def _title(self) -> str:
        assert self.request is not None
        return f"Trying settings on {self.request.data.name}"

    def _conclude(self, child: ChildProcess, stopping: bool) -> SearchOutcome:
        request = self.request
        assert request is not None
        n = len(self.tried)
        best = next((tried for tried in self.ranked if tried.f1 is not None), None)
        kept = "" if best is None else f" Best so far: settings {best.number}. Click a row to take its settings over."
        if self._last.get("event") == "error":
            return SearchOutcome(request, True, f"{self._last.get('message')}{kept}")
        if stopping or self._last.get("stopped_early"):
            return SearchOutcome(request, False, "Stopped." + (kept or " Nothing was tried to its end."))
        if self._last.get("event") != "done":
            return SearchOutcome(request, True, f"The search ended unexpectedly ({child.ending()}).{kept}")
        if best is None:
            why = f" {self.ranked[0].problem}" if self.ranked else ""
            return SearchOutcome(request, True, f"None of these trainings came to its end.{why}")
        sentence = f"{n} settings were tried; {best.number} was best. Click a row to take its settings over."
        return SearchOutcome(request, False, sentence)


def search_dir(data: DataChoice, base: Path | None = None) -> Path:
    """Return the folder of a new search: ``plate 1``, then ``plate 2``."""
    base = base or user_home() / "searches"
    i = 1
    while (base / f"{data.name} {i}").exists():
        i += 1
    return base / f"{data.name} {i}"


def _tried(event: Mapping[str, Any]) -> Tried | None:
    which, values = number(event.get("number")), event.get("values")
    if which is None or not isinstance(values, dict):
        return None
    return Tried(
        int(which),
        int(number(event.get("round")) or 1),
        number(event.get("minutes")) or 0.0,
        number(event.get("f1")),
        number(event.get("iou")),
        _in_short(str(event.get("changes", ""))),
        {str(group): dict(entries) for group, entries in values.items() if isinstance(entries, dict)},
        str(event.get("folder", "")),
        str(event.get("problem") or ""),
    )


def _in_short(changes: str) -> str:
    """Shorten the text of what a trial changed to fit a narrow column."""
    if changes == "as asked":
        return "nothing"
    for long, short in ((" x ", " × "), ("learning rate", "rate"), ("batch size", "crops")):
        changes = changes.replace(long, short)
    return changes
