"""Save the cells of all planes of a stack: the same files as a batch writes with one stack for all planes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..corrections.exchange import BY_KEY
from ..imaging.errors import OutputError
from ..imaging.image import Image
from ..imaging.stack_planes import StackPlane
from ..imaging.write.csv_style import style_of
from ..imaging.write.write import write_json, write_table
from ..segmentation.cells import Cells
from .combine import write_combined
from .counts import COUNTS_FILE, put_rows
from .ledger import Ledger
from .outputs import write_grown
from .place import Place
from .rows import BatchRow
from .save import write_region_part
from .save_cells import check_labels, results_of, row_of
from .stack_of_labels import LabelStack, PlaneDone
from .wells import with_well


class CorrectedStack(LabelStack):
    """Labels of all planes, some of which may have been manually corrected."""

    def write_labels(self, planes: list[PlaneDone], more: dict[str, Any]) -> None:
        """Write the file of labels, marked as corrected if any plane was."""
        done = [plane.metadata.get("corrections", {}) for plane in planes]
        by = {author: revision for plane in planes for author, revision in plane.metadata.get(BY_KEY, {}).items()}
        if any(done):
            sums = {what: sum(one.get(what, 0) for one in done) for what in ("changed", "erased")}
            more = {**more, "corrected": True, "corrections": sums, BY_KEY: by}
        super().write_labels(planes, more)


def save_stack(
    image: Image, planes: Sequence[tuple[StackPlane, Cells]], folder: Path, stem: str, csv: str | None = None
) -> list[Path]:
    """Write ``<stem>_labels.tif`` of all planes, ``<stem>_cells.csv``, ``<stem>_recipe.json``, rows of ``counts.csv``.

    Parameters
    ----------
    image : Image
        All planes.
    planes : sequence of (StackPlane, Cells)
        Every plane.
    folder : Path
    stem : str
        Of the files' names; with a number where another image's files have it.
    csv : str, optional
        Style of the tables, one of `CSV_STYLES`; by default that of the table of counts in the folder.

    Returns
    -------
    list of Path
        The files, labels first.

    Raises
    ------
    OutputError
        When the folder or a file can't be written.
    """
    hashes = {plane.name: cells.segmented.image_sha256 for plane, cells in planes}
    with results_of(image.source, hashes, folder, stem) as (_, stem):
        return _save(image, planes, folder, stem, csv)


def _save(
    image: Image, planes: Sequence[tuple[StackPlane, Cells]], folder: Path, stem: str, csv: str | None
) -> list[Path]:
    check_labels(folder / f"{stem}_labels.tif", (cells for _, cells in planes))
    stack, rows, tables = CorrectedStack(image, folder, stem), [], []
    for plane, cells in planes:
        result = cells.result()
        tables.append(with_plane(Place.of_part(image.origin).in_whole(result.table), plane.index))
        grown = write_grown(result, folder / f"{stem}_{plane.name}", image.pixel_size)
        files = {name: path.name for name, path in grown.items()}
        files |= write_region_part(result, folder, f"{stem}_{plane.name}", image.pixel_size)
        row = replace(row_of(cells, result, files, stem, plane.name), n_pages=len(planes))
        rows = stack.take(plane, row, result)
    bad = next((row for row in rows if row.state == "failed"), None)
    if bad is not None:
        raise OutputError(bad.error)
    table, recipe = folder / f"{stem}_cells.csv", folder / f"{stem}_recipe.json"
    names = dict.fromkeys(name for part in tables for name in part)
    columns = {name: np.concatenate([_column(part, name) for part in tables]) for name in names}
    write_table(table, with_well(columns, rows[0].well), csv or style_of(folder / COUNTS_FILE))
    write_json(recipe, _of_all(planes, rows))
    counts = put_rows(folder, *rows, csv=csv)
    write_combined(Ledger(folder).rows(), folder, (), csv)
    return [stack.path, table, counts, recipe]


def with_plane(table: dict[str, np.ndarray], index: Iterable[tuple[str, int]]) -> dict[str, np.ndarray]:
    """Put the plane of every cell in front of a table: columns ``t``, ``z``, counted from 0."""
    n = len(table["index"])
    return {**{axis.lower(): np.full(n, place) for axis, place in index}, **table}


def _of_all(planes: Sequence[tuple[StackPlane, Cells]], rows: Sequence[BatchRow]) -> dict[str, Any]:
    cells = planes[0][1]
    metadata = cells.segmented.metadata(cells.threshold, cells.min_size)
    return {**metadata, "count": sum(row.count or 0 for row in rows), "counts": {row.page: row.count for row in rows}}


def _column(table: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Return a column of one plane; NaN where it was not measured there."""
    return table[name] if name in table else np.full(len(table["index"]), np.nan)
