"""Write results: label images with their provenance, tables, JSON; completely or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import OutputError
from .atomic import atomic_path, make_folder
from .csv_style import COMMA, CSV_STYLES, csv_line, encoding_of
from .jsonable import jsonable
from .label_files import read_label_stack, read_labels, read_metadata, write_labels

__all__ = [
    "CSV_STYLES",
    "atomic_path",
    "make_folder",
    "read_label_stack",
    "read_labels",
    "read_metadata",
    "table_text",
    "write_json",
    "write_labels",
    "write_table",
]


def write_table(
    path: str | os.PathLike[str], columns: Mapping[str, Sequence[Any] | np.ndarray], style: str = COMMA
) -> None:
    r"""Write columns of one length as CSV (UTF-8 with ``\n``) in one of `CSV_STYLES`.

    Floats are written as the shortest text that reads back as the same number; NaN and None as an empty cell.

    Raises
    ------
    OutputError
        Columns of different lengths, or the system refused to write.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise OutputError(f"{path} was not written: its columns differ in length ({lengths}). Give equal columns.")
    # A file name may hold bytes that are not text; they are escaped.
    with atomic_path(path) as temporary:
        temporary.write_text(
            table_text(columns, style=style), encoding=encoding_of(style), errors="backslashreplace", newline="\n"
        )


def table_text(columns: Mapping[str, Sequence[Any] | np.ndarray], header: bool = True, style: str = COMMA) -> str:
    """Return columns of one length as the text of a CSV file or of a part of it; see `write_table`."""
    lines = [csv_line(columns, style)] if header else []
    return "".join([*lines, *(csv_line(row, style) for row in zip(*columns.values(), strict=True))])


def write_json(path: str | os.PathLike[str], obj: Any) -> None:
    """Write JSON, indented; numpy values and paths become plain ones, NaN and infinities null.

    Raises
    ------
    OutputError
        The system refused to write.
    TypeError
        `obj` holds a value that JSON cannot represent.
    """
    text = json.dumps(jsonable(obj), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
