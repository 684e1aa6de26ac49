"""Well and field of images of a plate, from the plate's metadata or from file names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

WELLS = ("well", "field")
_ROW = "([A-P]|A[A-F])"
_START, _END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"
# The images of an OME-Zarr plate lie in folders that its metadata name by row, column and field.
_IN_PLATE = re.compile(r"(?:^|/)([A-Za-z]{1,2})/(\d{1,2})/(\w+)$")
_IN_ZARR = re.compile(r"\.zarr/([A-Za-z]{1,2})/(\d{1,2})/(\w+)$", re.IGNORECASE)
# r01c01f02 (Harmony), W0001 and P00002 (scanR), A01 or A - 1 and then F002, s2, fld 2 (Yokogawa, MetaXpress, IN Cell).
_NUMBERS = re.compile(rf"{_START}r(\d{{1,2}})c(\d{{1,2}})(?:f(\d{{1,4}}))?(?!\d)", re.IGNORECASE)
_COUNTED = re.compile(rf"{_START}(W\d{{3,5}}){_END}")
_NAMES = (
    re.compile(rf"{_START}{_ROW}(\d\d){_END}"),
    re.compile(rf"{_START}{_ROW}(?: - )?(\d\d?){_END}"),
)
_FIELD = re.compile(r"(?<![A-Za-z])(?:field|fld|site|pos|xy|[fFsSP])[ _]?(\d{1,5})(?!\d)")
_MOST_COLUMNS = 48


def well_of(image: str, source: str = "") -> tuple[str, str]:
    """Return well and field of an image.

    Parameters
    ----------
    image : str
        Its name in the results: of a plate in OME-Zarr with row, column and field, such as ``plate/A/1/0``, else that
        of its file.
    source : str, optional
        Path of the file, or of the folder of a Zarr image.

    Returns
    -------
    well, field : str
        The well as row and column, such as ``A01``, or ``W0001`` where wells are only counted; the field without
        zeros in front. Empty where the name does not contain it.
    """
    inner = _IN_PLATE.search(image) or _IN_ZARR.search(source.replace("\\", "/"))
    if inner is not None:
        row, column, field = inner.groups()
        return _well(row, int(column)), field
    stem = PurePosixPath(image).stem
    if found := _NUMBERS.search(stem):
        row, column, field = found.groups()
        return _well(_letters(int(row)), int(column)), _plain(field or _field_after(stem, found.end()))
    if found := _COUNTED.search(stem):
        return found.group(1), _field_after(stem, found.end())
    for pattern in _NAMES:
        for found in pattern.finditer(stem):
            if 1 <= int(found.group(2)) <= _MOST_COLUMNS:
                return _well(found.group(1), int(found.group(2))), _field_after(stem, found.end())
    return "", ""


def with_well(table: Mapping[str, Any], found: tuple[str, str]) -> dict[str, Any]:
    """Add the columns `WELLS` to a table of one image, if `well_of` found a well."""
    if not found[0]:
        return dict(table)
    n = len(next(iter(table.values())))
    return {**table, **{name: [text] * n for name, text in zip(WELLS, found, strict=True)}}


def _well(row: str, column: int) -> str:
    return f"{row.upper()}{column:02d}"


def _letters(row: int) -> str:
    """Letters of a row counted from 1: A to Z, then AA and so on."""
    first, second = divmod(max(row, 1) - 1, 26)
    return (chr(ord("A") + first - 1) if first else "") + chr(ord("A") + second)


def _field_after(stem: str, start: int) -> str:
    found = _FIELD.search(stem, start)
    return _plain(found.group(1)) if found else ""


def _plain(number: str) -> str:
    return str(int(number)) if number else ""
