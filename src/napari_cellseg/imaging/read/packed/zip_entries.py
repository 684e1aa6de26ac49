"""Zip archives whose entries are checked before they are unpacked."""

from __future__ import annotations

import os
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_END, _END_BYTES, _LONGEST_COMMENT = b"PK\x05\x06", 22, 1 << 16
# Half a million entries: each takes half a kilobyte of memory once the archive is opened.
_LARGEST_LIST = 1 << 25
_STEP_BYTES = 1 << 20


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive for reading.

    Raises
    ------
    OSError, ValueError, zipfile.BadZipFile
        It is no archive, lists more entries than memory should hold, or two of one name.
    """
    with path.open("rb") as file:
        check_list(file)
        with zipfile.ZipFile(file) as archive:
            check_repeats(archive)
            yield archive


def check_list(file: IO[bytes]) -> None:
    """Raise ValueError for an archive that lists more entries than memory should hold."""
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - _END_BYTES - _LONGEST_COMMENT))
    tail = file.read()
    place = tail.rfind(_END)
    if place >= 0 and len(tail) >= place + _END_BYTES:
        (n_bytes,) = struct.unpack_from("<I", tail, place + 12)
        if n_bytes > _LARGEST_LIST:
            raise ValueError(f"its list of entries has {n_bytes:,} bytes, and up to {_LARGEST_LIST:,} are read")
    file.seek(0)


def check_repeats(archive: zipfile.ZipFile) -> None:
    """Raise ValueError for an archive with several files of one name: it is not clear which of them is read."""
    for name, n in Counter(archive.namelist()).items():
        if n > 1 and not name.endswith("/"):
            raise ValueError(f"it holds {n} entries named {name!r}, of which only one would be read")


def check_entry(archive: zipfile.ZipFile, name: str, most: int) -> zipfile.ZipInfo:
    """Return an archive's header of an entry.

    Raises
    ------
    ValueError
        It holds more than `most` bytes once unpacked. No reader unpacks more than is announced.
    """
    info = archive.getinfo(name)
    if info.file_size > most:
        raise ValueError(f"its entry {name} holds {info.file_size:,} bytes, and up to {most:,} are read")
    return info


def read_entry(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Read an entry of up to `most` bytes; see `check_entry`."""
    return archive.read(check_entry(archive, name, most))


def copy_entry(archive: zipfile.ZipFile, name: str, target: Path, most: int) -> None:
    """Unpack an entry of up to `most` bytes into a file; see `check_entry`."""
    with archive.open(check_entry(archive, name, most)) as packed, target.open("wb") as file:
        while block := packed.read(_STEP_BYTES):
            file.write(block)
