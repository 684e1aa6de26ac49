"""Segment many files; a bad one is reported and the others are done."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from ..imaging.errors import CellsegError, ImageError, ModelError, OutputError
from ..imaging.progress import Progress
from ..imaging.writing import make_folder, read_metadata, write_json
from ..network.versions import ModelVersion, load_model
from .counts import CELLS_FILE, CountsTable, FileResult, write_cells
from .recipe import Recipe
from .segment import SegmentResult, iter_predict_image, open_image, save_labels, versions

RECIPE_FILE = "recipe.json"
Table = Mapping[str, np.ndarray]


def output_paths(names: Sequence[str], out: Path) -> list[Path]:
    """Name the label file of each image: ``<stem>_labels.tif``, folders kept, equal names told apart."""
    taken: set[str] = set()
    paths = []
    for name in names:
        pure = PurePosixPath(name)
        stems = [pure.stem, f"{pure.stem}_{pure.suffix.lstrip('.') or 'file'}"]
        stems += [f"{pure.stem}_{number}" for number in range(2, len(names) + 2)]
        # Some file systems do not tell upper from lower case.
        path = next(p for s in stems if str(p := out / pure.parent / f"{s}_labels.tif").casefold() not in taken)
        taken.add(str(path).casefold())
        paths.append(path)
    return paths


def iter_segment_files(
    files: Sequence[tuple[Path, str]], out: Path, recipe: Recipe, cells: bool = False, overwrite: bool = False
) -> Generator[Progress | FileResult, None, list[FileResult]]:
    """Segment files one by one and write labels, ``counts.csv`` and ``recipe.json`` into a folder.

    The table of counts is complete after every image, so that a run that is stopped or killed keeps what it did.

    Parameters
    ----------
    files : sequence of (Path, str)
        Where a file is, and how it is called in the results.
    out : Path
        Folder for the results; made if missing. Counts of other images that are there already stay.
    recipe : Recipe
    cells : bool
        Also write ``cells.csv``, one row per cell.
    overwrite : bool
        Replace label files that a person corrected, or that no run of ours wrote; else they are errors.

    Yields
    ------
    Progress or FileResult
        Progress within a file, then what became of it.

    Returns
    -------
    list of FileResult

    Raises
    ------
    ModelError
        If the model cannot be used.
    OutputError
        If the folder, the table or the recipe cannot be written.

    A bad image, or one label file that cannot be written, does not raise: it becomes a row with an error.
    """
    model = load_model(recipe.model)
    make_folder(out)
    counts = CountsTable(out)
    resolved = _resolved(recipe, model)
    write_json(out / RECIPE_FILE, {"recipe": resolved.to_dict(), "model_sha256": model.sha256, "versions": versions()})
    results: list[FileResult] = []
    tables: list[tuple[str, Table]] = []
    try:
        for (path, name), target in zip(files, output_paths([name for _, name in files], out), strict=True):
            try:
                result, notes = yield from _iter_one(path, target, resolved, overwrite)
            except ModelError:
                raise
            except (CellsegError, MemoryError) as error:
                done = FileResult(name, None, None, None, str(error) or "Not enough memory for this image.")
            else:
                area = float(np.median(result.table["area_px"])) if result.count else None
                done = FileResult(name, result.count, area, target, notes=notes)
                if cells:
                    tables.append((name, result.table))
            results.append(done)
            counts.put(done, resolved, target)
            yield done
    finally:
        if tables:
            write_cells(tables, out / CELLS_FILE)
    return results


def _resolved(recipe: Recipe, model: ModelVersion) -> Recipe:
    return replace(
        recipe,
        threshold=model.threshold if recipe.threshold is None else recipe.threshold,
        min_size=model.min_size if recipe.min_size is None else recipe.min_size,
    )


def _iter_one(
    path: Path, target: Path, recipe: Recipe, overwrite: bool
) -> Generator[Progress, None, tuple[SegmentResult, tuple[str, ...]]]:
    if not overwrite:
        _refuse_to_replace(target)
    image = open_image(path, recipe.axes)
    segmented = yield from iter_predict_image(image, recipe)
    result = segmented.result()
    save_labels(result, target, image.pixel_size)
    return result, segmented.prediction.notes


def _refuse_to_replace(target: Path) -> None:
    """Raise where a label file is a person's work: corrected by hand, or not written by a run of ours."""
    if not target.exists():
        return
    try:
        metadata = read_metadata(target)
    except ImageError:
        metadata = {}
    if not metadata or metadata.get("corrections") or metadata.get("edited_by_hand"):
        whose = "was corrected by hand" if metadata else "was not written by napari-cellseg"
        raise OutputError(f"{target} {whose} and is left as it is. Choose another folder, or give --overwrite.")
