"""Save one image's result: labels, table, count and recipe, the same files that the command line writes."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..batch.counts import open_ledger, put_row
from ..batch.results import numbers, save_result
from ..batch.rows import BatchRow
from ..batch.segment import SegmentResult, save_table
from ..imaging.errors import CellsegError
from ..imaging.reading import source_stamp
from ..imaging.writing import make_folder, write_json
from ..session import Cells


def save_cells(cells: Cells, folder: Path, stem: str, page: str = "") -> list[Path]:
    """Write ``<stem>_labels.tif``, ``<stem>_cells.csv``, ``<stem>_recipe.json`` and a row of ``counts.csv``.

    Every file appears whole or not at all; an older one stays until the new one is complete. Of one plane of an image
    (its `page`) the files are called ``<stem>_<page>_labels.tif`` and so on.

    Returns
    -------
    list of Path
        The files, labels first.

    Raises
    ------
    OutputError
        When the folder or a file can't be written.
    """
    make_folder(folder)
    # Before anything is written: a table there that is none of ours must not be met halfway.
    open_ledger(folder)
    segmented = cells.segmented
    result = cells.result()
    own = f"{stem}_{page}" if page else stem
    files = save_result(("labels",), result, segmented.plane, segmented.image, folder, own)
    table = save_table(result, folder / f"{own}_cells.csv")
    recipe = folder / f"{own}_recipe.json"
    write_json(recipe, result.metadata)
    row = replace(row_of(cells, result, files, stem), page=page)
    return [folder / files["labels"], table, put_row(folder, row), recipe]


def row_of(cells: Cells, result: SegmentResult, files: dict[str, str], stem: str) -> BatchRow:
    """Return what a table of counts says of an image."""
    segmented = cells.segmented
    source = segmented.image.source
    return BatchRow(
        Path(source).name if source else segmented.image.name or stem,
        state="done",
        **numbers(result.table["area_px"], segmented.image.pixel_size),
        threshold=result.threshold,
        min_size=result.min_size,
        notes=segmented.prediction.notes,
        files=files,
        stem=stem,
        source=_stamp(source),
        recipe=result.metadata["recipe_sha256"],
        model=segmented.recipe.model,
        model_sha256=segmented.model.sha256,
        image_sha256=segmented.image_sha256,
        corrected=result.metadata["corrected"],
    )


def command_line(cells: Cells) -> str:
    """Return the command that gives the same labels and count without a window."""
    recipe, image = cells.segmented.recipe, cells.segmented.image
    words = ["napari-cellseg", "segment", image.source or "IMAGE.tif", "--out", "results", "--model", recipe.model]
    words += ["--threshold", _exact(cells.threshold), "--min-size", str(cells.min_size)]
    if recipe.normalizer is not None:
        words += ["--percentiles", _exact(recipe.normalizer.low), _exact(recipe.normalizer.high)]
    if recipe.channel is not None:
        words += ["--channel", str(recipe.channel)]
    if recipe.pages != "one":
        words += ["--pages", recipe.pages]
    if recipe.axes is not None:
        words += ["--axes", recipe.axes]
    if recipe.diameter is not None:
        words += ["--diameter", _exact(recipe.diameter)]
    if recipe.accurate:
        words.append("--accurate")
    if recipe.device != "auto":
        words += ["--device", recipe.device]
    return shlex.join(words)


def _exact(value: float) -> str:
    """The shortest text that reads back as the same number: a rounded one may give other labels."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def _stamp(source: str | None) -> dict[str, Any]:
    """What a later batch knows the file again by; empty where there is none, or none any more."""
    try:
        return {} if source is None else {"path": str(Path(source).absolute()), **source_stamp(source)}
    except CellsegError:
        return {}
