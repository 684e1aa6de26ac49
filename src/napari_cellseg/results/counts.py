"""The table of counts: one row per image, or per page of one, always written from the ledger."""

from __future__ import annotations

import contextlib
import csv
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from ..imaging.errors import OutputError, ParamsError
from ..imaging.read.finding import LABELS_SUFFIX, named_apart, natural_key
from ..imaging.write.atomic import make_folder
from ..imaging.write.csv_style import delimiter_of, style_of, unguarded
from ..imaging.write.write import write_table
from .equal_values import with_equal_noted
from .ledger import FOLDER, Ledger
from .rows import BatchRow
from .wells import WELLS

COUNTS_FILE = "counts.csv"
AREAS = ("median_area", "mean_area", "sd_area")
COLUMNS = (
    *("image", "page", "count"),
    *(f"{area}_px" for area in AREAS),
    *(f"{area}_um2" for area in AREAS),
    *("threshold", "min_size", "model", "model_sha256", "recipe", "image_sha256", "corrected"),
    *("labels", "seconds", "error", "notes"),
)
# Columns of tables that have no notes yet.
_WITHOUT_NOTES = COLUMNS[:-1]
# These follow the others where slices were linked.
VOLUMES = ("median_volume_vox", "median_volume_um3")
# These follow where an image is a part of another: row and column of its first pixel there.
PARTS = ("y_whole_px", "x_whole_px")
# What follows where it is needed, in this order; `WELLS` where an image is of a well.
_MORE = (VOLUMES, PARTS, WELLS)
# Numbers of positive cells and of classes, and what percentage of the cells they are, where cells were called.
_MARKED = re.compile(r"(?:n|pct)_(.+_(?:pos|neg)|class_.+)")
# Columns of version 0.3 and before.
OLD_COLUMNS = ("image", "count", "median_area_px", "threshold", "min_size", "model", "labels", "error")


def in_order(rows: Iterable[BatchRow]) -> list[BatchRow]:
    """Return rows in natural order: by image (``a2`` before ``a10``), then by page."""
    return sorted(rows, key=lambda row: (natural_key(row.image), row.image, row.stem, row.page))


def as_listed(rows: Iterable[BatchRow]) -> list[BatchRow]:
    """Return rows as the tables of a folder list them: in order, and no two images under one name.

    Images of equal names, which came there one after the other, get their folders in front.
    """
    listed = in_order(rows)
    first = {row.key[0]: row for row in reversed(listed)}
    names = {stem: row.image for stem, row in first.items()}
    alike: dict[str, dict[str, str]] = {}
    for stem, row in first.items():
        alike.setdefault(row.image, {})[stem] = str(row.source.get("path", ""))
    for name, paths in alike.items():
        if len(paths) > 1 and all(paths.values()):
            apart = named_apart([(Path(path), name) for path in paths.values()])
            names.update(zip(paths, (own for _, own in apart), strict=True))
    taken = Counter(names.values())
    for stem, name in names.items():
        if taken[name] > 1:
            # Their folders are not known; no two images share a stem.
            names[stem] = f"{stem}{PurePosixPath(name).suffix}"
    return [row if names[row.key[0]] == row.image else replace(row, image=names[row.key[0]]) for row in listed]


def write_counts(rows: Iterable[BatchRow], path: Path, style: str | None = None) -> None:
    """Write the table, whole or not at all, in a style of `CSV_STYLES`; by default that of the table that is there.

    Raises
    ------
    OutputError
        The system refused to write.
    """
    listed = [_line(row) for row in with_equal_noted(as_listed(rows))]
    more = [names for names in _MORE if any(line[names[0]] is not None for line in listed)]
    marked = dict.fromkeys(name for line in listed for name in line if _MARKED.fullmatch(name))
    columns = (*COLUMNS, *itertools.chain(*more), *marked)
    write_table(path, {name: [line.get(name) for line in listed] for name in columns}, style or style_of(path))


def open_ledger(out: Path) -> Ledger:
    """Open the ledger of a folder of results; a table without one, as older versions left it, is taken over.

    Raises
    ------
    OutputError
        The table there is not one of counts, or a file cannot be read.
    """
    rows = read_counts(out / COUNTS_FILE)
    ledger = Ledger(out)
    if rows is None:
        # The user deleted the table.
        forget_gone(ledger, out)
    elif not ledger.exists and rows:
        ledger.put(rows)
    return ledger


def forget_gone(ledger: Ledger, out: Path) -> None:
    """Forget results whose files are all gone."""
    gone = [row for row in ledger.rows() if not any((out / name).exists() for name in _seen_files(row))]
    ledger.forget(row.key for row in gone)


def _seen_files(row: BatchRow) -> list[str]:
    """Return the files of a row outside of the ledger's folder; where there are none, those in it."""
    files = list(row.files.values())
    return [name for name in files if not name.startswith(f"{FOLDER}/")] or files


def put_rows(out: Path, *rows: BatchRow, csv: str | None = None) -> Path:
    """Add results to a folder, in which a batch may be running; return the path of the table of counts.

    The table is written in the style `csv`; see `write_counts`.

    Raises
    ------
    OutputError
        The table there is not one of counts, or the system refused to write.
    """
    make_folder(out)
    ledger = open_ledger(out)
    try:
        ledger.put(rows)
    finally:
        ledger.close()
    write_counts(ledger.rows(), out / COUNTS_FILE, csv)
    return out / COUNTS_FILE


def read_counts(path: Path) -> list[BatchRow] | None:
    """Read the rows of a table that have labels; None where there is no table.

    Raises
    ------
    OutputError
        The file there is not such a table, or cannot be read.
    """
    if not path.exists():
        return None
    try:
        if not path.is_file():
            raise ValueError("it is no regular file")
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter=delimiter_of(style_of(path)))
            lines = [{name: unguarded(text or "") for name, text in line.items() if name} for line in reader]
            names = tuple(reader.fieldnames or ())
    except (OSError, ValueError, csv.Error) as error:
        raise OutputError(f"{path} cannot be read ({error}). Rename it, or choose another folder.") from error
    subsets = itertools.chain.from_iterable(itertools.combinations(_MORE, n) for n in range(len(_MORE) + 1))
    more = [tuple(itertools.chain(*subset)) for subset in subsets]
    known = [(*columns, *names) for columns in (COLUMNS, _WITHOUT_NOTES) for names in more]
    if tuple(name for name in names if not _MARKED.fullmatch(name)) not in (*known, OLD_COLUMNS):
        raise OutputError(
            f"{path} has the columns {', '.join(names) or 'none'}, not those of a table of counts. "
            "Rename it, or choose another folder."
        )
    rows = []
    for line in lines:
        # One that was damaged costs itself only: its image is segmented anew.
        with contextlib.suppress(ParamsError):
            rows += [_row(line)] if line["labels"] else []
    return rows


def _line(row: BatchRow) -> dict[str, Any]:
    areas = {f"{name}_px": getattr(row, f"{name}_px") for name in AREAS}
    scale = row.pixel_area_um2
    scaled = {f"{name}_um2": _times(getattr(row, f"{name}_px"), scale) for name in AREAS}
    return {
        "image": row.image,
        "page": row.page,
        "count": row.count,
        **areas,
        **scaled,
        "threshold": row.threshold,
        "min_size": row.min_size,
        "model": row.model,
        "model_sha256": row.model_sha256,
        "recipe": row.recipe,
        "image_sha256": row.image_sha256,
        "corrected": "yes" if row.corrected else "",
        "labels": row.files.get("labels", ""),
        "seconds": None if row.seconds is None else round(row.seconds, 3),
        "error": row.error,
        "notes": " ".join(row.notes),
        "median_volume_vox": row.median_volume_vox,
        "median_volume_um3": _times(row.median_volume_vox, row.voxel_volume_um3),
        "y_whole_px": row.y_whole_px,
        "x_whole_px": row.x_whole_px,
        **{name: text or None for name, text in zip(WELLS, row.well, strict=True)},
        **_marked(row),
    }


def _marked(row: BatchRow) -> dict[str, float | None]:
    columns: dict[str, float | None] = {}
    for name, n in row.positive.items():
        columns |= {f"n_{name}": n, f"pct_{name}": float(f"{100 * n / row.count:.12g}") if row.count else None}
    return columns


def _times(area: float | None, scale: float | None) -> float | None:
    # Twelve digits: the last ones of a product are noise.
    return None if area is None or scale is None else float(f"{area * scale:.12g}")


def _row(line: Mapping[str, str]) -> BatchRow:
    def number(name: str, kind: Callable[[str], Any] = float) -> Any:
        try:
            value = kind((line.get(name) or "").replace(",", "."))
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    area, scaled = number("median_area_px"), number("median_area_um2")
    volume, scaled_volume = number("median_volume_vox"), number("median_volume_um3")
    page, labels = line.get("page") or "", line["labels"]
    stem = labels.removesuffix(LABELS_SUFFIX) if labels.endswith(LABELS_SUFFIX) else str(PurePosixPath(labels).stem)
    row = BatchRow(
        line["image"],
        page,
        "done",
        count=number("count", int),
        median_area_px=area,
        mean_area_px=number("mean_area_px"),
        sd_area_px=number("sd_area_px"),
        pixel_area_um2=scaled / area if scaled and area else None,
        threshold=number("threshold"),
        min_size=number("min_size", int),
        seconds=number("seconds"),
        files={"labels": labels},
        stem=stem.removesuffix(f"_{page}") if page else stem,
        recipe=line.get("recipe") or "",
        notes=(line["notes"],) if line.get("notes") else (),
        model=line["model"],
        model_sha256=line.get("model_sha256") or "",
        image_sha256=line.get("image_sha256") or "",
        corrected=line.get("corrected") == "yes",
        median_volume_vox=volume,
        voxel_volume_um3=scaled_volume / volume if scaled_volume and volume else None,
        y_whole_px=number("y_whole_px", int),
        x_whole_px=number("x_whole_px", int),
        positive={
            name[2:]: int(line[name])
            for name in line
            if name.startswith("n_") and _MARKED.fullmatch(name) and line[name]
        },
    )
    return BatchRow.from_dict(row.to_dict())
