"""A calibration in a child process: its progress, and the map that it found."""

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

# Predicting takes nearly all of the time.
_PARTS = {"predicting": (0.0, 0.9), "calibrating": (0.9, 1.0)}


@dataclass(frozen=True)
class CalibrationSource:
    """Images with masks to calibrate on.

    Attributes
    ----------
    title : str
        Shown to the user.
    words : tuple of str
        The dataset, and what goes with it, on the command line.
    """

    title: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class CalibrationRequest:
    """The settings of one calibration: a model's name or folder, the images, and the goal (count or AP)."""

    model: str
    source: CalibrationSource
    goal: str

    def words(self, out: Path) -> list[str]:
        """Return the command line that carries this out."""
        return ["calibrate", *self.source.words, "--model", self.model, "--goal", self.goal, "--out", str(out)]


@dataclass(frozen=True)
class CalibrationOutcome:
    """The outcome of a calibration: the map if there is one, a sentence, and whether it failed."""

    request: CalibrationRequest
    found: CalibrationMap | None
    failed: bool
    sentence: str


class CalibrationJob(ChildJob):
    """At most one calibration per viewer.

    Attributes
    ----------
    unkept : dict of str to CalibrationMap
        Maps that were found and not kept yet, by model as it was requested.
    """

    def __init__(self) -> None:
        super().__init__()
        self.request: CalibrationRequest | None = None
        self.outcome: CalibrationOutcome | None = None
        self.unkept: dict[str, CalibrationMap] = {}
        self._out: tempfile.TemporaryDirectory[str] | None = None

    def _begin(self, request: CalibrationRequest) -> list[str]:
        self._out = tempfile.TemporaryDirectory(prefix="cellseg-calibration-")
        return request.words(Path(self._out.name))

    def _sentence(self) -> str:
        return "Segmenting the images …" if self.done < _PARTS["calibrating"][0] else "Trying all settings …"

    def _receive_note(self, event: dict[str, Any]) -> None:
        # The verdict names the images that were learned from.
        if not event.get("learned_from"):
            super()._receive_note(event)

    def _receive_one(self, event: Mapping[str, Any]) -> bool:
        if event.get("event") != "progress":
            return False
        low, high = _PARTS.get(str(event.get("message")), (0.0, 1.0))
        total = event.get("total")
        if isinstance(total, int) and total > 0:
            self._done = low + (high - low) * min(int(event.get("done") or 0) / total, 1.0)
        if self.kind == "starting":
            self._become("running")
        return True

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
