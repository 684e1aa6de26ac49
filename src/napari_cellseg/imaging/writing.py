"""Write results: label images with their provenance, tables, JSON; whole or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from .atomic import atomic_path, make_folder
from .damage import DAMAGE, unreadable
from .errors import ImageError, OutputError
from .reading import read_image

__all__ = ["atomic_path", "make_folder", "read_labels", "read_metadata", "write_json", "write_labels", "write_table"]

# TIFF readers take a description that begins with a brace for their own: this word in front keeps it ours.
_SIGNATURE = "napari-cellseg "
_MICROMETRES_PER_CM = 1e4


def write_labels(
    path: str | os.PathLike[str],
    labels: np.ndarray,
    *,
    metadata: Mapping[str, Any] | None = None,
    pixel_size: tuple[float, float] | None = None,
) -> None:
    """Write a label image as a zlib-compressed TIFF that ImageJ, Bio-Formats, QuPath and napari open.

    Parameters
    ----------
    path : path-like
        The file to be; an older one is replaced only when the new one is whole.
    labels : ndarray
        (Y, X), integer or bool, no negative values; 0 is background. Written as uint16, or as uint32 where an id is
        above 65,535.
    metadata : mapping, optional
        Provenance, stored as JSON in the image description; `read_metadata` gives it back.
    pixel_size : tuple of float, optional
        Micrometres per pixel along (Y, X), stored as the resolution.

    Raises
    ------
    OutputError
        `labels` is not a label image, or the system refused to write.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "bui" or labels.size == 0:
        raise OutputError(
            f"{path}: a label image is (Y, X) and holds whole numbers, but this one is {labels.shape} "
            f"and holds {labels.dtype}. Give a 2-D label image."
        )
    least, greatest = int(labels.min()), int(labels.max())
    if least < 0 or greatest > np.iinfo(np.uint32).max:
        raise OutputError(
            f"{path}: label ids run from {least} to {greatest}, but a label file holds 0 to 4,294,967,295. "
            "Relabel the cells."
        )
    options: dict[str, Any] = {}
    if pixel_size is not None:
        options["resolution"] = tuple(_MICROMETRES_PER_CM / size for size in reversed(pixel_size))
        options["resolutionunit"] = "CENTIMETER"
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            labels.astype(np.uint16 if greatest <= np.iinfo(np.uint16).max else np.uint32, copy=False),
            photometric="minisblack",
            compression="zlib",
            description=f"{_SIGNATURE}{json.dumps(_plain(metadata or {}))}",
            metadata=None,
            software="napari-cellseg",
            **options,
        )


def read_labels(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a label image: (Y, X), uint16 while the ids fit, else int32.

    Any format of `read_image` will do, and whole numbers stored as floats too (ImageJ does so above 65,535).

    Raises
    ------
    ImageError
        Unreadable, a colour image, or values that are not whole numbers from 0 to 2,147,483,647.
    """
    plane = read_image(path).plane()
    if plane.ndim != 2:
        raise ImageError(f"{path} is a colour image, but a label image holds one number per pixel. Give another.")
    whole = plane.dtype.kind in "ui" or bool(np.all(np.isfinite(plane)) and np.all(plane == np.rint(plane)))
    greatest = float(plane.max()) if whole else math.nan
    if not whole or plane.min() < 0 or greatest > np.iinfo(np.int32).max:
        raise ImageError(
            f"{path} is not a label image: labels are whole numbers from 0 to 2,147,483,647, and it holds others. "
            "Give a file of labels."
        )
    return plane.astype(np.uint16 if greatest <= np.iinfo(np.uint16).max else np.int32, copy=False)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `write_labels` was given as metadata; empty for a TIFF that it did not write.

    Raises
    ------
    ImageError
        Not a readable TIFF.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            description = tiff.pages.first.description
    except DAMAGE as error:
        raise unreadable(path, error) from error
    if not description.startswith(_SIGNATURE):
        return {}
    try:
        metadata = json.loads(description.removeprefix(_SIGNATURE))
    except ValueError:
        return {}
    return metadata if isinstance(metadata, dict) else {}


def write_table(path: str | os.PathLike[str], columns: Mapping[str, Sequence[Any] | np.ndarray]) -> None:
    r"""Write columns of one length as CSV (UTF-8, ``,`` and ``\n``).

    Floats are written as the shortest text that reads back as the same number; NaN and None as an empty cell.

    Raises
    ------
    OutputError
        Columns of different lengths, or the system refused to write.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise OutputError(f"{path} was not written: its columns differ in length ({lengths}). Give equal columns.")
    lines = [_line(columns), *(_line(row) for row in zip(*columns.values(), strict=True))]
    # A file name need not be text: what has no character is escaped.
    with atomic_path(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8", errors="backslashreplace", newline="\n")


def write_json(path: str | os.PathLike[str], obj: Any) -> None:
    """Write JSON, indented; numpy values and paths become plain ones, NaN and infinities null.

    Raises
    ------
    OutputError
        The system refused to write.
    TypeError
        `obj` holds something that JSON cannot.
    """
    text = json.dumps(_plain(obj), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def _line(values: Iterable[Any]) -> str:
    cells = [_cell(value) for value in values]
    # A line without a sign would be skipped by readers.
    return (",".join(cells) if cells != [""] else '""') + "\n"


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, (float, np.floating)) and math.isnan(value)):
        return ""
    text = str(value)
    # Not the csv module: it leaves a lone carriage return, which file names may hold, without quotes.
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    return str(value) if isinstance(value, Path) else value
