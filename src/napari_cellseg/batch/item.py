"""One image of a batch, from its file to its results: the same function in this process and on a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..blocks.segment_mosaic import Mosaic, MosaicResult, in_blocks, iter_mosaic
from ..imaging.errors import CellsegError, ImageError, OutputError
from ..imaging.image import Image
from ..imaging.pages import Page, page_image, pages_of, refuse_pages
from ..imaging.progress import Progress
from ..imaging.read.read import source_stamp
from ..instances.prediction import Prediction
from ..results.job import Job
from ..results.kept import has_files, kept_now, kept_rows, result_stem
from ..results.linked import LinkedStack
from ..results.plan import Item
from ..results.rows import BatchRow, failed
from ..results.save import mean_doubt, numbers, save_result
from ..results.stack_of_labels import Stack
from ..segmentation.recipe import Recipe
from ..segmentation.segment import Prepared, SegmentResult, iter_predict_prepared, open_image, prepare

if TYPE_CHECKING:
    from .cluster.tiles import TileHelpers


@dataclass(eq=False)
class Task:
    """One page of an image: ready for the network, or done with already (then `rows` says how)."""

    item: Item
    row: BatchRow
    prepared: Prepared | None = None
    mosaic: Mosaic | None = None
    stack: Stack | None = None
    page: Page | None = None
    rows: list[BatchRow] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def waits(self) -> bool:
        """Whether the network has to look at it."""
        return self.prepared is not None or self.mosaic is not None

    @property
    def n_bytes(self) -> int:
        """About how much memory it takes until its results are written."""
        if self.prepared is None:
            return 0
        return self.prepared.plane.nbytes + 4 * self.prepared.normalized.nbytes


def segment_item(
    item: Item,
    recipe: Recipe,
    out: Path,
    *,
    overwrite: bool = False,
    resume: bool = True,
    previous: Sequence[BatchRow] = (),
    helpers: Callable[[Item, Page], TileHelpers] | None = None,
) -> Generator[Progress, None, list[BatchRow]]:
    """Segment one image and write its results.

    Parameters
    ----------
    item : Item
    recipe : Recipe
    out : Path
        Folder of the results.
    overwrite : bool
        Also replace what a person corrected, or made.
    resume : bool
        Leave as it is what `previous` says was done with the same recipe and the same values.
    previous : sequence of BatchRow
        Rows that the image had.
    helpers : callable, optional
        Who helps with a page that is done block by block.

    Yields
    ------
    Progress
        Closing the generator cancels within one batch of tiles.

    Returns
    -------
    list of BatchRow
        One per page. What cannot be read, segmented or written is a row with an error.

    Raises
    ------
    ModelError
        The model cannot be used.
    """
    job = Job.of(recipe, out, overwrite, resume, helpers)
    rows: list[BatchRow] = []
    yield Progress(0, 0, "reading the image")
    for task in iter_tasks(item, job, previous):
        if task.waits:
            prediction = yield from iter_predict_task(task)
            if prediction is not None:
                yield Progress(1, 1, "writing the results")
                finish(task, prediction, job)
        rows += task.rows
    return rows


def iter_tasks(item: Item, job: Job, previous: Sequence[BatchRow] = ()) -> Iterator[Task]:
    """Read an image and make its pages ready for the network, one after the other.

    Closing it stops between two pages. What is wrong with an image or a page is in the rows of its task.
    """
    began = time.monotonic()
    row = BatchRow(
        item.name,
        stem=item.stem,
        threshold=job.recipe.threshold,
        min_size=job.recipe.min_size,
        source={"path": str(item.path)},
        recipe=job.digest,
        model=job.recipe.model,
        model_sha256=job.model.sha256,
    )
    try:
        row = replace(row, source={**row.source, **source_stamp(item.path)})
        if job.recipe.pages != "each" and (kept := kept_rows(row, job, previous)):
            yield Task(item, row, rows=kept)
            return
        image = open_image(item.path, job.recipe.axes)
        if job.recipe.pages == "one":
            refuse_pages(image)
        pages = pages_of(image)
        stack: Stack | None = None
        if job.recipe.link != "none":
            stack = LinkedStack(image, job.recipe, job.out, item.stem)
        elif job.recipe.pages == "stack" and len(pages) > 1:
            stack = Stack(image, job.out, item.stem)
        if stack is not None:
            stack.kept = partial(kept_now, row, job)
        row = replace(row, n_pages=len(pages))
    except Exception as error:  # noqa: BLE001 - other people's readers, and one image must not stop the others
        yield Task(item, row, rows=[failed(row, error)])
        return
    for page in pages:
        task = Task(item, replace(row, page=page.name), stack=stack, page=page)
        try:
            _fill(task, image, job, previous)
        except Exception as error:  # noqa: BLE001
            _settle(task, failed(task.row, error))
        task.seconds = time.monotonic() - began
        yield task
        began = time.monotonic()


def iter_predict_task(task: Task) -> Generator[Progress, None, Prediction | None]:
    """Run the network on a task; None where nothing is left to `finish`, and the task's rows say what became of it.

    Raises
    ------
    ModelError
        The model cannot be used, for this image or any other.
    """
    began = time.monotonic()
    try:
        if task.mosaic is not None:
            try:
                found = yield from iter_mosaic(task.mosaic)
            finally:
                if task.mosaic.helpers is not None:
                    task.mosaic.helpers.end()
            task.rows = [_row_of_blocks(task.row, found, task.mosaic, task.seconds + time.monotonic() - began)]
            return None
        assert task.prepared is not None
        return (yield from iter_predict_prepared(task.prepared))
    except Exception as error:
        # A disk that is full, too, is the matter of one image: finished blocks are kept.
        if isinstance(error, CellsegError) and not isinstance(error, (ImageError, OutputError)):
            raise
        _settle(task, failed(task.row, error))
        return None
    finally:
        task.seconds += time.monotonic() - began


def finish(task: Task, prediction: Prediction, job: Job) -> None:
    """Separate the cells of a task and write its results; what became of it is in its rows. May run in any thread."""
    assert task.prepared is not None
    began = time.monotonic()
    prepared, task.prepared = task.prepared, None
    try:
        segmented = prepared.separate(prediction)
        # It may have been corrected since it was read.
        if task.stack is None and (kept := kept_rows(task.row, job, ())):
            task.rows = kept
            return
        outputs, stem = job.recipe.outputs, result_stem(task.row)
        if task.stack is None:
            result = segmented.result()
            files = save_result(outputs, result, prepared.plane, prepared.image, job.out, stem)
        else:
            result, files = task.stack.cut(segmented, outputs, prepared.image, stem)
        row = replace(
            task.row,
            state="done",
            min_size=segmented.min_size,
            **numbers(result.table["area_px"], prepared.image.pixel_size),
            doubt=mean_doubt(segmented),
            notes=segmented.prediction.notes,
            files=files,
            image_sha256=segmented.image_sha256,
            seconds=task.seconds + time.monotonic() - began,
        )
    except Exception as error:  # noqa: BLE001
        _settle(task, failed(task.row, error))
    else:
        _settle(task, row, result)


def _fill(task: Task, image: Image, job: Job, previous: Sequence[BatchRow]) -> None:
    assert task.page is not None
    if task.stack is None and (kept := kept_rows(task.row, job, previous)):
        task.rows = kept
        return
    page = page_image(image, task.page)
    if task.stack is None and in_blocks(page, job.recipe):
        stem, source = result_stem(task.row), task.row.source
        helpers = job.helpers(task.item, task.page) if job.helpers is not None else None
        task.mosaic = Mosaic(
            page, job.recipe, job.model, job.out, stem, job.digest, source, job.overwrite, helpers=helpers
        )
        return
    old = next((old for old in previous if old.page == task.page.name), None) if job.resume else None
    if task.stack is None and old is not None and has_files(old, job) and old.image_sha256 == page.content_hash():
        task.rows = [replace(old, state="skipped", source=task.row.source, n_pages=task.row.n_pages)]
        return
    task.prepared = prepare(page, job.recipe, job.model)


def _row_of_blocks(row: BatchRow, found: MosaicResult, mosaic: Mosaic, seconds: float) -> BatchRow:
    row = replace(row, min_size=found.metadata["min_size"], notes=found.notes, files=found.files, seconds=seconds)
    if not found.holes:
        return replace(row, state="done", **numbers(found.areas, mosaic.image.pixel_size))
    # No count: it would be taken for that of the whole image.
    (rows, columns), n_holes = found.holes[0], len(found.holes)
    more = f" and {n_holes - 1} more" if n_holes > 1 else ""
    return replace(
        row,
        state="failed",
        error=f"{row.title}: a part cannot be read (rows {rows.start} to {rows.stop}, columns {columns.start} to "
        f"{columns.stop}{more}): {found.reason} The {found.count} cells of the rest are in {found.files['labels']}. "
        "Copy the image again, and run again.",
    )


def _settle(task: Task, row: BatchRow, result: SegmentResult | None = None) -> None:
    if task.stack is None or task.page is None:
        task.rows = [row]
    else:
        task.rows = task.stack.settle(task.page, row, result)
