"""One batch under way: the child process, what it has said so far, and what became of it."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...imaging.errors import CellsegError
from ...results.rows import FINISHED, BatchRow
from ...segmentation.options import DEFAULT_OPTIONS, RunOptions
from ...segmentation.recipe import Recipe
from ..shared.pace import in_words
from ..viewer.bench import Bench
from .batch_rows import BatchRows
from .child_job import ChildJob
from .child_process import ChildProcess


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
    options : RunOptions
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
    options: RunOptions = DEFAULT_OPTIONS
    resume: bool = False
    scheduler: str = ""
    overwrite: bool = False

    def words(self, folder: Path) -> list[str]:
        """Return the command line that does this, and write what it reads into a folder."""
        recipe, files = folder / "recipe.json", folder / "files.json"
        self.recipe.write(recipe, self.options)
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


class BatchJob(ChildJob):
    """At most one batch per viewer; it is idle, starting, running or stopping, and ends with a BatchOutcome."""

    # Rows that came since the last look are shown together; more wait for the next, so that the window stays quick.
    at_once = 500

    def __init__(self) -> None:
        super().__init__()
        self.rows = BatchRows()
        self.out: Path | None = None
        self.request: BatchRequest | None = None
        self.outcome: BatchOutcome | None = None
        self.n_images = 0
        self._phase = ""
        self._finished: set[str] = set()
        self._n_worked = 0
        self._began = 0.0
        self._folder: Path | None = None

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
        own = request.words(self._folder)
        self.request, self.out, self.outcome = request, request.out, None
        self.notes, self._phase, self._finished, self._n_worked, self._began = [], "", set(), 0, 0.0
        self.n_images = len(request.files)
        if not request.resume:
            self.rows.set_images([name for _, name in request.files])
        self._launch(own, words)
        return True

    def close(self) -> None:
        """Let the batch stop by itself, unheard; called when the window goes."""
        super().close()
        # What the child reads it has read once it said so; one that starts only now would find that it is to stop.
        self._drop_folder()

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

    def _hear(self, events: list[dict[str, Any]]) -> bool:
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
        return True

    def _part(self) -> float:
        return self.done

    def _title(self) -> str:
        return f"Segmenting {self.n_images:,} images"

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

    def _become(self, kind: str) -> None:
        # An image begins more often than a phase.
        if self.kind not in (kind, "stopping"):
            super()._become(kind)

    def _conclude(self, child: ChildProcess, stopping: bool) -> BatchOutcome:
        self._drop_folder()
        self.rows.rest()
        request = self.request
        assert request is not None
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
        sentence = f"The batch ended unexpectedly ({child.ending()}). What is done stays; press Resume to go on."
        return BatchOutcome(request, False, True, sentence)

    def _noted(self) -> str:
        return "".join(f" {note}" for note in self.notes[-2:])

    def _drop_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def batch_of(bench: Bench) -> BatchJob:
    """Return the one batch of a viewer: it goes on when the widget's dock is closed."""
    return bench.part(BatchJob, lambda _: BatchJob())
