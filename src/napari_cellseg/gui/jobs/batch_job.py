"""A batch in a child process: its reports so far, and its outcome."""

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
from ...imaging.read.ome_zarr.places import typed
from ...results.rows import FINISHED, BatchRow
from ...segmentation.options import DEFAULT_OPTIONS, RunOptions
from ...segmentation.recipe import Recipe
from ..shared.progress_bar import in_words
from .batch_rows import BatchRows
from .child_job import ChildJob
from .child_process import ChildProcess


@dataclass(frozen=True)
class BatchRequest:
    """The settings of one batch, started by Run or Resume.

    Attributes
    ----------
    files : tuple of (str, str)
        Path and name of every image.
    out : Path
        Folder of the results.
    recipe : Recipe
    options : RunOptions
    resume : bool
        Skip images that are done already with this recipe.
    scheduler : str
        Address of a Dask cluster; empty for this computer.
    overwrite : bool
        Also replace manually corrected results.
    """

    files: tuple[tuple[str, str], ...]
    out: Path
    recipe: Recipe
    options: RunOptions = DEFAULT_OPTIONS
    resume: bool = False
    scheduler: str = ""
    overwrite: bool = False

    def words(self, folder: Path) -> list[str]:
        """Return the command line that carries this out, and write the files that it reads into a folder."""
        recipe, files = folder / "recipe.json", folder / "files.json"
        self.recipe.write(recipe, self.options)
        files.write_text(json.dumps(self.files), encoding="utf-8")
        words = ["segment", "--files-from", str(files), "--out", str(self.out), "--recipe", str(recipe)]
        words += ["--resume"] if self.resume else []
        for address in typed():
            # Addresses in files are not looked up.
            words += ["--address", address]
        words += ["--overwrite"] if self.overwrite else []
        return [*words, "--scheduler", self.scheduler] if self.scheduler else words


@dataclass(frozen=True)
class BatchOutcome:
    """The outcome of a batch.

    Attributes
    ----------
    request : BatchRequest
    stopped, failed : bool
        Ended by the user; ended by an error, errors of single images not counted.
    sentence : str
        What happened and what can be done next.
    """

    request: BatchRequest
    stopped: bool
    failed: bool
    sentence: str


class BatchJob(ChildJob):
    """At most one batch per viewer; ends with a BatchOutcome."""

    starting_sentence = "Starting: loading the network …"
    stopping_sentence = "Stopping. What is done stays done …"

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
        self._received: list[BatchRow] = []

    @property
    def n_finished(self) -> int:
        """Number of images of this batch that are done, failed or skipped."""
        return len(self._finished)

    @property
    def done(self) -> float:
        """How much of the batch is done, 0 to 1."""
        if not self.n_images:
            return 0.0
        image, part = self.rows.part
        return min((self.n_finished + (0 if image in self._finished else part)) / self.n_images, 1.0)

    def seconds_left(self, now: float | None = None) -> float | None:
        """Return the seconds that the batch will still take; None until that can be estimated."""
        image, part = self.rows.part
        worked = self._n_worked + (0 if image in self._finished else part)
        # The first image is no measure: the network is loaded in its time.
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

    def _begin(self, request: BatchRequest) -> list[str]:
        self._folder = Path(tempfile.mkdtemp(prefix="napari-cellseg-"))
        own = request.words(self._folder)
        self.out = request.out
        self._phase, self._finished, self._n_worked, self._began = "", set(), 0, 0.0
        self.n_images = len(request.files)
        if not request.resume:
            self.rows.set_images([name for _, name in request.files])
        return own

    def close(self) -> None:
        """Let the batch stop by itself, without listening; called when the window closes."""
        super().close()
        # A running child has read these files; one that starts only now finds that it is to stop.
        self._drop_folder()

    def _sentence(self) -> str:
        image, part = self.rows.part
        now = f"{image}: {part:.0%}" if image and part else image
        return self._phase or " ".join([*self.notes[-1:], now]).strip() or "Working …"

    def _receive(self, events: list[dict[str, Any]]) -> bool:
        super()._receive(events)
        self._put_received()
        return True

    def _receive_one(self, event: Mapping[str, Any]) -> bool:
        kind = event.get("event")
        if kind == "row":
            self._receive_row(event)
        elif kind == "running":
            self._put_received()
            self._began = self._began or time.monotonic()
            self._phase = ""
            self.rows.run(str(event.get("image", "")))
            self._become("running")
        elif kind == "progress":
            self._receive_progress(event)
        elif kind == "plan":
            self._become("running")
        return True

    def _put_received(self) -> None:
        # All rows that were reported since are shown together.
        rows, self._received = self._received, []
        self.rows.put(rows)

    def _title(self) -> str:
        return f"Segmenting {self.n_images:,} images"

    def _receive_row(self, event: Mapping[str, Any]) -> None:
        try:
            row = BatchRow.from_dict({name: value for name, value in event.items() if name != "event"})
        except (CellsegError, TypeError, ValueError):
            return
        self._received.append(row)
        if row.state in FINISHED and row.image not in self._finished:
            self._finished.add(row.image)
            self._n_worked += row.state in ("done", "failed")

    def _receive_progress(self, event: Mapping[str, Any]) -> None:
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
