"""A table that describes the wells of a plate: condition, dose, replicate."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..imaging.errors import CellsegError
from ..imaging.read.values.user_table import read_user_table

# Columns of a table of conditions that name a well or count it, and so divide no conditions.
NAMING = ("plate", "well", "replicate")
# The columns that describe a well, by plate (empty where the table names none) and well.
Conditions = dict[tuple[str, str], dict[str, str]]
_WELL = re.compile(r"([A-Za-z]{1,2})\s*-?\s*0*(\d{1,2})")


def read_conditions(path: Path) -> Conditions:
    """Read the description of each well from a table, by plate and well; see `plates_of`."""
    return conditions_in(read_user_table(path)[0], str(path))


def conditions_in(rows: Sequence[Mapping[str, str]], path: str) -> Conditions:
    """Return the description of each well in the rows of a table; `path` is what messages call the table.

    Of a ``wells.csv`` that was written here the columns of the wells' numbers are left out.
    """
    if not rows or "well" not in rows[0] or not set(rows[0]) - set(NAMING):
        columns = ", ".join(rows[0]) if rows else "no row"
        raise CellsegError(
            f"The table {path} has {columns}; it needs a column well, and one or more that name the condition, such as "
            "condition and dose."
        )
    names = list(rows[0])
    numbers = names[names.index("n_images") :] if "n_images" in names else []
    found: Conditions = {}
    for number, row in enumerate(rows, 2):
        key = (row.get("plate", ""), _plain_well(row["well"], path, number))
        if key in found:
            name = "/".join(filter(None, key))
            raise CellsegError(f"{path} has the well {name} twice, the second time in line {number}. Remove one line.")
        found[key] = {name: text for name, text in row.items() if name not in ("plate", "well", *numbers)}
    if len({plate == "" for plate, _ in found}) > 1:
        raise CellsegError(f"{path} names a plate in some lines only. Name it in all, or in none.")
    return found


def _plain_well(text: str, path: str, number: int) -> str:
    if re.fullmatch(r"W\d{3,5}", text):
        return text
    if named := _WELL.fullmatch(text):
        return f"{named[1].upper()}{int(named[2]):02d}"
    raise CellsegError(f"Line {number} of {path} has the well '{text}'. Write row and column, such as B03.")
