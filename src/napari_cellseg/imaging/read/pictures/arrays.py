"""Read ``.npy`` and ``.npz``; no memory is allocated before the header is checked against the file."""

from __future__ import annotations

import math
import os
import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...errors import ImageError
from ...memory import check_room
from ..packed.zip_entries import opened_zip

_ARRAY_NAMES = ("X", "image")
_LONGEST_HEADER = 10_000
_LONGEST_WORD = 4096
_ENCRYPTED = 1


def read_npy(path: Path, lazy_bytes: int) -> np.ndarray:
    """Read an array file; one of more than `lazy_bytes` stays on the disk.

    Raises
    ------
    ImageError
        The file is of another kind, cut short, or holds pickled objects.
    ValueError, OSError, ...
        Anything else of `damage.DAMAGE`.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        shape, dtype = _header(file, path)
        announced = file.tell() + math.prod(shape) * dtype.itemsize
    if announced > size:
        raise ImageError(
            f"{path} cannot be read: it has {size} bytes, but its header announces {announced}. "
            "It was cut short: copy it again."
        )
    if size >= lazy_bytes:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    check_room(size, str(path), shape)
    return np.load(path, allow_pickle=False)


def read_npz(path: Path) -> tuple[np.ndarray, str | None, tuple[float, float] | None]:
    """Read the image of an archive, with its axes and pixel size if the archive holds them.

    Returns
    -------
    array : ndarray
        The one array, or that named ``X`` or ``image``.
    axes : str or None
        The text named ``axes``, such as ``TYX``.
    pixel_size : tuple of float or None
        The two numbers named ``pixel_size``: micrometres along (Y, X).

    Raises
    ------
    ImageError
        The file is not an archive, cut short, protected by a password, too large for the memory, or it is not clear
        which array is the image.
    """
    with _archive(path) as (archive, members):
        given = {name: members.pop(name) for name in ("axes", "pixel_size") if len(members) > 1 and name in members}
        names = list(members)
        chosen = names if len(names) == 1 else [name for name in _ARRAY_NAMES if name in names]
        if len(chosen) != 1:
            raise ImageError(
                f"{path} holds {len(names)} arrays ({', '.join(names[:20]) or 'none'}), and it is not clear "
                f"which one is the image. Save one array, or name one of them {' or '.join(_ARRAY_NAMES)}."
            )
        array = _member(archive, members[chosen[0]], path)
        axes = _member(archive, given["axes"], path, _LONGEST_WORD) if "axes" in given else None
        size = _member(archive, given["pixel_size"], path, _LONGEST_WORD) if "pixel_size" in given else None
    return array, None if axes is None else str(axes), None if size is None else _pair(size, path)


def read_named(path: Path, choices: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Read the first array of an archive that has a name, for each of several choices of names; no other is read.

    Raises
    ------
    ImageError
        As `read_npz`, or an archive has none of the names of a choice.
    """
    with _archive(path) as (archive, members):
        chosen = [next((name for name in names if name in members), None) for names in choices]
        if None in chosen:
            wanted = " and ".join(names[0] for names in choices)
            raise ImageError(f"{path} holds {', '.join(list(members)[:20]) or 'nothing'}; it needs {wanted}.")
        return [_member(archive, members[name], path) for name in chosen if name is not None]


@contextmanager
def _archive(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """Open an archive with its members by the names of their arrays."""
    if not zipfile.is_zipfile(path):
        raise ImageError(f"{path} is not a whole .npz archive. It was cut short or damaged: copy it again.")
    with opened_zip(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if any(info.flag_bits & _ENCRYPTED for info in members.values()):
            raise ImageError(
                f"{path} is protected by a password, and such files cannot be read. Save it without a password."
            )
        yield archive, members


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, most: int | None = None) -> np.ndarray:
    title = f"{path} ({info.filename})"
    with archive.open(info) as file:
        shape, dtype = _header(file, path)
        n_bytes = math.prod(shape) * dtype.itemsize
        if most is not None and n_bytes > most:
            raise ImageError(
                f"{title} holds {n_bytes} bytes where a short text or two numbers are expected. Remove it."
            )
        if file.tell() + n_bytes != info.file_size:
            raise ImageError(
                f"{title} cannot be read: it has {info.file_size} bytes, but its header announces "
                f"{file.tell() + n_bytes}. The file is damaged: copy it again."
            )
        check_room(n_bytes, title, shape)
    with archive.open(info) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        # The checksum is checked at the end of the file.
        file.read(1)
    return array


def _header(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the header of an array; numpy would read any length that it announces."""
    start = file.read(12)
    if not start.startswith(np.lib.format.MAGIC_PREFIX) or len(start) < 12:
        raise ImageError(f"{path} holds no array. Give a file written by numpy.save or numpy.savez.")
    version = (start[6], start[7])
    (length,) = struct.unpack("<H", start[8:10]) if version[0] == 1 else struct.unpack("<I", start[8:12])
    if length > _LONGEST_HEADER:
        raise ImageError(f"{path} cannot be read: its header announces {length} bytes. The file is damaged.")
    file.seek(len(np.lib.format.MAGIC_PREFIX) + 2, os.SEEK_SET)
    read = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ImageError(
            f"{path} holds pickled objects, which could run code and are not read. Save a plain array of numbers."
        )
    return shape, dtype


def _pair(array: np.ndarray, path: Path) -> tuple[float, float]:
    values = array.ravel().tolist()
    if len(values) not in (1, 2) or array.dtype.kind not in "uif":
        raise ImageError(f"{path}: pixel_size is two numbers of micrometres (Y, X). Correct it or remove it.")
    return float(values[0]), float(values[-1])
