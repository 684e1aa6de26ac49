"""Save one image's result: labels, table, count and recipe, the same files that the command line writes."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..corrections.exchange import KEY, record_of
from ..imaging.errors import CellsegError, ImageError
from ..imaging.normalize import PERCENTILES
from ..imaging.read.read import source_stamp
from ..imaging.read.scenes import name_of
from ..imaging.write.csv_style import style_of
from ..imaging.write.write import make_folder, read_metadata, write_json, write_table
from ..instances.area_files import BESIDE
from ..instances.filters import ALL
from ..segmentation.cells import Cells
from ..segmentation.marker import exact
from ..segmentation.segmented import SegmentResult
from .counts import COUNTS_FILE, open_ledger
from .ledger import Ledger
from .origin import claim, is_ours
from .outputs import OUTPUTS, check_outputs
from .place import Place
from .rows import BatchRow
from .save import numbers, save_result
from .save_corrected import check_corrections, one_at_a_time, outputs_of, put_in_tables
from .wells import with_well


def save_cells(
    cells: Cells, folder: Path, stem: str, page: str = "", csv: str | None = None, outputs: Sequence[str] = ()
) -> list[Path]:
    """Write ``<stem>_labels.tif``, ``<stem>_cells.csv``, ``<stem>_recipe.json`` and a row of ``counts.csv``.

    Every file appears whole or not at all; an older one stays until the new one is complete. Of one plane of an image
    (its `page`) the files are called ``<stem>_<page>_labels.tif`` and so on. Where another image has files of that
    name in the folder, these are called ``<stem>_2_labels.tif``. Other outputs that a batch wrote of the image are
    brought up to date, and the `outputs` that are named, of `OUTPUTS`, are written too. Tables have the style `csv` of
    `CSV_STYLES`, by default that of the folder's table of counts.

    Returns
    -------
    list of Path
        Labels, table, counts, recipe, then those of `outputs`.

    Raises
    ------
    ParamsError
        There is no output of that name.
    OutputError
        When the folder or a file can't be written, or a table of another program would be replaced.
    """
    segmented, wanted = cells.segmented, check_outputs(outputs)
    with cells.corrected.corrections.lock:
        result, record = cells.result(), record_of(cells.view)
    # With them the labels open again as they are here; see `reopening`.
    known = {KEY: record} if record["cells"] or record["marks"] else {}
    labelled = replace(result, metadata={**result.metadata, **known})
    with results_of(segmented.image.source, {page: segmented.image_sha256}, folder, stem) as (ledger, stem):
        own = f"{stem}_{page}" if page else stem
        check_labels(folder / f"{own}_labels.tif", [cells])
        for name in wanted:
            if OUTPUTS[name].combined:
                claim(folder / OUTPUTS[name].suffix, overwrite=False)
        place = Place.of_part(segmented.image.origin, page)
        wanted = check_outputs([*wanted, *outputs_of(ledger.get((stem, page)))])
        files = save_result(wanted, labelled, segmented.plane, segmented.image, folder, own, place)
        table, recipe = folder / f"{own}_cells.csv", folder / f"{own}_recipe.json"
        row = row_of(cells, result, files, stem, page)
        write_table(table, with_well(place.in_whole(result.table), row.well), csv or style_of(folder / COUNTS_FILE))
        write_json(recipe, result.metadata)
        more = [folder / files[name] for name in outputs if name != "labels" and not OUTPUTS[name].combined]
        return [folder / files["labels"], table, put_in_tables(folder, row, csv, wanted), recipe, *more]


@contextmanager
def results_of(
    source: str | None, hashes: Mapping[str, str], folder: Path, wanted: str
) -> Iterator[tuple[Ledger, str]]:
    """Open a folder to save one image's results, one image at a time; yield its ledger and the stem of the files.

    Parameters
    ----------
    source : str, optional
        The image's file.
    hashes : mapping of str to str
        `Image.content_hash` of the planes that are saved, by their pages; an image of one plane has page ``""``.
    folder : Path
        Of results.
    wanted : str
        The stem; it gets a number where another image has files of that name in the folder.

    Raises
    ------
    OutputError
        When the folder can't be written, or its table is not one of counts.
    """
    with one_at_a_time:
        make_folder(folder)
        # Opened before anything is written: a foreign table of that name must not be found halfway.
        ledger = open_ledger(folder)
        stems = (wanted if i == 1 else f"{wanted}_{i}" for i in itertools.count(1))
        yield ledger, next(stem for stem in stems if not _is_taken(stem, source, hashes, folder, ledger))


def _is_taken(stem: str, source: str | None, hashes: Mapping[str, str], folder: Path, ledger: Ledger) -> bool:
    """Whether the files of a stem are those of another image, or files of unknown origin."""
    rows = ledger.rows_of(stem)
    if any(row.is_of_another_image(source, hashes.get(row.page, "")) for row in rows):
        return True
    noted = {row.page for row in rows if row.has_result and row.image_sha256}
    for page in hashes.keys() - noted:
        labels = folder / f"{stem}_{page}_labels.tif" if page else folder / f"{stem}_labels.tif"
        if labels.exists() and _image_sha256(labels) != hashes[page]:
            return True
    known = {folder / name for row in rows for name in row.files.values()}
    stems = {stem, *(f"{stem}_{page}" for page in hashes if page)}
    beside = [folder / f"{own}_{name}" for own in stems for name in ("cells.csv", "recipe.json")]
    return not all(path in known or is_ours(path) for path in beside)


def _image_sha256(labels: Path) -> str:
    """Return the hash of the image that a label file belongs to; empty where it holds none."""
    try:
        image = read_metadata(labels).get("image")
    except ImageError:
        return ""
    return str(image.get("sha256", "")) if isinstance(image, dict) else ""


def check_labels(path: Path, cells: Iterable[Cells]) -> None:
    """Raise OutputError where a file of labels holds corrections that cells lack; see `check_corrections`."""
    if path.exists():
        check_corrections(path, read_metadata(path), (one.corrected.corrections for one in cells))


def row_of(cells: Cells, result: SegmentResult, files: dict[str, str], stem: str, page: str = "") -> BatchRow:
    """Return the row of an image, or of one plane of it, in a table of counts."""
    segmented = cells.segmented
    source, origin = segmented.image.source, segmented.image.origin
    top, left = (None, None) if origin is None else origin.offset_yx
    return BatchRow(
        # A plane is named in a column of its own.
        name_of(source) if source else segmented.image.name.removesuffix(f" {page}") or stem,
        state="done",
        **numbers(result.table["area_px"], segmented.image.pixel_size, cells.filters.field(result.labels.shape)),
        threshold=result.threshold,
        min_size=result.min_size,
        notes=tuple(result.metadata["notes"]),
        files=files,
        page=page,
        stem=stem,
        source=_stamp(source),
        recipe=result.metadata["recipe_sha256"],
        model=segmented.recipe.model,
        model_sha256="" if segmented.taken_from else segmented.model.sha256,
        image_sha256=segmented.image_sha256,
        corrected=result.metadata["corrected"],
        positive=result.counted.numbers,
        y_whole_px=top,
        x_whole_px=left,
    )


def command_line(cells: Cells, device: str | None = None) -> str:
    """Return the command that gives the same labels and count without a window.

    Parameters
    ----------
    cells : Cells
    device : str, optional
        Where the network is to run; by default where the cells were made.
    """
    recipe, image = cells.segmented.recipe, cells.segmented.image
    device = cells.segmented.device if device is None else device
    words = ["napari-cellseg", "segment", image.source or "IMAGE.tif", "--out", "results", "--model", recipe.model]
    words += ["--threshold", exact(cells.threshold), "--min-size", str(cells.min_size)]
    # No option names another normalisation; it is the model's own.
    if recipe.normalizer is not None and recipe.normalizer.method == PERCENTILES:
        words += ["--percentiles", exact(recipe.normalizer.low), exact(recipe.normalizer.high)]
    if recipe.channel is not None:
        words += ["--channel", str(recipe.channel)]
    if recipe.pages != "one":
        words += ["--pages", recipe.pages]
    if recipe.axes is not None:
        words += ["--axes", recipe.axes]
    if recipe.diameter is not None:
        words += ["--diameter", exact(recipe.diameter)]
    if recipe.accurate:
        words.append("--accurate")
    if cells.grow is not None:
        words += ["--grow", cells.grow]
    for marker in cells.positive:
        words += ["--positive", str(marker)]
    for one in cells.filters.bounds:
        words += ["--filters", str(one)]
    if cells.filters.edges != ALL:
        words += ["--edges", cells.filters.edges]
    if cells.segmented.areas is not None:
        words += ["--regions", BESIDE]
    if cells.classes is not None:
        # Examples are too many for a line.
        words += ["--recipe", f"{Path(image.title).stem}_recipe.json"]
    if device != "auto":
        words += ["--device", device]
    return shlex.join(words)


def _stamp(source: str | None) -> dict[str, Any]:
    """Return what a later batch recognizes the file by; empty where there is no file."""
    try:
        return {} if source is None else {"path": str(Path(source).absolute()), **source_stamp(source)}
    except CellsegError:
        return {}
