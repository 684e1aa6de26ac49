"""Segment many files; a bad one is reported and the others are done."""

from __future__ import annotations

import csv
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..imaging.errors import CellsegError, OutputError
from ..imaging.progress import Progress
from ..imaging.writing import write_json, write_table
from ..network.versions import load_model
from .recipe import Recipe
from .segment import SegmentResult, iter_predict_image, open_image, save_labels, versions

COUNTS_FILE = "counts.csv"
CELLS_FILE = "cells.csv"
RECIPE_FILE = "recipe.json"


@dataclass(frozen=True, eq=False)
class FileResult:
    """What became of one file: a count and a label file, or an error in plain words."""

    image: str
    count: int | None
    median_area_px: float | None
    labels: Path | None
    error: str = ""


def output_paths(names: Sequence[str], out: Path) -> list[Path]:
    """Name the label file of each image: ``<stem>_labels.tif``, folders kept, equal names told apart."""
    taken: set[Path] = set()
    paths = []
    for name in names:
        pure = PurePosixPath(name)
        path = out / pure.parent / f"{pure.stem}_labels.tif"
        if path in taken:
            path = path.with_name(f"{pure.stem}_{pure.suffix.lstrip('.') or 'file'}_labels.tif")
        number = 2
        while path in taken:
            path = path.with_name(f"{pure.stem}_{number}_labels.tif")
            number += 1
        taken.add(path)
        paths.append(path)
    return paths


def iter_segment_files(
    files: Sequence[tuple[Path, str]], out: Path, recipe: Recipe, cells: bool = False
) -> Generator[Progress | FileResult, None, list[FileResult]]:
    """Segment files one by one and write labels, ``counts.csv`` and ``recipe.json`` into a folder.

    Parameters
    ----------
    files : sequence of (Path, str)
        Where a file is, and how it is called in the results.
    out : Path
        Folder for the results; made if missing.
    recipe : Recipe
    cells : bool
        Also write ``cells.csv``, one row per cell.

    Yields
    ------
    Progress or FileResult
        Progress within a file, then what became of it.

    Returns
    -------
    list of FileResult

    Raises
    ------
    CellsegError
        If the model or the folder cannot be used. A bad image does not raise: it becomes a row with an error.
    """
    model = load_model(recipe.model)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {out} cannot be made ({error}). Choose a folder you can write to.") from error
    resolved = replace(
        recipe,
        threshold=model.threshold if recipe.threshold is None else recipe.threshold,
        min_size=model.min_size if recipe.min_size is None else recipe.min_size,
    )
    record = {"recipe": resolved.to_dict(), "model_sha256": model.sha256, "versions": versions()}
    write_json(out / RECIPE_FILE, record)
    results: list[FileResult] = []
    tables: list[tuple[str, SegmentResult]] = []
    try:
        for (path, name), target in zip(files, output_paths([name for _, name in files], out), strict=True):
            try:
                image = open_image(path, recipe.axes)
                segmented = yield from iter_predict_image(image, resolved)
                result = segmented.result()
                save_labels(result, target, image.pixel_size)
            except OutputError:
                raise
            except (CellsegError, MemoryError) as error:
                results.append(FileResult(name, None, None, None, str(error) or "Not enough memory for this image."))
            else:
                area = float(np.median(result.table["area_px"])) if result.count else None
                results.append(FileResult(name, result.count, area, target))
                if cells:
                    tables.append((name, result))
            yield results[-1]
    finally:
        write_counts(results, out / COUNTS_FILE, resolved)
        if tables:
            write_cells(tables, out / CELLS_FILE)
    return results


def write_counts(results: Sequence[FileResult], path: Path, recipe: Recipe) -> None:
    """Write one row per image: count (empty after an error), settings, error."""
    write_table(path, _counts(results, recipe))


def update_counts(result: FileResult, path: Path, recipe: Recipe) -> None:
    """Write one image's row into a table of counts; rows of other images that are there already stay.

    Raises
    ------
    OutputError
        If the file there is not such a table, or it cannot be written.
    """
    columns = _counts([result], recipe)
    rows: list[dict[str, Any]] = []
    if path.exists():
        try:
            with open(path, newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                rows = [row for row in reader if row.get("image") != result.image]
                names = list(reader.fieldnames or ())
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise OutputError(f"{path} cannot be read ({error}). Rename it, or choose another folder.") from error
        if names != list(columns):
            raise OutputError(
                f"{path} has the columns {', '.join(names)}, not those of a table of counts. "
                "Rename it, or choose another folder."
            )
    write_table(path, {name: [*(row[name] for row in rows), *values] for name, values in columns.items()})


def _counts(results: Sequence[FileResult], recipe: Recipe) -> dict[str, list[Any]]:
    return {
        "image": [r.image for r in results],
        "count": ["" if r.count is None else r.count for r in results],
        "median_area_px": ["" if r.median_area_px is None else r.median_area_px for r in results],
        "threshold": [recipe.threshold] * len(results),
        "min_size": [recipe.min_size] * len(results),
        "model": [recipe.model] * len(results),
        "error": [r.error for r in results],
    }


def write_cells(tables: Sequence[tuple[str, SegmentResult]], path: Path) -> None:
    """Write one row per cell of all images; a column that some image lacks is empty there."""
    names = list(dict.fromkeys(column for _, result in tables for column in result.table))
    columns: dict[str, list[Any]] = {"image": [], **{name: [] for name in names}}
    for image, result in tables:
        columns["image"] += [image] * result.count
        for name in names:
            columns[name] += list(result.table[name]) if name in result.table else [""] * result.count
    write_table(path, columns)
