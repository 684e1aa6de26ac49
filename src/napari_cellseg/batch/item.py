"""One image of a batch, from its file to its results: the same function in this process and on a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ..blocks.plan import TileHelpers
from ..blocks.segment_mosaic import Mosaic, in_blocks, iter_mosaic
from ..imaging.errors import CellsegError, ImageError, OutputError
from ..imaging.image import Image
from ..imaging.progress import Progress
from ..imaging.stack_planes import StackPlane, plane_image, planes_of, refuse_stack
from ..instances.prediction import Prediction
from ..results.folder_settings import FolderSettings
from ..results.kept import check_free, has_files, kept_now, kept_rows, result_stem
from ..results.linked import LinkedStack
from ..results.place import Place
from ..results.plan import Item
from ..results.rows import BatchRow, failed
from ..results.save import mean_doubt, numbers, save_result
from ..results.stack_of_labels import LabelStack
from ..segmentation.options import DEFAULT_OPTIONS, RunOptions
from ..segmentation.recipe import Recipe
from ..segmentation.segment import Prepared, iter_predict_prepared, open_image, prepare
from ..segmentation.segmented import SegmentResult
from .item_in_blocks import row_of_blocks

# Gives the helpers for a plane that is segmented block by block.
Helpers: TypeAlias = Callable[[Item, StackPlane], TileHelpers]


@dataclass(eq=False)
class Task:
    """One plane of an image: ready for the network, or finished, with its result in `rows`."""

    item: Item
    row: BatchRow
    prepared: Prepared | None = None
    mosaic: Mosaic | None = None
    stack: LabelStack | None = None
    plane: StackPlane | None = None
    rows: list[BatchRow] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def waits(self) -> bool:
        """Whether the network still has to run."""
        return self.prepared is not None or self.mosaic is not None

    @property
    def n_bytes(self) -> int:
        """Estimated bytes that it takes until its results are written."""
        if self.prepared is None:
            return 0
        return self.prepared.plane.nbytes + 4 * self.prepared.normalized.nbytes


def segment_item(
    item: Item,
    recipe: Recipe,
    out: Path,
    options: RunOptions = DEFAULT_OPTIONS,
    *,
    overwrite: bool = False,
    resume: bool = True,
    previous: Sequence[BatchRow] = (),
    helpers: Helpers | None = None,
) -> Generator[Progress, None, list[BatchRow]]:
    """Segment one image and write its results.

    Parameters
    ----------
    item : Item
    recipe : Recipe
    out : Path
        Folder of the results.
    options : RunOptions, optional
    overwrite : bool
        Also replace labels that a user corrected or made.
    resume : bool
        Skip what, by `previous`, was made with the same recipe from the same values.
    previous : sequence of BatchRow
        Rows of the image in the ledger.
    helpers : callable, optional
        Gives the helpers for a plane that is segmented block by block.

    Yields
    ------
    Progress
        Closing the generator cancels within one batch of tiles.

    Returns
    -------
    list of BatchRow
        One per plane. What cannot be read, segmented or written gives a row with an error.

    Raises
    ------
    ModelError
        The model cannot be used.
    """
    settings = FolderSettings.from_recipe(recipe, out, options, overwrite, resume)
    rows: list[BatchRow] = []
    yield Progress(0, 0, "reading the image")
    for task in iter_tasks(item, settings, previous, helpers):
        if task.waits:
            prediction = yield from iter_predict_task(task)
            if prediction is not None:
                yield Progress(1, 1, "writing the results")
                finish(task, prediction, settings)
        rows += task.rows
    return rows


def iter_tasks(
    item: Item, settings: FolderSettings, previous: Sequence[BatchRow] = (), helpers: Helpers | None = None
) -> Iterator[Task]:
    """Read an image and prepare its planes for the network, one after the other.

    Closing it stops between two planes. The rows of a task hold the errors of an image or plane.
    """
    began = time.monotonic()
    row = BatchRow(
        item.name,
        stem=item.stem,
        threshold=settings.recipe.threshold,
        min_size=settings.recipe.min_size,
        source={"path": str(item.path)},
        recipe=settings.digest,
        model=settings.recipe.model,
        model_sha256=settings.model.sha256,
    )
    try:
        row = replace(row, source=settings.stamp(item.path, item.name))
        if settings.recipe.pages != "each" and (kept := kept_rows(row, settings, previous)):
            yield Task(item, row, rows=kept)
            return
        image = open_image(item.path, settings.recipe.axes)
        if settings.recipe.pages == "one":
            refuse_stack(image)
        planes = planes_of(image)
        stack: LabelStack | None = None
        if settings.recipe.link != "none":
            stack = LinkedStack(image, settings.recipe, settings.out, item.stem, settings.options)
        elif settings.recipe.pages == "stack" and len(planes) > 1:
            stack = LabelStack(image, settings.out, item.stem)
        if stack is not None:
            stack.kept = partial(kept_now, row, settings)
        row = replace(row, n_pages=len(planes))
    except Exception as error:  # noqa: BLE001 - readers of other packages; one image must not stop the others
        yield Task(item, row, rows=[failed(row, error)])
        return
    for plane in planes:
        task = Task(item, replace(row, page=plane.name), stack=stack, plane=plane)
        try:
            _fill(task, image, settings, previous, helpers)
        except Exception as error:  # noqa: BLE001
            _set_rows(task, failed(task.row, error))
        task.seconds = time.monotonic() - began
        yield task
        began = time.monotonic()


def iter_predict_task(task: Task) -> Generator[Progress, None, Prediction | None]:
    """Run the network on a task; None where nothing is left to `finish`, and the task's rows are final.

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
            task.rows = [row_of_blocks(task.row, found, task.mosaic, task.seconds + time.monotonic() - began)]
            return None
        assert task.prepared is not None
        return (yield from iter_predict_prepared(task.prepared))
    except Exception as error:
        # A full disk fails this image only: finished blocks are kept.
        if isinstance(error, CellsegError) and not isinstance(error, (ImageError, OutputError)):
            raise
        _set_rows(task, failed(task.row, error))
        return None
    finally:
        task.seconds += time.monotonic() - began


def finish(task: Task, prediction: Prediction, settings: FolderSettings) -> None:
    """Separate the cells of a task, write its results and set its rows. May run in any thread."""
    assert task.prepared is not None
    began = time.monotonic()
    prepared, task.prepared = task.prepared, None
    try:
        segmented = prepared.separate(prediction)
        segmented = segmented.in_areas(
            settings.areas(task.row.source["path"], task.row.image, segmented.instances.shape)
        )
        # A user may have corrected it since it was read.
        if task.stack is None and (kept := kept_rows(task.row, settings, ())):
            task.rows = kept
            return
        outputs, stem = settings.options.outputs, result_stem(task.row)
        place = replace(Place.of_part(prepared.image.origin), plane=task.plane)
        if task.stack is None:
            result = segmented.result()
            files = save_result(outputs, result, prepared.plane, prepared.image, settings.out, stem, place)
        else:
            result, files = task.stack.cut(segmented, outputs, prepared.image, stem, place)
        row = replace(
            task.row,
            state="done",
            min_size=segmented.min_size,
            **numbers(
                result.table["area_px"], prepared.image.pixel_size, settings.recipe.sieve.field(result.labels.shape)
            ),
            doubt=mean_doubt(segmented),
            notes=(*segmented.prediction.notes, *(result.areas.notes if result.areas else ()), *result.counted.notes),
            positive=result.counted.numbers,
            files=files,
            image_sha256=segmented.image_sha256,
            seconds=task.seconds + time.monotonic() - began,
        )
    except Exception as error:  # noqa: BLE001
        _set_rows(task, failed(task.row, error))
    else:
        _set_rows(task, row, result)


def _fill(
    task: Task, image: Image, settings: FolderSettings, previous: Sequence[BatchRow], helpers: Helpers | None
) -> None:
    assert task.plane is not None
    if task.stack is None and (kept := kept_rows(task.row, settings, previous)):
        task.rows = kept
        return
    part = plane_image(image, task.plane)
    if task.stack is None and in_blocks(part, settings.options):
        stem, source = result_stem(task.row), task.row.source
        about = (
            part,
            settings.recipe,
            settings.model,
            settings.out,
            stem,
            settings.digest,
            source,
            settings.overwrite,
            settings.options,
        )
        task.mosaic = Mosaic(
            *about,
            helpers=None if helpers is None else helpers(task.item, task.plane),
            page=task.plane.name,
            regions=settings.outlines(source["path"], task.row.image, part.shape_yx),
        )
        return
    old = next((old for old in previous if old.page == task.plane.name), None) if settings.resume else None
    current = old is not None and has_files(old, settings) and old.image_sha256 == part.content_hash()
    same = old is not None and old.source.get("regions") == task.row.source.get("regions")
    if task.stack is None and old is not None and current and same:
        task.rows = [replace(old, state="skipped", source=task.row.source, n_pages=task.row.n_pages)]
        return
    check_free(task.row, settings, previous)
    task.prepared = prepare(part, settings.recipe, settings.model, settings.options.device)


def _set_rows(task: Task, row: BatchRow, result: SegmentResult | None = None) -> None:
    if task.stack is None or task.plane is None:
        task.rows = [row]
    else:
        task.rows = task.stack.take(task.plane, row, result)
