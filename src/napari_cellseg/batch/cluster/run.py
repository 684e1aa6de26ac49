"""Send the images of a batch to a Dask cluster, and collect their rows."""

from __future__ import annotations

import contextlib
import gc
import logging
import queue
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from ...imaging.errors import CellsegError, ModelError, OutputError
from ...imaging.read.ome_zarr.places import typed
from ...imaging.write.write import make_folder
from ...results.plan import Item
from ...results.rows import BatchRow
from ...segmentation.options import DEFAULT_OPTIONS, RunOptions
from ...segmentation.provenance import versions
from ...segmentation.recipe import Recipe
from .fitness import Fitness, check_of_package, unfit
from .worker import RemoteJob, work

# One of: ("running", item), ("rows", item, rows), ("note", text), ("tick", None).
RemoteEvent = tuple[Any, ...]

TICK_SECONDS = 0.2
CONNECT_SECONDS = 15
RETRIES = 2
# Number of tasks that wait at the scheduler: enough to make an adaptive cluster grow, and no load for it.
MOST_WAITING = 1000
_SILENT_SECONDS = 20.0
_LOGGERS = ("distributed", "tornado", "asyncio")


def iter_remote(
    items: Sequence[Item],
    recipe: Recipe,
    out: Path,
    scheduler: str,
    options: RunOptions = DEFAULT_OPTIONS,
    *,
    overwrite: bool = False,
    resume: bool = True,
    previous: Callable[[str], Sequence[BatchRow]] = lambda stem: (),
    retries: int = RETRIES,
) -> Generator[RemoteEvent, None, None]:
    """Segment images on the workers of a Dask cluster, into a folder that all of them see.

    Each image is one task. A worker that dies has its image given to another; files are written whole or not at all, so
    that an image that was begun twice has one result, with the bytes that a run on this machine gives.

    Parameters
    ----------
    items : sequence of Item
    recipe : Recipe
        Resolved: with threshold, min_size and the model's hash.
    out : Path
        Folder of results, on a drive that this machine and all workers have under one name.
    scheduler : str
        Such as ``tcp://10.0.0.1:8786``, or the scheduler's ``.json`` file.
    options : RunOptions, optional
    overwrite, resume : bool
        See `item.segment_item`.
    previous : callable
        Gives the rows of a stem in the ledger.
    retries : int
        How often a task that raised is tried again.

    Yields
    ------
    tuple
        ``("running", item)`` when a worker begins, ``("rows", item, list of BatchRow)`` once for every item,
        ``("note", text)`` for the user, and ``("tick", None)`` at least every 0.2 s, so that the caller may close:
        that cancels what has not begun, and stops the rest within one batch of tiles.

    Raises
    ------
    CellsegError
        `distributed` is not installed; no scheduler answers, or it went away.
    ModelError, OutputError
        A worker has not this model, or does not see the folder.
    """
    out = out.absolute()
    make_folder(out / ".cellseg")
    token = secrets.token_hex(4)
    alive = out / ".cellseg" / f"alive-{token}"
    addresses = tuple(typed())
    job = RemoteJob(recipe, options, out, alive, overwrite, resume, f"cellseg-{token}", retries, addresses)
    with _connected(scheduler) as client, _token_file(alive):
        yield from _collect(client, items, job, previous)


def _collect(
    client: Any, items: Sequence[Item], job: RemoteJob, previous: Callable[[str], Sequence[BatchRow]]
) -> Generator[RemoteEvent, None, None]:
    messages: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    fit = Fitness(client)
    fit.check()
    # A worker without this package would die of the first image; this task runs there, and returns what is missing.
    probe = client.submit(check_of_package(), key=f"{job.topic}-probe", pure=False)
    probe.add_done_callback(lambda _: messages.put(("probed", None)))
    probed = False
    client.subscribe_topic(job.topic, lambda event: messages.put(("begun", event[1])))
    futures: dict[int, Any] = {}
    differences: set[str] = set()
    following = iter(range(len(items)))
    n_left, last_word, warned = len(items), time.monotonic(), False
    try:
        while n_left:
            while probed and len(futures) < MOST_WAITING and (place := next(following, None)) is not None:
                futures[place] = _submit(client, items[place], previous(items[place].stem), job, place, messages)
            kind, value = _next(messages)
            if kind == "tick":
                yield ("tick", None)
                if client.status not in ("running", "connecting"):
                    raise _lost(client)
                fit.check()
                if not warned and time.monotonic() - last_word > _SILENT_SECONDS:
                    warned = True
                    if not client.scheduler_info().get("workers"):
                        yield ("note", "The cluster has no workers yet; the images wait for one.")
                continue
            last_word = time.monotonic()
            if kind == "probed":
                probed = True
                fit.judge(probe)
                continue
            if kind == "begun":
                if value in futures:
                    yield ("running", items[value])
                continue
            future = futures.pop(value)
            rows, remote = _outcome(client, items[value], future)
            n_left -= 1
            for note in _differences(remote):
                if note not in differences:
                    differences.add(note)
                    yield ("note", note)
            yield ("rows", items[value], rows)
    finally:
        if futures:
            # Where the scheduler is gone, there is nothing to cancel.
            with contextlib.suppress(OSError, RuntimeError, TimeoutError):
                client.cancel(list(futures.values()), force=True)


def _next(messages: queue.SimpleQueue[tuple[str, Any]]) -> tuple[str, Any]:
    try:
        return messages.get(timeout=TICK_SECONDS)
    except queue.Empty:
        return ("tick", None)


def _submit(
    client: Any,
    item: Item,
    rows: Sequence[BatchRow],
    job: RemoteJob,
    place: int,
    messages: queue.SimpleQueue[tuple[str, Any]],
) -> Any:
    key = f"{job.topic}-{place}"
    future = client.submit(work, item, list(rows), job, place, key=key, retries=job.retries, pure=False)
    future.add_done_callback(lambda _: messages.put(("done", place)))
    return future


def _outcome(client: Any, item: Item, future: Any) -> tuple[list[BatchRow], dict[str, str]]:
    """Return the rows of a finished task and the versions of its worker; raises the error that stops the batch."""
    if future.status == "finished":
        try:
            answer = future.result()
        except (OSError, TimeoutError, RuntimeError) as broken:
            # The connection broke while the answer was fetched.
            raise _lost(client) from broken
        if "error" in answer:
            kind = {"ModelError": ModelError, "OutputError": OutputError}.get(answer["kind"], CellsegError)
            raise kind(f"Worker {answer['worker']}: {answer['error']}")
        return [BatchRow.from_dict(row) for row in answer["rows"]], answer["versions"]
    if future.status != "error":
        raise _lost(client)
    try:
        error = future.exception()
    except (OSError, TimeoutError, RuntimeError):
        raise _lost(client) from None
    if isinstance(error, ImportError):
        raise unfit("A worker", str(error))
    if type(error).__name__ == "KilledWorker":
        message = (
            "The workers that tried this image died one after the other: its memory may not suffice, or the cluster "
            "ended them. Give the workers more memory, and run again with --resume."
        )
    else:
        message = f"The cluster could not do this image: {type(error).__name__}: {error}. Run again with --resume."
    return [BatchRow(item.name, state="failed", stem=item.stem, error=message, source={"path": str(item.path)})], {}


def _differences(remote: dict[str, str]) -> Iterator[str]:
    own = versions()
    for name, version in remote.items():
        if own.get(name, version) != version:
            yield (
                f"The cluster has {name} {version}, and this machine {own[name]}: labels may differ from those made "
                "here in a few pixels. The versions stand in every result."
            )


@contextlib.contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise CellsegError(
            f"A cluster is reached by Dask, and {error.name} is not installed. "
            'Run: pip install "napari-cellseg[cluster]"'
        ) from error
    where = {"scheduler_file": scheduler} if scheduler.endswith(".json") else {"address": scheduler}
    with _quiet():
        try:
            client = Client(**where, timeout=CONNECT_SECONDS, set_as_default=False, name="napari-cellseg")
        except (OSError, ValueError, TimeoutError) as error:
            raise CellsegError(
                f"No Dask scheduler answers at {scheduler} ({str(error) or type(error).__name__}). Start one with "
                "'dask scheduler', and give the address that it prints, such as tcp://10.0.0.1:8786."
            ) from error
        try:
            yield client
        finally:
            with contextlib.suppress(OSError, RuntimeError, TimeoutError):
                client.close(timeout=5)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask from logging what the errors raised here put into words, such as how a connection broke."""
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in _LOGGERS]
    loggers = [logger for name in names if not (logger := logging.getLogger(name)).disabled]
    try:
        for logger in loggers:
            logger.disabled = True
        yield
    finally:
        # What was never waited for is reported when it is thrown away.
        gc.collect()
        for logger in loggers:
            logger.disabled = False


@contextlib.contextmanager
def _token_file(path: Path) -> Iterator[None]:
    """Keep a file by which workers see that they share the folder; once it is gone, the batch was stopped."""
    for left in path.parent.glob("alive-*"):
        left.unlink(missing_ok=True)
    try:
        path.touch()
    except OSError as error:
        raise OutputError(f"{path} was not written: {error.strerror or error}. Choose another folder.") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _lost(client: Any) -> CellsegError:
    address = getattr(client.scheduler, "address", None) if client.scheduler is not None else None
    return CellsegError(
        f"The Dask scheduler{f' at {address}' if address else ''} went away. What was finished is kept: start it anew, "
        "and run again with --resume."
    )
