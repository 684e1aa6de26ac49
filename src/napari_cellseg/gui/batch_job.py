"""One batch under way: the child process, what it has said so far, and what became of it."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

from psygnal import Signal
from qtpy.QtCore import QTimer

from ..batch.recipe import Recipe
from ..batch.rows import FINISHED, BatchRow
from ..imaging.errors import CellsegError
from ..imaging.progress import Progress
from .activity import Activity
from .batch_rows import BatchRows
from .child_process import ChildProcess, own_program
from .pace import in_words
from .workbench import Workbench

POLL_MS = 100
# Rows that came since the last look are shown together; more wait for the next, so that the window stays quick.
AT_ONCE = 500
# Asked to stop it ends within a batch of tiles; one that then says nothing for so long is ended.
GRACE_S = 60.0
ACTIVITY_AFTER_S = 1.5
Kind = Literal["idle", "starting", "running", "stopping"]


@dataclass(frozen=True)
class BatchRequest:
    """One press of Run or Resume.

    Attributes
    ----------
    files : tuple of (str, str)
        Path and name of every image.
    out : Path
        Folder of the results.
    recipe : Recipe
    resume : bool
        Leave out what is done already with this recipe.
    scheduler : str
        Address of a Dask cluster; empty for this computer.
    overwrite : bool
        Also replace what a person corrected.
    """

    files: tuple[tuple[str, str], ...]
    out: Path
    recipe: Recipe
    resume: bool = False
    scheduler: str = ""
    overwrite: bool = False

    def words(self, folder: Path) -> list[str]:
        """Return the command line that does this, and write what it reads into a folder."""
        recipe, files = folder / "recipe.json", folder / "files.json"
        self.recipe.write(recipe)
        files.write_text(json.dumps(self.files), encoding="utf-8")
        words = ["segment", "--files-from", str(files), "--out", str(self.out), "--recipe", str(recipe)]
        words += ["--resume"] if self.resume else []
        words += ["--overwrite"] if self.overwrite else []
        return [*words, "--scheduler", self.scheduler] if self.scheduler else words


@dataclass(frozen=True)
class BatchOutcome:
    """What became of a batch.

    Attributes
    ----------
    request : BatchRequest
    stopped, failed : bool
        Ended by the person; ended by an error, not counting those of single images.
    sentence : str
        What happened and what can be done next.
    """

    request: BatchRequest
    stopped: bool
    failed: bool
    sentence: str


class BatchJob:
    """At most one batch per viewer, and what is known of it. Everything here runs in the window's thread.

    Signals
    -------
    changed()
        Another phase began, or something is to be told.
    progressed()
    ended(BatchOutcome)
    """

    changed = Signal()
    progressed = Signal()
    ended = Signal(object)

    def __init__(self) -> None:
        self.kind: Kind = "idle"
        self.rows = BatchRows()
        self.out: Path | None = None
        self.request: BatchRequest | None = None
        self.outcome: BatchOutcome | None = None
        self.notes: list[str] = []
        self.n_images = 0
        self._phase = ""
        self._finished: set[str] = set()
        self._n_worked = 0
        self._began = 0.0
        self._child: ChildProcess | None = None
        self._activity: Activity | None = None
        self._folder: Path | None = None
        self._last: dict[str, Any] = {}
        self._heard_at = self._started = 0.0
        self._timer = QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.poll)

    @property
    def running(self) -> bool:
        """Whether a batch is under way."""
        return self._child is not None

    @property
    def child(self) -> ChildProcess | None:
        """The process that works; None when none does."""
        return self._child

    @property
    def n_finished(self) -> int:
        """Number of images of this batch that are done, failed or left out."""
        return len(self._finished)

    @property
    def done(self) -> float:
        """How much of the batch is done, 0 to 1."""
        if not self.n_images:
            return 0.0
        image, part = self.rows.part
        return min((self.n_finished + (0 if image in self._finished else part)) / self.n_images, 1.0)

    def seconds_left(self, now: float | None = None) -> float | None:
        """Seconds that the batch will still take; None until there is something to go by."""
        image, part = self.rows.part
        worked = self._n_worked + (0 if image in self._finished else part)
        # A part of the first image says little: the network is loaded in it.
        if not self._began or not self._n_worked:
            return None
        now = time.monotonic() if now is None else now
        left = self.n_images - self.n_finished - (worked - self._n_worked)
        return max(left, 0.0) * (now - self._began) / worked

    def in_words(self) -> str:
        """Return how far it is, for a progress bar."""
        left = self.seconds_left()
        text = f"{self.n_finished:,} of {self.n_images:,}"
        return text if left is None else f"{text}, {in_words(left)} left"

    def start(self, request: BatchRequest, words: list[str] | None = None) -> bool:
        """Start a batch, unless one is under way; `words` stand in for our own command line.

        Raises
        ------
        OSError or OutputError
            What the child is to read cannot be written.
        """
        if self._child is not None:
            return False
        self._folder = Path(tempfile.mkdtemp(prefix="napari-cellseg-"))
        own = own_program(*request.words(self._folder), "--report", "jsonl", "--stop-on-eof")
        self.request, self.out, self.outcome, self._last = request, request.out, None, {}
        self.notes, self._phase, self._finished, self._n_worked, self._began = [], "", set(), 0, 0.0
        self.n_images = len(request.files)
        if not request.resume:
            self.rows.set_images([name for _, name in request.files])
        self._child = ChildProcess(words or own)
        self._heard_at = self._started = time.monotonic()
        self._child.start()
        self._timer.start()
        self._become("starting")
        return True

    def cancel(self) -> None:
        """Ask the batch to stop: what is done stays. A second time ends it at once, which keeps what is on disk."""
        if self._child is None:
            return
        if self.kind == "stopping":
            self._child.kill()
            return
        self._heard_at = time.monotonic()
        self._child.stop()
        self._become("stopping")

    def close(self) -> None:
        """Let the batch stop by itself, unheard; called when the window goes."""
        self._timer.stop()
        child, self._child = self._child, None
        if child is not None:
            child.stop()
        self._end_activity()
        # What the child reads it has read once it said so; one that starts only now would find that it is to stop.
        self._drop_folder()
        self.kind = "idle"

    def poll(self) -> None:
        """Take in what the child said since the last time."""
        child = self._child
        if child is None:
            return
        # Asked first: what it said before it ended is then all there.
        ended = child.ended
        events = child.take(AT_ONCE)
        if events:
            self._heard_at = time.monotonic()
            self._hear(events)
            if self._child is not child:
                # A slot of ours closed the job.
                return
            self.progressed.emit()
        self._show_activity()
        if self.kind == "stopping" and time.monotonic() - self._heard_at > GRACE_S:
            child.kill()
        if ended and not events:
            self._end(child)

    def sentence(self) -> str:
        """Say in words how far it is."""
        if self.kind == "starting":
            return "Starting: loading the network …"
        if self.kind == "stopping":
            return "Stopping. What is done stays done …"
        if self.kind == "running":
            image, part = self.rows.part
            now = f"{image}: {part:.0%}" if image and part else image
            return self._phase or " ".join([*self.notes[-1:], now]).strip() or "Working …"
        return "" if self.outcome is None else self.outcome.sentence

    def _hear(self, events: list[dict[str, Any]]) -> None:
        rows: list[BatchRow] = []
        for event in events:
            kind = event.get("event")
            if kind == "row":
                self._hear_row(event, rows)
            elif kind == "running":
                self.rows.put(rows)
                rows = []
                self._began = self._began or time.monotonic()
                self._phase = ""
                self.rows.run(str(event.get("image", "")))
                self._become("running")
            elif kind == "progress":
                self._hear_progress(event)
            elif kind == "plan":
                self._become("running")
            elif kind == "note":
                self.notes.append(str(event.get("text", "")))
                self.changed.emit()
            elif kind in ("done", "error"):
                self._last = dict(event)
        self.rows.put(rows)

    def _hear_row(self, event: Mapping[str, Any], rows: list[BatchRow]) -> None:
        try:
            row = BatchRow.from_dict({name: value for name, value in event.items() if name != "event"})
        except (CellsegError, TypeError, ValueError):
            return
        rows.append(row)
        if row.state in FINISHED and row.image not in self._finished:
            self._finished.add(row.image)
            self._n_worked += row.state in ("done", "failed")

    def _hear_progress(self, event: Mapping[str, Any]) -> None:
        done, total, image = event.get("done"), event.get("total"), str(event.get("image", ""))
        if not image:
            # About the batch as a whole.
            self._phase = f"{event.get('message', '')} …".capitalize()
            self.changed.emit()
        elif isinstance(done, (int, float)) and isinstance(total, (int, float)) and total > 0:
            self.rows.progress(image, min(max(done / total, 0.0), 1.0))

    def _become(self, kind: Kind) -> None:
        if self.kind == kind or (self.kind == "stopping" and kind == "running"):
            return
        self.kind = kind
        self.changed.emit()

    def _end(self, child: ChildProcess) -> None:
        self._timer.stop()
        self._child = None
        self._end_activity()
        self._drop_folder()
        stopping = self.kind == "stopping"
        self.kind = "idle"
        self.rows.rest()
        assert self.request is not None
        self.outcome = self._outcome(self.request, child, stopping)
        self.changed.emit()
        self.ended.emit(self.outcome)

    def _outcome(self, request: BatchRequest, child: ChildProcess, stopping: bool) -> BatchOutcome:
        tally = self.rows.tally()
        n_failed = tally["failed"]
        failures = f" {n_failed:,} failed: see why in the list." if n_failed else ""
        stopped = stopping or bool(self._last.get("stopped"))
        left = f" {tally['waiting']:,} images wait: Resume goes on with them." if tally["waiting"] else ""
        if self._last.get("event") == "error":
            return BatchOutcome(request, stopped, True, str(self._last.get("message")))
        if stopped:
            return BatchOutcome(request, True, False, f"Stopped.{left}{failures}")
        if self._last.get("event") == "done":
            n_left_out = tally["skipped"] + tally["kept"]
            before = f" {n_left_out:,} were done before." if n_left_out else ""
            cells = f"{self.rows.n_cells():,} cells in {tally['done'] + n_left_out:,} images."
            return BatchOutcome(request, False, False, f"{cells}{before}{failures}{self._noted()}")
        sentence = f"The batch ended unexpectedly ({ending(child)}). What is done stays; press Resume to go on."
        return BatchOutcome(request, False, True, sentence)

    def _noted(self) -> str:
        return "".join(f" {note}" for note in self.notes[-2:])

    def _drop_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _show_activity(self) -> None:
        # Opening napari's activity dock takes longer than a click may.
        if self._activity is None and time.monotonic() - self._started > ACTIVITY_AFTER_S:
            self._activity = Activity(f"Segmenting {self.n_images:,} images", self.cancel)
        if self._activity is not None:
            self._activity.show(Progress(round(1000 * self.done), 1000))

    def _end_activity(self) -> None:
        activity, self._activity = self._activity, None
        if activity is not None:
            activity.close()


_jobs: WeakKeyDictionary[Workbench, BatchJob] = WeakKeyDictionary()


def batch_of(bench: Workbench) -> BatchJob:
    """Return the one batch of a viewer: it goes on when the widget's dock is closed."""
    if bench not in _jobs:
        _jobs[bench] = BatchJob()
    return _jobs[bench]


def ending(child: ChildProcess) -> str:
    """Return the last word of a program that ended without saying that it is done."""
    code = child.returncode
    if code is None or code > 0:
        lines = [line for line in child.said.splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"status {code}"
    return f"it was killed, signal {-code}" if code < 0 else "it said nothing of its end"
