"""A training in a child process: its reports so far, and its outcome."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psygnal import Signal

from ...evaluation.compare import Comparison
from ...imaging.errors import CellsegError
from ...imaging.progress import Progress
from ...network.versions import ModelVersion, read_version
from ...training.data.choice import DataChoice
from ...training.data.training_set import default_training_set
from ..jobs.child_job import ChildJob
from ..jobs.child_process import ChildProcess
from ..jobs.reports import number, texts
from ..shared.progress_bar import in_words
from ..shared.workers import Latest
from .request import CurvePoints, Outcome, TrainRequest

# Where the learning begins and ends on the one bar that shows all of it.
LEARNS_FROM, LEARNS_TO = 0.05, 0.9


class TrainJob(ChildJob):
    """At most one training per viewer: idle, starting, running, comparing, measuring or stopping; see Outcome.

    `progressed` is emitted after steps and after looks at the validation loss.

    Signals
    -------
    set_changed(Path)
        An entry of a training set was added, replaced or removed, or another set or dataset was chosen.
    """

    set_changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.folder = default_training_set()
        # Images with masks that are learned from in the place of the corrections in `folder`.
        self.data: DataChoice | None = None
        self.adding: list[Latest] = []
        self.request: TrainRequest | None = None
        self.outcome: Outcome | None = None
        self.history = CurvePoints()
        self.facts = ""
        self.step = 0
        self.seconds: float | None = None
        self.seconds_left: float | None = None
        self._comparison: Comparison | None = None
        self._phase: Progress | None = None
        self._reached, self._reported_at = 0.0, 0.0

    @property
    def trains(self) -> bool:
        """Whether the present or last training is one on images with masks, not a fine-tune."""
        return self.request is not None and (self.request.data is not None or self.request.command == "train")

    @property
    def part(self) -> float:
        """How much of the whole is done, 0 to 1: preparing, learning and comparing; it never falls."""
        phase = self._phase
        fraction = phase.fraction if phase is not None and phase.total > 0 else 0.0
        if self._learning:
            place = LEARNS_FROM + (LEARNS_TO - LEARNS_FROM) * self.done
        elif self.step == 0:
            place = LEARNS_FROM * fraction
        else:
            place = LEARNS_TO + (1 - LEARNS_TO) * fraction
        self._reached = max(self._reached, place)
        return self._reached

    def time_left(self, now: float | None = None) -> float | None:
        """Return the seconds of learning that are left now by the clock; None until that is known."""
        if self.seconds_left is None or not math.isfinite(self.seconds_left):
            return None
        return max(self.seconds_left - ((time.monotonic() if now is None else now) - self._reported_at), 0.0)

    @property
    def _learning(self) -> bool:
        return self.kind == "running" and not (self._phase is not None and self.step == 0)

    def in_words(self) -> str:
        """Return how far it is, for a progress bar."""
        if self._learning:
            each = f" ({self.seconds / self.step:.2g} s each)" if self.seconds else ""
            step = f"step {self.step}{each}" if self.step else ""
            seconds = self.time_left()
            left = f"{in_words(seconds)} left" if seconds is not None else ""
            return ", ".join(filter(None, (left, step)))
        phase = self._phase
        if phase is None:
            return "starting …" if self.kind == "starting" else ""
        return f"{phase.message} {phase.done} of {phase.total}" if phase.total else f"{phase.message} …"

    def sentence(self) -> str:
        """Return how far it is, or what became of it, in a sentence."""
        if self.kind == "stopping":
            then = "measured" if self.trains else "compared with the old model"
            return f"Stopping. The best so far is kept, and {then} …"
        return super().sentence()

    def _begin(self, request: TrainRequest) -> list[str]:
        self._comparison, self.history, self.facts = None, CurvePoints(), ""
        self.step, self.seconds, self.seconds_left, self._phase = 0, None, None, None
        self._reached = 0.0
        return request.words()

    def _sentence(self) -> str:
        if self.kind == "comparing":
            return "Comparing the new model with the old one …"
        if self.kind == "measuring":
            return "Measuring how good the new model is on the images that were held out …"
        return " ".join([self.facts, *self.notes]).strip() or "Learning …"

    def _title(self) -> str:
        assert self.request is not None
        return f"Training {self.request.out.name}"

    def _receive_note(self, event: dict[str, Any]) -> None:
        if event.get("text"):
            super()._receive_note({"text": self._short(str(event["text"]))})

    def _receive_one(self, event: Mapping[str, Any]) -> bool:
        kind = event.get("event")
        if kind == "start":
            # Its notes come again as reasons of the verdict, where they are read.
            self.facts = " ".join([_facts(event), *texts(event.get("notes"))])
            self._become("running")
        elif kind == "comparison":
            self._comparison = _comparison(event)
        receive = {
            "step": self._receive_step,
            "validation": self._receive_validation,
            "earlier": self._receive_earlier,
            "phase": self._receive_phase,
        }.get(str(kind))
        if receive is not None:
            receive(event)
        return receive is not None

    def _receive_phase(self, event: Mapping[str, Any]) -> None:
        done, total = number(event.get("done")) or 0, number(event.get("total")) or 0
        self._phase = Progress(int(done), int(total), str(event.get("text", "")))
        if self._phase.message == "comparing":
            self._become("comparing")
        elif self._phase.message == "measuring" and self.kind != "measuring":
            self._become("measuring")

    def _receive_step(self, event: Mapping[str, Any]) -> None:
        done, loss, step = (number(event.get(name)) for name in ("done", "loss", "step"))
        if done is None:
            return
        self._done = min(max(done, 0.0), 1.0)
        self.step = self.step if step is None else int(step)
        self._phase = None
        self.seconds, self.seconds_left = number(event.get("seconds")), number(event.get("seconds_left"))
        self._reported_at = time.monotonic()
        if loss is not None:
            self.history.places.append(self.done)
            self.history.losses.append(loss)

    def _receive_earlier(self, event: Mapping[str, Any]) -> None:
        """Take in the curves that a resumed run has reached before."""
        self.history = CurvePoints.from_event(event)
        self._done = min(max([0.0, *self.history.places[-1:]]), 1.0)

    def _receive_validation(self, event: Mapping[str, Any]) -> None:
        loss, f1 = number(event.get("validation_loss")), number(event.get("f1"))
        if loss is None:
            return
        self.history.check_places.append(self.done)
        self.history.check_losses.append(loss)
        self.history.check_f1.append(math.nan if f1 is None else f1)
        for name, values in (("iou", self.history.check_iou), ("dice", self.history.check_dice)):
            value = number(event.get(name))
            values.append(math.nan if value is None else value)
        if event.get("best"):
            self.history.best = len(self.history.check_losses) - 1

    def _short(self, text: str) -> str:
        """Shorten the paths in a text by the training set's folder, which is shown above."""
        folder = str(self.request.training_set) if self.request is not None else ""
        return text.replace(f"{folder}{os.sep}", "").replace(f" of {folder}", "") if folder else text

    def _conclude(self, child: ChildProcess, stopping: bool) -> Outcome:
        request = self.request
        assert request is not None
        version = _version(request.out)
        kept = f" What it had learned until then was kept as {version.name}." if version is not None else ""
        early = stopping or bool(self._last.get("stopped_early"))
        if self._last.get("event") == "done" and version is not None:
            sentence = "Stopped." + kept if early else f"{version.name} is ready."
            return Outcome(request, version, self._comparison, early, False, " ".join([sentence, *self.notes]))
        if self._last.get("event") == "done":
            sentence = "Stopped before anything was learned." if early else "Nothing was learned."
            return Outcome(request, None, None, early, False, " ".join([sentence, *self.notes]))
        if self._last.get("event") == "error":
            return Outcome(request, version, self._comparison, early, True, str(self._last.get("message")) + kept)
        if stopping:
            sentence = "Stopped." + (kept or " It had not learned anything worth keeping yet.")
            return Outcome(request, version, self._comparison, True, False, sentence)
        sentence = f"The training ended unexpectedly ({child.ending()}).{kept}"
        return Outcome(request, version, self._comparison, True, True, f"{sentence} Press Start to try again.")


def _version(folder: Path) -> ModelVersion | None:
    try:
        return read_version(folder)
    except CellsegError:
        return None


def _comparison(event: Mapping[str, Any]) -> Comparison | None:
    try:
        return Comparison.from_dict(event)
    except (KeyError, TypeError, ValueError):
        # The guard section then shows that there are no figures.
        return None


def _facts(event: Mapping[str, Any]) -> str:
    n_images, n_cells = number(event.get("n_images")), number(event.get("n_cells"))
    if n_images is None or n_cells is None:
        return ""
    images = f"{int(n_images)} image" + ("" if n_images == 1 else "s")
    n_out, cells_out = number(event.get("n_held_out")) or 0, number(event.get("n_held_out_cells")) or 0
    parts = {"images": "image", "crops": "part"}.get(str(event.get("hold_out")))
    parts = parts if n_out else None
    held_out = f" Checked on {int(n_out)} {parts}{'' if n_out == 1 else 's'} held out, {int(cells_out):,} cells."
    device = f" Runs on {str(event['device']).partition(' (')[0]}." if event.get("device") else ""
    return f"Learning from {images}, {int(n_cells):,} cells.{held_out if parts else ''}{device}"
