"""How numbers and columns are written in CSV files, for programs and for spreadsheets with a decimal comma."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

# "comma": columns parted by commas, decimal points. "semicolon": columns parted by semicolons, decimal commas, and a
# byte-order mark, as Excel reads them by a double click where the decimal sign is a comma.
COMMA, SEMICOLON = CSV_STYLES = ("comma", "semicolon")
# Spreadsheets take a cell that begins so for a formula, which may read files and call the net.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_GUARD = "'"
_ANY_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?(e[+-]?\d+)?")
_NUMBER = re.compile(r"-?\d+\.\d+(e[+-]?\d+)?|-?\d+e[+-]?\d+")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def encoding_of(style: str) -> str:
    """Return the encoding of a CSV file: UTF-8, with a byte-order mark in the style *semicolon*."""
    return "utf-8-sig" if style == SEMICOLON else "utf-8"


def style_of(path: str | os.PathLike[str]) -> str:
    """Return the style of a CSV file of this package; *comma* where there is none."""
    try:
        with Path(path).open("rb") as file:
            return SEMICOLON if file.read(len(_BYTE_ORDER_MARK)) == _BYTE_ORDER_MARK else COMMA
    except OSError:
        return COMMA


def delimiter_of(style: str) -> str:
    """Return the sign between two columns."""
    return ";" if style == SEMICOLON else ","


def csv_line(values: Iterable[Any], style: str = COMMA) -> str:
    r"""Return one line of a CSV file with its ``\n``; None and NaN are empty cells, and no text is a formula."""
    cells = [_cell(value, style) for value in values]
    # An empty line would be skipped by readers.
    return (delimiter_of(style).join(cells) if cells != [""] else '""') + "\n"


def unguarded(text: str) -> str:
    """Return the text of a cell that `csv_line` wrote, without the apostrophe that keeps it from being a formula."""
    return text[1:] if text.startswith(_GUARD) and _is_formula(text) else text


def _is_formula(text: str) -> bool:
    """Whether a text begins as a formula does, perhaps with apostrophes before it, one of which is then the guard."""
    return text.lstrip(_GUARD).startswith(_FORMULA)


def restyled(values: Iterable[str], style: str) -> list[str]:
    """Return the texts of a line of the style *comma* as another style has them: numbers get its decimal sign."""
    if style == COMMA:
        return list(values)
    return [text.replace(".", ",") if _NUMBER.fullmatch(text) else text for text in values]


def _cell(value: Any, style: str) -> str:
    if isinstance(value, (float, np.floating)):
        text = "" if math.isnan(value) else str(value)
        return text.replace(".", ",") if style == SEMICOLON else text
    if value is None:
        return ""
    text = str(value)
    if _is_formula(text) and not _ANY_NUMBER.fullmatch(text):
        text = _GUARD + text
    # Not the csv module: it leaves a lone carriage return, which file names may hold, without quotes.
    signs = f'"\r\n{delimiter_of(style)}'
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in signs) else text
