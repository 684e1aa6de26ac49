"""Segment many images into a folder of results; a bad image is reported, and the others are done."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path

from ..imaging.errors import OutputError
from ..imaging.progress import Note
from ..imaging.write.atomic import sweep
from ..imaging.write.write import make_folder, write_json
from ..results.combine import write_combined
from ..results.counts import COUNTS_FILE, CountsWriter, as_listed, forget_gone, open_ledger
from ..results.equal_values import equal_images_in_words
from ..results.folder_settings import FolderSettings
from ..results.kept import is_current
from ..results.ledger import FOLDER, Ledger
from ..results.locks import FolderLock
from ..results.origin import claim
from ..results.outputs import OUTPUTS, Output
from ..results.plan import Item, check_apart, plan
from ..results.rows import BatchRow
from ..segmentation.options import DEFAULT_OPTIONS, RunOptions
from ..segmentation.recipe import RECIPE_FILE, Recipe
from ..segmentation.segmented import versions
from .events import BatchEvent, BatchSummary, Planned, RowDone, Running, Step
from .pipeline import iter_local

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

    Everything that is finished is on the disk: a run that was stopped or killed can be resumed.

    Parameters
    ----------
    files : sequence of (Path, str)
        Path of an image, and its name in the results.
    out : Path
        Folder for the results; made if missing. What is there of other images stays.
    recipe : Recipe
    options : RunOptions, optional
        Where it runs, and what is written.
    resume : bool
        Skip images that were done with the same recipe, did not change since, and have all their results.
    overwrite : bool
        Also replace labels that a user corrected, or that another program wrote; else the first are kept, and the
        second are errors.
    scheduler : str, optional
        Address of a Dask cluster that does the work; `out` and the images must be seen from there.
    stop : callable, optional
        Called often; when it returns True, the batch ends within one batch of tiles. Closing the generator does
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
    settings = FolderSettings.of(recipe, out, options, overwrite, resume)
    make_folder(settings.out)
    with contextlib.closing(FolderLock(settings.out / FOLDER)) as lock:
        if lock.after_crash:
            sweep(settings.out)
        for name in (RECIPE_FILE, *(one.suffix for one in _outputs(settings) if one.combined)):
            claim(settings.out / name, overwrite)
        book = _Book(settings, lock)
        try:
            stopped = yield from _iter_images(files, settings, book, scheduler, stop)
        finally:
            book.close()
            if lock.after_crash or scheduler is not None:
                # Also workers may have been killed.
                sweep(settings.out, wait=True)
    return BatchSummary.of(book.rows, stopped, time.monotonic() - began)


class _Book:
    """Takes rows from any thread, writes them into the ledger, and hands on events."""

    def __init__(self, settings: FolderSettings, lock: FolderLock) -> None:
        self._settings, self._folder = settings, lock
        self.ledger: Ledger = open_ledger(settings.out)
        self._counts = CountsWriter(self.ledger, settings.out / COUNTS_FILE, style=settings.options.csv)
        self._lock = threading.Lock()
        self._news: deque[BatchEvent] = deque()
        self._warned = False
        self._left: set[str] = set()
        self.rows: list[BatchRow] = []

    def record(self, rows: Sequence[BatchRow]) -> None:
        """Take rows."""
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
            # A window that corrected it may have added its own row just now.
            self.ledger.refresh()
        old = self.ledger.get(row.key)
        if row.state == "kept":
            return old is None or not old.corrected or _stored(row, old) != old
        if row.state == "failed" and old is not None and old.corrected and not self._settings.overwrite:
            # Its image could not be read: the manually edited labels are as they were.
            return not (self._settings.out / old.files.get("labels", "")).is_file()
        return row.state != "skipped" or old is None or old.source != row.source

    def _look_for_older(self, row: BatchRow) -> None:
        """Collect files of an earlier recipe that stay beside a new result because they were not asked for."""
        old = self.ledger.get(row.key)
        if row.state == "done" and old is not None and old.recipe not in ("", row.recipe):
            lost = {name for name in old.files if name in OUTPUTS and name not in row.files}
            self._left |= {name for name in lost if _is_there(self._settings.out, OUTPUTS[name], old.files[name])}

    def warnings(self) -> Generator[BatchEvent, None, None]:
        """Warn of damaged rows, of files of an earlier recipe in the folder, and of images with equal values."""
        if n := self.ledger.n_damaged:
            yield Note(
                f"{n} line{'s' if n > 1 else ''} of {self.ledger.path} cannot be read, as after a crash: what a line "
                "was about is missing in the tables, unless it was done again. Run again with the images concerned."
            )
        if equal := equal_images_in_words(as_listed(self.ledger.rows())):
            yield Note(equal)
        left = [OUTPUTS[name].label for name in OUTPUTS if name in self._left]
        if left:
            yield Note(
                f"Still of an earlier recipe, because not asked for this time: {', '.join(left)}. Run again with them, "
                "or delete these files."
            )

    def news(self) -> Generator[BatchEvent, None, None]:
        """Yield the events since the last call; raises OutputError if the folder is gone."""
        if self._folder.is_lost:
            raise OutputError(
                f"{self._settings.out} was deleted or moved while results were written into it. Run again, with a "
                "folder that stays."
            )
        while self._news:
            yield self._news.popleft()

    def close(self) -> None:
        """Write ledger and tables; raises OutputError if the system refused."""
        if self._folder.is_lost:
            forget_gone(self.ledger, self._settings.out)
        try:
            self.ledger.close()
        finally:
            self._counts.close()
        options = self._settings.options
        write_combined(self.ledger.rows(), self._settings.out, options.outputs, options.csv)


def _iter_images(
    files: Sequence[tuple[Path, str]],
    settings: FolderSettings,
    book: _Book,
    scheduler: str | None,
    stop: Callable[[], bool] | None,
) -> Generator[BatchEvent, None, bool]:
    """Segment what is not current, and warn; return whether it was stopped."""
    items = plan(files, book.ledger.rows(), stop)
    stopped = len(items) < len(files)
    endings = [output.suffix for output in _outputs(settings) if output.is_file]
    check_apart(items, settings.out, endings, settings.recipe.pages != "one")
    _write_recipe(settings)
    yield Planned(tuple(name for _, name in files))
    if settings.resume:
        items = yield from _iter_skip(items, settings, book)
    ended = yield from _iter_until(stop, _steps(items, settings, book, scheduler), book)
    stopped = stopped or (not ended and bool(items))
    yield from book.warnings()
    if not stopped:
        yield Step("", 0, 0, "writing the tables")
    return stopped


def _iter_skip(items: Sequence[Item], settings: FolderSettings, book: _Book) -> Generator[BatchEvent, None, list[Item]]:
    """Report images that are current; return the others."""
    left = []
    for item in items:
        rows = book.ledger.of(item.stem)
        if is_current(rows, item, settings):
            book.record([replace(row, state="skipped") for row in rows])
            yield from book.news()
        else:
            left.append(item)
    return left


def _iter_until(
    stop: Callable[[], bool] | None, steps: Generator[BatchEvent | None, None, None], book: _Book
) -> Generator[BatchEvent, None, bool]:
    """Yield the steps' events and the book's news; return whether they came to their end before `stop` said True."""
    ended = True
    with contextlib.closing(steps):
        for event in steps:
            yield from book.news()
            if stop is not None and stop():
                ended = False
                break
            if event is not None:
                yield event
    yield from book.news()
    return ended


def _steps(
    items: Sequence[Item], settings: FolderSettings, book: _Book, scheduler: str | None
) -> Generator[BatchEvent | None, None, None]:
    """Segment here or on a cluster; rows go to the book, and None is yielded to let the caller stop."""
    if scheduler is None:
        for kind, what in iter_local(items, settings, book.record, book.ledger.of):
            if kind == "running":
                yield Running(what.name)
            elif kind == "progress":
                yield Step(what[0].name, what[1].done, what[1].total, what[1].message)
            else:
                yield None
        return
    from .cluster.run import iter_remote

    how = {"overwrite": settings.overwrite, "resume": settings.resume}
    for event in iter_remote(
        items, settings.recipe, settings.out, scheduler, settings.options, **how, previous=book.ledger.of
    ):
        if event[0] == "rows":
            book.record(event[2])
        if event[0] == "running":
            yield Running(event[1].name)
        else:
            yield Note(event[1]) if event[0] == "note" else None


def _stored(row: BatchRow, old: BatchRow | None) -> BatchRow:
    """Return a row as the ledger keeps it: done or failed; the other states are about one run."""
    if row.state == "kept":
        if old is not None and old.corrected:
            # A window that corrected it may have added its own row just now. An image that has changed since is
            # not the one that was corrected.
            return replace(old, error=row.error, source=old.source if row.error else row.source)
        return replace(row, state="done", notes=())
    return replace(row, state="done") if row.state == "skipped" else row


def _is_there(out: Path, output: Output, name: str) -> bool:
    return (out / (output.suffix if output.combined else name)).exists()


def _outputs(settings: FolderSettings) -> list[Output]:
    return [OUTPUTS[name] for name in settings.options.outputs]


def _write_recipe(settings: FolderSettings) -> None:
    write_json(
        settings.out / RECIPE_FILE,
        {
            "recipe": {**settings.recipe.to_dict(), **settings.options.to_dict()},
            "recipe_sha256": settings.digest,
            "model_sha256": settings.model.sha256,
            "versions": versions(),
        },
    )
