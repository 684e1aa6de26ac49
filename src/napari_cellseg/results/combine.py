"""Combine the pieces that each image left into the tables that all images of a folder share."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ..imaging.errors import OutputError
from ..imaging.write.atomic import atomic_path
from ..imaging.write.csv_style import csv_line, encoding_of, restyled, style_of
from ..imaging.write.write import write_table
from .counts import COUNTS_FILE, as_listed
from .formats.arrow import Piece, write_h5ad, write_parquet
from .outputs import OUTPUTS, image_ids
from .rows import BatchRow
from .wells import WELLS

REGIONS, REGIONS_FILE = "regions", "regions.csv"
CELLS_FILE = OUTPUTS["cells"].suffix
RLE_FILE = OUTPUTS["rle"].suffix
SUBMISSION_FILE = OUTPUTS["submission"].suffix


def write_combined(
    rows: Sequence[BatchRow], out: Path, outputs: Collection[str], style: str | None = None
) -> list[Path]:
    """Write the tables over all images that are wanted; memory does not grow with rows, except for AnnData.

    Parameters
    ----------
    rows : sequence of BatchRow
        All that the folder knows of.
    out : Path
    outputs : collection of str
        Names of `outputs.OUTPUTS`.
    style : str, optional
        Of ``cells.csv``, one of `CSV_STYLES`; by default that of the table of counts. Tables to submit have one style.

    Raises
    ------
    OutputError
        The system refused to write.
    """
    written = []
    listed = as_listed(rows)
    style = style or style_of(out / COUNTS_FILE)
    for name, file in (("cells", CELLS_FILE), (REGIONS, REGIONS_FILE)):
        if name in outputs or (name == REGIONS and any(name in row.files for row in listed)):
            written.append(_write_pieces(listed, out, name, file, style))
    for name, write in (("parquet", write_parquet), ("anndata", write_h5ad)):
        if name in outputs:
            written.append(out / OUTPUTS[name].suffix)
            write(written[-1], _pieces(listed, out, name), _about(listed))
    if "rle" in outputs:
        written.append(_write_rle(listed, out))
    if "submission" in outputs:
        written.append(out / SUBMISSION_FILE)
        counts = [row.count if row.has_result else None for row in listed]
        write_table(written[-1], {"image": _names(listed), "count": counts})
    return written


def _write_pieces(rows: list[BatchRow], out: Path, name: str, file_name: str, style: str) -> Path:
    """Write the pieces of all images as one table."""
    parts = [(row, path) for row in rows if row.has_result and (path := row.file(out, name))]
    # Images differ in their columns: only some have a pixel size, or a second channel.
    columns = dict.fromkeys(name for _, part in parts for name in next(_lines(part), []))
    path = out / file_name
    wells = WELLS if any(row.well[0] for row, _ in parts) else ()
    with atomic_path(path) as temporary, _open(temporary, encoding_of(style)) as file:
        file.write(csv_line(["image", "page", *columns, *wells], style))
        for row, part in parts:
            lines = _lines(part)
            names = next(lines, [])
            well = row.well if wells else ()
            for line in lines:
                values = dict(zip(names, restyled(line, style), strict=True))
                file.write(csv_line([row.image, row.page, *(values.get(name) for name in columns), *well], style))
    return path


def _pieces(rows: list[BatchRow], out: Path, name: str) -> list[Piece]:
    found = [(row, path) for row in rows if row.has_result and (path := row.file(out, name))]
    wells = WELLS if any(row.well[0] for row, _ in found) else ()
    return [
        ({"image": row.image, "page": row.page, **dict(zip(wells, row.well, strict=False))}, path)
        for row, path in found
    ]


def _about(rows: list[BatchRow]) -> dict[str, Any]:
    done = [row for row in rows if row.has_result]
    return {"models": sorted({row.model for row in done}), "recipes": sorted({row.recipe for row in done})}


def _write_rle(rows: list[BatchRow], out: Path) -> Path:
    listed = [row for row in rows if row.has_result and "rle" in row.files]
    path = out / RLE_FILE
    with atomic_path(path) as temporary, _open(temporary) as file:
        file.write(csv_line(("ImageId", "EncodedPixels")))
        for row, name in zip(listed, image_ids(_names(listed)), strict=True):
            if path_of_row := row.file(out, "rle"):
                file.writelines(csv_line((name, text)) for text in _run_lengths(path_of_row))
    return path


def _names(rows: Sequence[BatchRow]) -> list[str]:
    """Return the name of each row: its image, with the page in front of the suffix."""
    paths = [(PurePosixPath(row.image), row.page) for row in rows]
    return [(path.with_stem(f"{path.stem}_{page}") if page else path).as_posix() for path, page in paths]


def _open(path: Path, encoding: str = "utf-8") -> Any:
    return path.open("w", newline="", encoding=encoding, errors="backslashreplace")


def _lines(path: Path) -> Iterator[list[str]]:
    """Yield the lines of a piece as long as its first; none where the file is gone.

    Raises
    ------
    OutputError
        The file is damaged.
    """
    try:
        with path.open(newline="", encoding="utf-8", errors="backslashreplace") as file:
            n_columns = None
            for line in csv.reader(file):
                n_columns = n_columns or len(line)
                if len(line) == n_columns:
                    yield line
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, csv.Error) as error:
        raise OutputError(f"{path} cannot be read ({error}). Delete it, and run again with --resume.") from error


def _run_lengths(path: Path) -> Iterator[str]:
    """Yield the run lengths of a piece; the csv module refuses fields as long as a large cell's."""
    try:
        with path.open(encoding="utf-8", errors="backslashreplace") as file:
            next(file, None)
            for line in file:
                yield line.strip().strip('"')
    except (FileNotFoundError, NotADirectoryError):
        return
