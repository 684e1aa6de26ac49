"""Compound files (MS-CFB), in which a table names the sector that follows each."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...errors import ImageError

_MARK = bytes.fromhex("d0cf11e0a1b11ae1")
_SHIFTS = (9, 12)
_LAST = 0xFFFFFFFA
_IN_HEADER = 109


def check_compound_file(path: Path) -> None:
    """Refuse a compound file with a chain of sectors that leads back into itself: a reader would follow it for ever.

    In a whole file no sector follows two others, and none precedes the first one of a chain.

    Raises
    ------
    ImageError
        There is such a chain, or the table is longer than the file.
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(512)
        shift = struct.unpack_from("<H", head, 30)[0] if len(head) == 512 else 0
        if not head.startswith(_MARK) or shift not in _SHIFTS:
            # Of another kind; the reader's error names it.
            return
        size, sector = file.seek(0, 2), 1 << shift
        n_table, at_directory, _, limit, at_mini, _, at_more, n_more = struct.unpack_from("<8I", head, 44)
        places = list(struct.unpack_from(f"<{_IN_HEADER}I", head, 76))
        per_sector = sector // 4
        if n_table > size // sector or (per_sector - 1) * (n_more - 1) > n_table - _IN_HEADER:
            raise ImageError(f"{path} is damaged: its header announces more than it holds. Copy it again.")
        for _ in range(n_more):
            row = _read(file, [at_more], sector)
            places += row[:-1].tolist()
            at_more = int(row[-1]) if len(row) else _LAST
        table = _read(file, places[:n_table], sector)
        _check(path, table, [at_directory, at_mini])
        entries = _read(file, _chain(table, at_directory), sector).tobytes()
        mini_table = _read(file, _chain(table, at_mini), sector)
    starts: tuple[list[int], list[int]] = [], []
    for at in range(0, len(entries) - 127, 128):
        kind, (start, length) = entries[at + 66], struct.unpack_from("<II", entries, at + 116)
        if kind in (2, 5):
            starts[kind == 2 and length < limit].append(start)
    _check(path, table, starts[0])
    _check(path, mini_table, starts[1])


def _read(file: BinaryIO, places: list[int], sector: int) -> np.ndarray:
    """Return sectors as uint32; those that are not there are left out."""
    content = bytearray()
    for place in places:
        if place < _LAST:
            file.seek((place + 1) * sector)
            content += file.read(sector)
    return np.frombuffer(bytes(content[: len(content) // 4 * 4]), "<u4")


def _check(path: Path, table: np.ndarray, starts: list[int]) -> None:
    followed = np.bincount(table[table < len(table)], minlength=len(table))
    if (followed > 1).any() or any(start < len(table) and followed[start] for start in starts):
        raise ImageError(f"{path} is damaged: its parts follow each other in circles. Copy it again.")


def _chain(table: np.ndarray, start: int) -> list[int]:
    """Return the sectors of a chain that does not run in circles."""
    found = []
    while start < len(table):
        found.append(start)
        start = int(table[start])
    return found
