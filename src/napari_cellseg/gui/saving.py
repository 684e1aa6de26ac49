"""Save one image's result: labels, table, count and recipe, the same files that the command line writes."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np

from ..batch.counts import CountsTable, FileResult
from ..batch.recipe import Recipe
from ..batch.segment import save_labels, save_table
from ..imaging.writing import make_folder, write_json
from ..session import Cells


def save_cells(cells: Cells, folder: Path, stem: str) -> list[Path]:
    """Write ``<stem>_labels.tif``, ``<stem>_cells.csv``, ``<stem>_recipe.json`` and a row of ``counts.csv``.

    Every file appears whole or not at all; an older one stays until the new one is complete.

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
    counts = CountsTable(folder)
    result = cells.result()
    labels = save_labels(result, folder / f"{stem}_labels.tif", cells.segmented.image.pixel_size)
    table = save_table(result, folder / f"{stem}_cells.csv")
    recipe = folder / f"{stem}_recipe.json"
    write_json(recipe, result.metadata)
    area = float(np.median(result.table["area_px"])) if result.count else None
    source = cells.segmented.image.source
    name = Path(source).name if source else cells.segmented.image.name or stem
    row = FileResult(name, result.count, area, labels)
    counts.put(row, Recipe.from_dict(result.metadata["recipe"]), labels)
    return [labels, table, counts.path, recipe]


def command_line(cells: Cells) -> str:
    """Return the command that gives the same labels and count without a window."""
    recipe, image = cells.segmented.recipe, cells.segmented.image
    words = ["napari-cellseg", "segment", image.source or "IMAGE.tif", "--out", "results", "--model", recipe.model]
    words += ["--threshold", f"{cells.threshold:g}", "--min-size", str(cells.min_size)]
    if recipe.channel is not None:
        words += ["--channel", str(recipe.channel)]
    if recipe.axes is not None:
        words += ["--axes", recipe.axes]
    if recipe.device != "auto":
        words += ["--device", recipe.device]
    return shlex.join(words)
