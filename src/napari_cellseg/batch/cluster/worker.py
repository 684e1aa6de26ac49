"""Segment one image of a batch on a worker of a Dask cluster."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...imaging.errors import CellsegError
from ...imaging.read.ome_zarr.places import allow_only
from ...imaging.stack_planes import StackPlane
from ...results.plan import Item
from ...results.rows import BatchRow
from ...segmentation.options import RunOptions
from ...segmentation.provenance import versions
from ...segmentation.recipe import Recipe
from ..item import segment_item
from .tiles import ONE_AT_A_TIME, ClusterHelpers

# Network drives show new files late.
_SEEN_WITHIN_SECONDS = 20.0


@dataclass(frozen=True)
class RemoteJob:
    """Settings that all images of a batch share, sent to the workers.

    Attributes
    ----------
    recipe : Recipe
        Resolved.
    options : RunOptions
    out : Path
        Folder of results.
    alive : Path
        A file in it, by which a worker sees that it shares the folder, and that the batch was not stopped.
    overwrite, resume : bool
        See `item.segment_item`.
    topic : str
        Topic under which a worker announces the image that it begins.
    retries : int
        How often a task that raised is tried again.
    addresses : tuple of str
        Those on servers that the user typed: a worker may read there.
    """

    recipe: Recipe
    options: RunOptions
    out: Path
    alive: Path
    overwrite: bool
    resume: bool
    topic: str
    retries: int
    addresses: tuple[str, ...] = ()


def work(item: Item, rows: list[BatchRow], job: RemoteJob, place: int) -> dict[str, Any]:
    """Segment one image; the function that a worker runs.

    Errors that would come again are returned; all others are raised, and the task is retried.

    Parameters
    ----------
    item : Item
    rows : list of BatchRow
        Rows of the image in the ledger.
    job : RemoteJob
    place : int
        Number of the image in the batch.

    Returns
    -------
    dict
        ``rows`` and the worker's ``versions``, or ``kind``, ``error`` and ``worker``.
    """
    from distributed import get_client, get_worker

    worker = get_worker()

    def refusal(kind: str, text: str) -> dict[str, Any]:
        return {"kind": kind, "error": text, "worker": str(worker.name)}

    if not appears(job.alive):
        return refusal(
            "OutputError",
            f"it does not see the folder {job.out}, or the batch was stopped. This machine and all workers need one "
            "shared drive under one name: give a folder there (--out).",
        )

    try:
        allow_only(job.addresses)
    except CellsegError as error:
        return refusal("CellsegError", str(error))

    def helpers(item: Item, plane: StackPlane) -> ClusterHelpers:
        return ClusterHelpers(
            get_client(), worker.address, item.path, plane, job.recipe, job.options.device, job.topic, job.alive
        )

    with ONE_AT_A_TIME:
        worker.log_event(job.topic, place)
        steps = segment_item(
            item,
            job.recipe,
            job.out,
            job.options,
            overwrite=job.overwrite,
            resume=job.resume,
            previous=rows,
            helpers=helpers,
        )
        try:
            while True:
                next(steps)
                if not job.alive.exists():
                    steps.close()
                    return refusal("CellsegError", "the batch was stopped.")
        except StopIteration as stop:
            return {"rows": [row.to_dict() for row in stop.value], "versions": versions()}
        except CellsegError as error:
            return refusal(type(error).__name__, str(error))


def appears(path: Path) -> bool:
    """Wait for a file that another machine has written."""
    end = time.monotonic() + _SEEN_WITHIN_SECONDS
    while not path.exists():
        if time.monotonic() > end or not path.parent.parent.is_dir():
            return False
        time.sleep(0.25)
    return True
