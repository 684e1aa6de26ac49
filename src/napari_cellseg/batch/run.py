"""Segment many images into a folder of results; a bad one is reported, the others are done, and nothing is lost."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path

from ..imaging.errors import OutputError
from ..imaging.write.atomic import YOUNG_SECONDS, sweep
from ..imaging.write.write import make_folder, write_json
from ..results.combine import write_combined
from ..results.counts import COUNTS_FILE, CountsWriter, open_ledger
from ..results.job import Job
from ..results.kept import is_current
from ..results.ledger import FOLDER, Ledger
from ..results.locks import FolderLock
from ..results.outputs import OUTPUTS, Output, output_path
from ..results.plan import Item, plan
from ..results.rows import BatchRow
from ..segmentation.options import DEFAULT_OPTIONS, RunOptions
from ..segmentation.recipe import Recipe
from ..segmentation.segmented import versions
from .events import BatchEvent, BatchSummary, Note, Planned, RowDone, Running, Step
from .pipeline import iter_local

RECIPE_FILE = "recipe.json"
FULL = "The disk is full or the folder cannot be written: what is done now may have to be done again. Free some space."


def iter_batch(
    files: Sequence[tuple[Path, str]],
    out: Path,
    recipe: Recipe,
    options: RunOptions = DEFAULT_OPTIONS,
    *,
    resume: bool = False,
    overwrite: bool = False,
    scheduler: str | None = None,
    stop: Callable[[], bool] | None = None,
) -> Generator[BatchEvent, None, BatchSummary]:
    """Segment images and write their results, ``counts.csv`` and ``recipe.json`` into a folder.

    Everything that is finished is on the disk: a run that is stopped or killed, by whatever, can be resumed.

    Parameters
    ----------
    files : sequence of (Path, str)
        Where an image is, and how it is called in the results.
    out : Path
        Folder for the results; made if missing. What is there of other images stays.
    recipe : Recipe
    options : RunOptions, optional
        Where it runs, and what is written.
    resume : bool
        Skip images that were done with the same recipe, did not change since, and have all their results.
    overwrite : bool
        Also replace labels that a person corrected, or that no run of ours wrote; else the first are kept, and the
        second are errors.
    scheduler : str, optional
        Address of a Dask cluster that does the work; `out` and the images must be seen from there.
    stop : callable, optional
        Asked all the time; when it says True, the batch ends within one batch of tiles. Closing the generator does
        the same, but has no summary.

    Yields
    ------
    BatchEvent

    Returns
    -------
    BatchSummary

    Raises
    ------
    ModelError
        The model cannot be used.
    OutputError
        The folder, its tables or the recipe cannot be written, or another batch is running there.

    A bad image, or one result that cannot be written, does not raise: it becomes a row with an error.
    """
    began = time.monotonic()
    job = Job.of(recipe, out, options, overwrite, resume)
    make_folder(job.out)
    with contextlib.closing(FolderLock(job.out / FOLDER)) as lock:
        if lock.after_crash:
            sweep(job.out)
        book = _Book(job)
        try:
            items = plan(files, book.ledger.rows(), stop)
            stopped = len(items) < len(files)
            _refuse_to_replace(items, job)
            _write_recipe(job)
            yield Planned(tuple(name for _, name in files))
            if resume:
                items = yield from _iter_skip(items, job, book)
            steps = _steps(items, job, book, scheduler)
            try:
                for event in steps:
                    yield from book.news()
                    if stop is not None and stop():
                        stopped = stopped or bool(items)
                        break
                    if event is not None:
                        yield event
            finally:
                steps.close()
            yield from book.news()
            yield from book.warnings()
            if not stopped:
                yield Step("", 0, 0, "writing the tables")
        finally:
            book.close()
            if lock.after_crash:
                # What was too young then to be told from another program's work.
                time.sleep(max(0.0, YOUNG_SECONDS - (time.monotonic() - began)))
                sweep(job.out)
    return BatchSummary.of(book.rows, stopped, time.monotonic() - began)


class _Book:
    """Takes rows from any thread, writes them down, and tells the news."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.ledger: Ledger = open_ledger(job.out)
        self._counts = CountsWriter(self.ledger, job.out / COUNTS_FILE)
        self._lock = threading.Lock()
        self._news: deque[BatchEvent] = deque()
        self._warned = False
        self._left: set[str] = set()
        self.rows: list[BatchRow] = []

    def record(self, rows: Sequence[BatchRow]) -> None:
        """Take rows in."""
        for row in rows:
            self._look_for_older(row)
        new = [_stored(row, self.ledger.get(row.key)) for row in rows if self._is_new(row)]
        written = self.ledger.put(new) if new else True
        self._counts.touch()
        with self._lock:
            self._news += [RowDone(row) for row in rows]
            self.rows += rows
            if not written and not self._warned:
                self._warned = True
                self._news.append(Note(FULL))

    def _is_new(self, row: BatchRow) -> bool:
        if row.state == "kept":
            # A window that corrected it has said so in full, maybe just now.
            self.ledger.refresh()
        old = self.ledger.get(row.key)
        if row.state == "kept":
            return old is None or not old.corrected or _stored(row, old) != old
        if row.state == "failed" and old is not None and old.corrected and not self._job.overwrite:
            # Its image could not even be looked at: the labels, which are a person's, are as they were.
            return not (self._job.out / old.files.get("labels", "")).is_file()
        return row.state != "skipped" or old is None or old.source != row.source

    def _look_for_older(self, row: BatchRow) -> None:
        """Note which files of another recipe lie beside a new result; nobody asked for new ones, or for their end."""
        old = self.ledger.get(row.key)
        if row.state == "done" and old is not None and old.recipe not in ("", row.recipe):
            lost = {name for name in old.files if name in OUTPUTS and name not in row.files}
            self._left |= {name for name in lost if _is_there(self._job.out, OUTPUTS[name], old.files[name])}

    def warnings(self) -> Generator[BatchEvent, None, None]:
        """Tell what no longer fits together in the folder."""
        left = [OUTPUTS[name].label for name in OUTPUTS if name in self._left]
        if left:
            yield Note(
                f"Still of an earlier recipe, for this time nobody asked for them: {', '.join(left)}. Run again with "
                "them, or delete these files."
            )

    def news(self) -> Generator[BatchEvent, None, None]:
        """Tell what came since."""
        while self._news:
            yield self._news.popleft()

    def close(self) -> None:
        """Write everything down; an OutputError if the system refused."""
        try:
            self.ledger.close()
        finally:
            self._counts.close()
        write_combined(self.ledger.rows(), self._job.out, self._job.options.outputs)


def _iter_skip(items: Sequence[Item], job: Job, book: _Book) -> Generator[BatchEvent, None, list[Item]]:
    """Tell of images that need nothing; return the others."""
    left = []
    for item in items:
        rows = book.ledger.of(item.stem)
        if is_current(rows, item, job):
            book.record([replace(row, state="skipped") for row in rows])
            yield from book.news()
        else:
            left.append(item)
    return left


def _steps(
    items: Sequence[Item], job: Job, book: _Book, scheduler: str | None
) -> Generator[BatchEvent | None, None, None]:
    """Do the work, here or on a cluster; rows go to the book, and None is a moment to listen."""
    if scheduler is None:
        for kind, what in iter_local(items, job, book.record, book.ledger.of):
            if kind == "running":
                yield Running(what.name)
            elif kind == "progress":
                yield Step(what[0].name, what[1].done, what[1].total, what[1].message)
            else:
                yield None
        return
    from .cluster.run import iter_remote

    how = {"overwrite": job.overwrite, "resume": job.resume}
    for event in iter_remote(items, job.recipe, job.out, scheduler, job.options, **how, previous=book.ledger.of):
        if event[0] == "rows":
            book.record(event[2])
        if event[0] == "running":
            yield Running(event[1].name)
        else:
            yield Note(event[1]) if event[0] == "note" else None


def _stored(row: BatchRow, old: BatchRow | None) -> BatchRow:
    """A row as the ledger has it: done or failed; what else its state says is about one run."""
    if row.state == "kept":
        if old is not None and old.corrected:
            # A window that corrected it has said the rest in full, maybe just now. An image that became another is
            # not the one that was corrected.
            return replace(old, error=row.error, source=old.source if row.error else row.source)
        return replace(row, state="done", notes=())
    return replace(row, state="done") if row.state == "skipped" else row


def _is_there(out: Path, output: Output, name: str) -> bool:
    return (out / (output.suffix if output.combined else name)).exists()


def _refuse_to_replace(items: Sequence[Item], job: Job) -> None:
    images = {str(item.path): item for item in items}
    for item in items:
        for name in job.options.outputs:
            path = output_path(name, job.out / item.stem)
            if not OUTPUTS[name].combined and str(path) in images:
                raise OutputError(
                    f"{path} is one of the images, and would be replaced by a result of {item.name}. Choose another "
                    "folder for the results."
                )


def _write_recipe(job: Job) -> None:
    write_json(
        job.out / RECIPE_FILE,
        {
            "recipe": {**job.recipe.to_dict(), **job.options.to_dict()},
            "recipe_sha256": job.digest,
            "model_sha256": job.model.sha256,
            "versions": versions(),
        },
    )
