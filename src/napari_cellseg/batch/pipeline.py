"""Segment images on this computer: the next are read and the last are written while the network runs on one."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from ..imaging.progress import Progress, relay
from ..instances.prediction import Prediction
from ..results.folder_settings import FolderSettings
from ..results.plan import Item
from ..results.rows import BatchRow
from .ahead import Ahead, Budget
from .item import Task, finish, iter_predict_task, iter_tasks

N_AHEAD = 2
MEMORY = 1 << 30
TICK_SECONDS = 0.1
MOST_WRITERS = 4
Record = Callable[[Sequence[BatchRow]], None]
# One of: ("running", Item), ("progress", (Item, Progress)), ("tick", None).
Event = tuple[str, Any]


def iter_local(
    items: Sequence[Item],
    settings: FolderSettings,
    record: Record,
    previous: Callable[[str], Sequence[BatchRow]],
    memory: int = MEMORY,
) -> Generator[Event, None, None]:
    """Segment images, with reading, prediction and writing side by side; the network runs in this thread.

    Parameters
    ----------
    items : sequence of Item
    settings : FolderSettings
    record : callable
        Is given the rows of an image, or of a page of it, as soon as its results are written; from any thread.
    previous : callable
        Gives the rows that a stem had before.
    memory : int
        Nothing more is read while images under way hold more bytes than this, by a rough estimate.

    Yields
    ------
    tuple
        What happens, or ``("tick", None)`` a few times a second where nothing does. Closing the generator cancels
        within one batch of tiles; what is being written then is written, and recorded, before it returns.

    Raises
    ------
    ModelError
        The model cannot be used.
    """
    budget = Budget(memory)
    reading = Ahead(_iter_read(items, settings, previous, budget), N_AHEAD, budget)
    n_writers = min(MOST_WRITERS, os.cpu_count() or 1)
    writers = ThreadPoolExecutor(n_writers, thread_name_prefix="napari-cellseg writing")
    writing: set[Future[None]] = set()
    try:
        shown: Item | None = None
        while not reading.exhausted:
            task = reading.fetch(TICK_SECONDS)
            writing = _checked(writing)
            if task is None:
                yield "tick", None
                continue
            if task.item is not shown:
                shown = task.item
                yield "running", task.item
            prediction = None
            if task.waits:
                prediction = yield from relay(iter_predict_task(task), partial(_progress, task.item))
            if prediction is None:
                record(task.rows)
                budget.give(task.n_bytes)
                continue
            while len(writing) > n_writers:
                wait(writing, TICK_SECONDS, return_when="FIRST_COMPLETED")
                writing = _checked(writing)
                yield "tick", None
            writing.add(writers.submit(_finish, task, prediction, settings, record, budget))
            del task, prediction
        while writing:
            wait(writing, TICK_SECONDS)
            writing = _checked(writing)
            yield "tick", None
    finally:
        reading.close()
        writers.shutdown(wait=True)


def _iter_read(
    items: Sequence[Item], settings: FolderSettings, previous: Callable[[str], Sequence[BatchRow]], budget: Budget
) -> Iterator[Task]:
    for item in items:
        for task in iter_tasks(item, settings, previous(item.stem)):
            budget.take(task.n_bytes)
            yield task


def _progress(item: Item, progress: Progress) -> Event:
    return "progress", (item, progress)


def _finish(task: Task, prediction: Prediction, settings: FolderSettings, record: Record, budget: Budget) -> None:
    n_bytes = task.n_bytes
    try:
        finish(task, prediction, settings)
        record(task.rows)
    finally:
        budget.give(n_bytes)


def _checked(writing: set[Future[None]]) -> set[Future[None]]:
    """Futures that are not done yet; an error of one that is done is raised."""
    done = {future for future in writing if future.done()}
    for future in done:
        future.result()
    return writing - done
