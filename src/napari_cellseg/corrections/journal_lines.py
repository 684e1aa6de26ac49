"""Read the lines of a corrections journal, and its header, the first line."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..imaging.read.values.json_types import check_types, is_inside
from .journal import CELLS, FORMAT, SUFFIX, JournalError, decode

DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError)


@dataclass(frozen=True)
class _Header:
    """The part of a journal's first line that is needed to read it."""

    shape: tuple[int, int]
    image: str = ""


def continued(path: Path | None) -> Path | None:
    """Return the journal, in the same folder, that a journal continues; None where there is none."""
    try:
        return None if path is None else beside(path, read_lines(path)[0])
    except JournalError:
        return None


def beside(path: Path, header: Mapping[str, Any]) -> Path | None:
    """Return the journal that the first line of another names as the one it continues; None where there is none."""
    name = str(header.get("continues"))
    # It is read, and may be deleted: nothing but a journal is, whatever is in the header.
    return path.with_name(name) if is_inside(name) and "/" not in name and name.endswith(SUFFIX) else None


def read_lines(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]], int]:
    """Return header, entries as far as they are whole, and the number of the first damaged line (0: none).

    Raises
    ------
    JournalError
        The journal is missing, or its first line is damaged or of a newer version.
    """
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no regular file")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise JournalError(f"The corrections journal {path} cannot be read: {reason}. Try again.") from error
    lines = content.split(b"\n")
    torn = lines.pop()  # empty where the last line is whole
    entries, damaged = [], 0
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(decode(line))
        except ValueError:
            damaged = number
            break
    if not damaged and torn:
        with contextlib.suppress(ValueError):
            entries.append(decode(torn))
    try:
        header = entries[0]
        check_types(_Header, header)
        height, width = header["shape"]
        known = header["kind"] == "header" and height > 0 and width > 0
    except DAMAGED as error:
        raise JournalError(
            f"The corrections journal {path} has no readable first line. It is left as it is; choose another."
        ) from error
    if not known or header.get("format") != FORMAT:
        raise JournalError(
            f"The corrections journal {path} has format {header.get('format')!r}, and this version reads {FORMAT}. "
            "Update napari-cellseg."
        )
    return {**header, "shape": (height, width)}, entries[1:], damaged


def revision_after(header: Mapping[str, Any], entries: Collection[Mapping[str, Any]]) -> int:
    """Return the revision of the corrections after some entries of a journal."""
    before = header.get("revision")
    own = sum(entry["kind"] not in (CELLS, "snapshot") for entry in entries)
    return own + (before if isinstance(before, int) else 0)
