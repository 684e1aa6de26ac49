"""Tables that users write in a spreadsheet: commas, semicolons or tabs between columns."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from ...errors import CellsegError
from ...write.csv_style import unguarded


def read_user_table(path: str | Path) -> tuple[list[dict[str, str]], str]:
    """Read a table with a line of names first.

    Returns
    -------
    rows : list of dict
        Texts by the names of their columns, without blanks around them; lines without any text are skipped.
    delimiter : str
        Sign between the columns.

    Raises
    ------
    CellsegError
        The file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        return parse_user_table(text)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CellsegError(f"The table {path} cannot be read ({error}). Save it as CSV in UTF-8.") from error


def parse_user_table(text: str) -> tuple[list[dict[str, str]], str]:
    """Read a table of a text, such as one that was copied from a spreadsheet; see `read_user_table`."""
    # Spreadsheets of some countries write semicolons.
    delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
    lines = [
        {k.strip(): unguarded((v or "").strip()) for k, v in row.items() if k and k.strip()}
        for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    ]
    # Spreadsheets write lines of commas for emptied rows.
    return [row for row in lines if any(row.values())], delimiter
