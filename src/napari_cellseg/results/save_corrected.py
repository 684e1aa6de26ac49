"""Save the manually corrected cells of an image into the results of its batch."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..corrections import exchange
from ..corrections.claims import Corrections
from ..corrections.run_lengths import known_of
from ..imaging.errors import CellsegError, OutputError
from ..imaging.read.read import read_image
from ..imaging.stack_planes import position_in_stack
from ..imaging.write.write import read_label_stack, read_metadata, write_labels
from ..segmentation.cells import Cells
from ..segmentation.notices import still_true
from ..segmentation.options import RunOptions
from ..segmentation.recipe import RECIPE_FILE, Recipe
from ..segmentation.segmented import SegmentResult
from .combine import write_combined
from .counts import COUNTS_FILE, put_rows, read_counts
from .folder_settings import FolderSettings
from .ledger import Ledger
from .origin import is_ours
from .outputs import OUTPUTS
from .place import Place
from .rows import BatchRow
from .save import numbers, save_result

# Two images that are saved at once must not write the tables of the folder at the same time.
one_at_a_time = threading.Lock()


def save_into_batch(cells: Cells, out: Path, row: BatchRow, made: Recipe) -> BatchRow:
    """Replace the files of a row by those of the cells on the screen, and mark them as corrected.

    Parameters
    ----------
    cells : Cells
    out : Path
        Folder of the results.
    row : BatchRow
        The image's row in the ledger.
    made : Recipe
        The recipe of the batch.

    Returns
    -------
    BatchRow
        The new row of the ledger.

    Raises
    ------
    OutputError
        The labels are linked over planes, or the system refused to write.
    """
    stem = f"{row.stem}_{row.page}" if row.page else row.stem
    stacked = in_stack(row)
    if stacked and made.link != "none":
        raise OutputError(
            f"The labels of {row.title} are linked with those of other planes, which a changed plane would break. Run "
            "the batch without linking to correct single planes, or export the corrections in the Correct widget."
        )
    segmented = cells.segmented
    if segmented.areas is None and "regions" in row.files:
        # As the batch counted, unless the window has its own regions.
        folder = FolderSettings(made, RunOptions.read(out / RECIPE_FILE), segmented.model, "", out)
        segmented = segmented.in_areas(folder.areas(str(row.source.get("path")), row.image, segmented.instances.shape))
        cells = replace(cells, segmented=segmented)
    with cells.corrected.corrections.lock:
        result, record = cells.result(), exchange.record_of(cells.view)
    by = {exchange.BY_KEY: result.metadata.get(exchange.BY_KEY, {})}
    # Planes and links come from the batch; the user may have chosen another model in the window.
    recipe = replace(
        cells.recipe,
        model_sha256=segmented.model.sha256,
        pages=made.pages,
        link=made.link,
        link_iou=made.link_iou,
        axes=made.axes,
    )
    settings = {**result.metadata["recipe"], **recipe.to_dict()}
    about = {
        "recipe": settings,
        "recipe_sha256": recipe.digest(segmented.model),
        "corrected": True,
        exchange.KEY: record,
    }
    result = replace(result, metadata={**result.metadata, **about})
    outputs = outputs_of(row)
    with one_at_a_time:
        labels = out / row.files.get("labels", "")
        there = read_metadata(labels) if labels.is_file() else {}
        plane = there.get(exchange.PLANES_KEY, {}).get(row.page) or {exchange.BY_KEY: there.get(exchange.BY_KEY)}
        check_corrections(labels, plane, [cells.corrected.corrections])
        if stacked:
            outputs = tuple(name for name in outputs if name != "labels")
            _write_plane(out / row.files["labels"], row.page, result, {**record, **by, "recipe": settings})
        place = Place.of_part(segmented.image.origin, row.page)
        files = save_result(outputs, result, segmented.plane, segmented.image, out, stem, place)
        corrected = _corrected_row(row, cells, result, recipe, {**row.files, **files})
        put_in_tables(out, corrected)
    return corrected


def check_corrections(path: Path, metadata: Mapping[str, Any], known: Iterable[Corrections]) -> None:
    """Raise OutputError where a file of labels holds corrections that are not among those that would replace it.

    Parameters
    ----------
    path : Path
    metadata : mapping
        Of the file, or of the plane in it.
    known : iterable of Corrections
        Those of the cells that would be written.
    """
    mine: dict[str, int] = {}
    for corrections in known:
        mine |= corrections.known
        mine[corrections.author] = corrections.revision
    held = (metadata, *metadata.get(exchange.PLANES_KEY, {}).values())
    by = (pair for one in held for pair in known_of(one.get(exchange.BY_KEY)).items())
    if any(mine.get(author, -1) < revision for author, revision in by):
        raise OutputError(
            f"{path} holds corrections that were made in another window or session and are not among these; it is left "
            "as it is. Open it (Open ...) to go on from them, or save into another folder."
        )


def _corrected_row(
    row: BatchRow, cells: Cells, result: SegmentResult, recipe: Recipe, files: Mapping[str, str]
) -> BatchRow:
    segmented = cells.segmented
    return replace(
        row,
        state="done",
        corrected=True,
        **numbers(
            np.asarray(result.table["area_px"]), segmented.image.pixel_size, cells.filters.field(result.labels.shape)
        ),
        doubt=None,
        positive=result.counted.numbers,
        threshold=result.threshold,
        min_size=result.min_size,
        recipe=str(result.metadata["recipe_sha256"]),
        model=recipe.model,
        model_sha256=segmented.model.sha256,
        error="",
        notes=(*still_true(row.notes, result.count), *result.counted.notes),
        files=files,
    )


def outputs_of(row: BatchRow | None) -> tuple[str, ...]:
    """Return the outputs to write for an image: labels, and those that the folder of results has of it."""
    return tuple(name for name in OUTPUTS if name == "labels" or (row is not None and name in row.files))


def put_in_tables(out: Path, row: BatchRow, csv: str | None = None, wanted: Collection[str] = ()) -> Path:
    """Enter one result in all tables that the images of a folder share; return the path of the table of counts.

    Tables that are there are brought up to date; those of the outputs in `wanted` are begun.

    Raises
    ------
    OutputError
        The table there is not one of counts, or the system refused to write.
    """
    counts = put_rows(out, row, csv=csv)
    combined = {name: out / output.suffix for name, output in OUTPUTS.items() if output.combined}
    shared = [name for name, path in combined.items() if name in wanted or _is_our_table(path)]
    write_combined(Ledger(out).rows(), out, shared, csv)
    return counts


def _is_our_table(path: Path) -> bool:
    return os.path.exists(path) and is_ours(path)


def in_stack(row: BatchRow) -> bool:
    """Whether the labels of a row are a plane in the file of all planes of its image."""
    return bool(row.page) and row.files.get("labels") == f"{row.stem}{OUTPUTS['labels'].suffix}"


def _write_plane(path: Path, plane: str, result: SegmentResult, record: Mapping[str, Any]) -> None:
    """Replace one plane in a file of labels, which is written anew as a whole, and mark the plane as corrected."""
    metadata, image = read_metadata(path), read_image(path)
    stack, axes = read_label_stack(path)
    place = position_in_stack(plane)
    if len(place) != stack.ndim - 2 or stack[place].shape != result.labels.shape:
        raise OutputError(
            f"{path} has no plane {plane} of this size any more. Press Resume to segment the image again."
        )
    if result.labels.max(initial=0) > np.iinfo(stack.dtype).max:
        stack = stack.astype(np.int32)
    stack[place] = result.labels
    counts = {**metadata.get("counts", {}), plane: int(result.count)}
    about = {
        "corrected": True,
        "counts": counts,
        "count": sum(counts.values()),
        exchange.PLANES_KEY: {**metadata.get(exchange.PLANES_KEY, {}), plane: dict(record)},
    }
    write_labels(
        path,
        stack,
        metadata={**metadata, **about},
        pixel_size=image.pixel_size,
        axes=axes,
        slice_spacing=image.slice_spacing,
        frame_interval=image.frame_interval,
    )


def known_rows(out: Path) -> list[BatchRow]:
    """Return the rows of a folder of results; empty where there are none, or none that can be read.

    A result whose labels were deleted is not returned.
    """
    try:
        rows = Ledger(out).rows() or read_counts(out / COUNTS_FILE) or ()
    except CellsegError:
        # Running the batch reports what is wrong with the folder.
        return []
    return [row for row in rows if not row.has_result or (out / row.files.get("labels", "")).is_file()]
