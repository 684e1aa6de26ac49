"""Segment many images into a folder of results; a bad image is reported, and the others are done."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path

from ..imaging.progress import Note
from ..imaging.read.microscopes.read import forget
from ..imaging.write.atomic import sweep
from ..imaging.write.write import make_folder, write_json
from ..results.combine import REGIONS_FILE
from ..results.folder_settings import FolderSettings
from ..results.kept import is_current
from ..results.ledger import FOLDER
from ..results.locks import FolderLock
from ..results.origin import claim
from ..results.outputs import OUTPUTS, Output
from ..results.plan import Item, check_apart, plan
from ..segmentation.options import DEFAULT_OPTIONS, RunOptions
from ..segmentation.provenance import versions
from ..segmentation.recipe import RECIPE_FILE, Recipe
from .book import Book
from .events import BatchEvent, BatchSummary, Planned, Running, Step
from .pipeline import iter_local


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
    settings = FolderSettings.from_recipe(recipe, out, options, overwrite, resume)
    make_folder(settings.out)
    with contextlib.closing(FolderLock(settings.out / FOLDER)) as lock:
        if lock.after_crash:
            sweep(settings.out)
        regions = (REGIONS_FILE,) if settings.options.regions else ()
        for name in (RECIPE_FILE, *regions, *(one.suffix for one in _outputs(settings) if one.combined)):
            claim(settings.out / name, overwrite)
        book = Book(settings, lock)
        try:
            stopped = yield from _iter_images(files, settings, book, scheduler, stop)
        finally:
            book.close()
            # On Windows a file that is open can neither be moved nor removed.
            forget()
            if lock.after_crash or scheduler is not None:
                # Also workers may have been killed.
                sweep(settings.out, wait=True)
    return BatchSummary.from_rows(book.rows, stopped, time.monotonic() - began)


def _iter_images(
    files: Sequence[tuple[Path, str]],
    settings: FolderSettings,
    book: Book,
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


def _iter_skip(items: Sequence[Item], settings: FolderSettings, book: Book) -> Generator[BatchEvent, None, list[Item]]:
    """Report images that are current; return the others."""
    left = []
    for item in items:
        rows = book.ledger.rows_of(item.stem)
        if is_current(rows, item, settings):
            book.record([replace(row, state="skipped") for row in rows])
            yield from book.news()
        else:
            left.append(item)
    return left


def _iter_until(
    stop: Callable[[], bool] | None, steps: Generator[BatchEvent | None, None, None], book: Book
) -> Generator[BatchEvent, None, bool]:
    """Yield the steps' events and the book's news; return whether they ended before `stop` returned True."""
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
    items: Sequence[Item], settings: FolderSettings, book: Book, scheduler: str | None
) -> Generator[BatchEvent | None, None, None]:
    """Segment here or on a cluster; rows go to the book, and None is yielded to let the caller stop."""
    if scheduler is None:
        for kind, what in iter_local(items, settings, book.record, book.ledger.rows_of):
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
        items, settings.recipe, settings.out, scheduler, settings.options, **how, previous=book.ledger.rows_of
    ):
        if event[0] == "rows":
            book.record(event[2])
        if event[0] == "running":
            yield Running(event[1].name)
        else:
            yield Note(event[1]) if event[0] == "note" else None


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
