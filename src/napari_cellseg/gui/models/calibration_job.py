"""A calibration under way: the child process, how far it is, and the map that it left."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...evaluation.calibration_map import CalibrationMap, read_calibration
from ...imaging.errors import CellsegError
from ..jobs.child_job import ChildJob
from ..jobs.child_process import ChildProcess
from ..viewer.bench import Bench

# Predicting takes nearly all of the time.
_PARTS = {"predicting": (0.0, 0.9), "calibrating": (0.9, 1.0)}


@dataclass(frozen=True)
class CalibrationSource:
    """Images with masks to calibrate on.

    Attributes
    ----------
    title : str
        What a person calls them.
    words : tuple of str
        The dataset, and what goes with it, on the command line.
    """

    title: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class CalibrationRequest:
    """One press of Calibrate: a model's name or folder, on which images, for the count or for AP."""

    model: str
    source: CalibrationSource
    goal: str

    def words(self, out: Path) -> list[str]:
        """Return the command line that does this."""
        return ["calibrate", *self.source.words, "--model", self.model, "--goal", self.goal, "--out", str(out)]


@dataclass(frozen=True)
class CalibrationOutcome:
    """How a calibration ended: the map where there is one, in a sentence, and whether it failed."""

    request: CalibrationRequest
    found: CalibrationMap | None
    failed: bool
    sentence: str


class CalibrationJob(ChildJob):
    """At most one calibration per viewer: idle, starting, running or stopping.

    Attributes
    ----------
    unkept : dict of str to CalibrationMap
        What was found and not kept yet, by model as it was asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.request: CalibrationRequest | None = None
        self.outcome: CalibrationOutcome | None = None
        self.unkept: dict[str, CalibrationMap] = {}
        self.part = 0.0
        self._out: tempfile.TemporaryDirectory[str] | None = None

    def start(self, request: CalibrationRequest, words: list[str] | None = None) -> bool:
        """Start, unless one is under way; `words` stand in for our own command line."""
        if self._child is not None:
            return False
        self.request, self.outcome, self.notes, self.part = request, None, [], 0.0
        self._out = tempfile.TemporaryDirectory(prefix="cellseg-calibration-")
        self._launch(request.words(Path(self._out.name)), words)
        return True

    def sentence(self) -> str:
        """Say in words how far it is."""
        if self.kind == "starting":
            return "Starting: reading the images …"
        if self.kind == "stopping":
            return "Stopping …"
        if self.kind == "running":
            return "Segmenting the images …" if self.part < _PARTS["calibrating"][0] else "Trying all settings …"
        return "" if self.outcome is None else self.outcome.sentence

    def _hear(self, events: list[dict[str, Any]]) -> bool:
        moved = False
        for event in events:
            kind = event.get("event")
            if kind == "progress":
                low, high = _PARTS.get(str(event.get("message")), (0.0, 1.0))
                total = event.get("total")
                if isinstance(total, int) and total > 0:
                    self.part = low + (high - low) * min(int(event.get("done") or 0) / total, 1.0)
                if self.kind == "starting":
                    self._become("running")
                moved = True
            elif kind == "note" and not event.get("learned_from"):
                # What was learned from is in the verdict.
                self.notes.append(str(event.get("text", "")))
            elif kind in ("done", "error"):
                self._last = dict(event)
        return moved

    def _part(self) -> float:
        return self.part

    def _title(self) -> str:
        assert self.request is not None
        return f"Calibrating {Path(self.request.model).name}"

    def _conclude(self, child: ChildProcess, stopping: bool) -> CalibrationOutcome:
        request, last = self.request, self._last
        assert request is not None
        found, problem = None, ""
        if last.get("event") == "done":
            try:
                found = read_calibration(Path(str(last.get("file"))).parent)
            except CellsegError as error:
                problem = str(error)
        if self._out is not None:
            self._out.cleanup()
            self._out = None
        if found is not None:
            self.unkept[request.model] = found
            sentence = " ".join([f"{Path(request.model).name}: {_verdict(found, last)}", *self.notes])
            return CalibrationOutcome(request, found, False, sentence)
        if stopping:
            return CalibrationOutcome(request, None, False, "Stopped. Nothing was changed.")
        text = problem or str(last.get("message") or f"Calibration ended unexpectedly ({child.ending()}).")
        return CalibrationOutcome(request, None, True, text)


def _verdict(found: CalibrationMap, last: Mapping[str, Any]) -> str:
    n = len(found.images)
    where = f"{n} image{'' if n == 1 else 's'}{' held out' if last.get('held_out') else ''}, {found.n_cells:,} cells"
    if last.get("learned_from"):
        return f"on {where}. Some of them were learned from, so the figures flatter."
    return f"on {where}."


def calibration_job_of(bench: Bench) -> CalibrationJob:
    """Return the one calibration of a viewer."""
    return bench.part(CalibrationJob, lambda _: CalibrationJob())
