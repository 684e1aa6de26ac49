"""The pieces of a CZI file by its own directory: which there are, and whether each holds no more than it announces."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ...errors import ImageError
from ...memory import check_room
from ..packed.picture_headers import size_of, zstd_size

# Left, top, width and height in pixels of the whole file.
Box = tuple[int, int, int, int]
# Bytes: of the head of a segment, where the directory's place stands, and between that head and the entries.
_SEGMENT, _IN_HEADER, _ABOUT_ENTRIES = 32, 84, 128
_ENTRY = np.dtype("S2, <i4, <i8, <i4, <i4, V6, <i4")
_ENTRY.names = ("mark", "kind", "position", "part", "compression", "pyramid", "n_axes")
_AXIS = np.dtype([("name", "S4"), ("start", "<i4"), ("size", "<i4"), ("place", "<f4"), ("stored", "<i4")])
# The sizes in front of a piece's own entry, and the least room of both.
_SIZES, _LEAST, _HEAD_BYTES = "<iiq", 256, 1 << 12
_AXES = "STZCRIHVBXY"
_COLUMNS = {axis.encode(): k for k, axis in enumerate(_AXES)}
# Bytes of a pixel, by its kind; others are taken for the largest.
_PIXEL_BYTES = {0: 1, 1: 2, 2: 4, 3: 3, 4: 6, 8: 12, 9: 4, 10: 8, 11: 24, 12: 4, 13: 8}
_MOST_PIXEL_BYTES = 24
# By the numbers of the format; pictures with the tags that TIFF has for them.
_PLAIN, _ZSTD, _ZSTD_SHUFFLED = 0, 5, 6
_PICTURES = {1: 7, 4: 22610}


class CziDirectory:
    """Table of the pieces of full size of a CZI file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ValueError, struct.error, OSError
        The directory is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._checked = path, set[int]()
        with path.open("rb") as file:
            (start,) = struct.unpack("<q", _read(file, _IN_HEADER, 8))
            given, used = struct.unpack("<2q", _read(file, start + 16, 16))
            content = _read(file, start + _SEGMENT, min(used or given, path.stat().st_size))
        (n,) = struct.unpack_from("<i", content)
        entries, spans = _table(content[_ABOUT_ENTRIES:], n)
        # Others are smaller copies.
        full = (spans[:, -2:, 1] == spans[:, -2:, 2]).all(axis=1)
        self._entries, self._spans = entries[full], spans[full]

    def check(self, scene: int, at: Mapping[str, int], box: Box) -> bool:
        """Check the pieces in a part of a plane; return whether there is any piece of that plane.

        Decoders take the memory that a piece announces, whatever the directory announces.

        Raises
        ------
        ImageError
            A piece is larger than the directory announces, or than the memory.
        """
        wanted = {"S": scene, **at}
        columns = [_AXES.index(axis) for axis in wanted]
        of_plane = (self._spans[:, columns, 0] == list(wanted.values())).all(axis=1)
        starts, sizes = self._spans[:, -2:, 0], self._spans[:, -2:, 1]
        inside = (starts < np.add(box[:2], box[2:])) & (starts + sizes > box[:2])
        todo = set(np.flatnonzero(of_plane & inside.all(axis=1)).tolist()) - self._checked
        if todo:
            with self._path.open("rb") as file:
                for i in sorted(todo):
                    self._check(file, self._entries[i], self._spans[i])
            self._checked |= todo
        return bool(of_plane.any())

    def _check(self, file: BinaryIO, listed: Any, spans: np.ndarray) -> None:
        width, height = (int(n) for n in spans[-2:, 2])
        n_bytes = width * height * _PIXEL_BYTES.get(int(listed["kind"]), _MOST_PIXEL_BYTES)
        start = int(listed["position"]) + _SEGMENT
        head = _read(file, start, _HEAD_BYTES)
        n_about, _, n_packed = struct.unpack_from(_SIZES, head)
        own = np.frombuffer(head, _ENTRY, 1, struct.calcsize(_SIZES))[0]
        n_entry = struct.calcsize(_SIZES) + _ENTRY.itemsize
        axes = np.frombuffer(head, _AXIS, own["n_axes"], n_entry)
        start += max(_LEAST, n_entry + axes.nbytes) + n_about
        sides = {axis["name"]: int(axis["stored"] or axis["size"]) for axis in axes}
        # A piece's own header may differ from the directory, but may announce no more.
        own_size, reason = (sides.get(b"X", 1), sides.get(b"Y", 1)), ""
        if own_size[0] * own_size[1] * _PIXEL_BYTES.get(int(own["kind"]), _MOST_PIXEL_BYTES) > n_bytes:
            reason = f"is {own_size[0]} x {own_size[1]} pixels by its own header"
        for packed in {int(own["compression"]), int(listed["compression"])}:
            if packed == _PLAIN and n_packed < n_bytes:
                reason = f"has only {n_packed:,} bytes"
            elif packed in (_ZSTD, _ZSTD_SHUFFLED):
                content = _read(file, start, 64)
                holds = zstd_size(content[content[0] if packed == _ZSTD_SHUFFLED else 0 :])
                reason = f"holds {holds:,} bytes" if holds is not None and holds > n_bytes else reason
            elif packed in _PICTURES:
                picture = size_of(_read(file, start, min(n_packed, 1 << 16)), _PICTURES[packed])
                is_larger = picture[0] > height or picture[1] > width
                reason = f"is a picture of {picture[1]} x {picture[0]} pixels" if is_larger else reason
        if reason:
            raise ImageError(
                f"{self._path} cannot be read: a piece of it {reason}, and {width} x {height} pixels of "
                f"{n_bytes:,} bytes are announced. The file is damaged, or made to fill your memory."
            )
        check_room(n_bytes, str(self._path), (height, width))


def _read(file: BinaryIO, start: int, n_bytes: int) -> bytes:
    file.seek(start)
    return file.read(max(0, n_bytes))


def _table(content: bytes, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `n` entries, and along each of `_AXES` their starts, sizes and stored sizes, (n, axes, 3)."""
    starts, at = [], 0
    for _ in range(n):
        (n_axes,) = struct.unpack_from("<I", content, at + 28)
        starts.append(at)
        at += _ENTRY.itemsize + _AXIS.itemsize * n_axes
    given = np.frombuffer(content, np.uint8)
    entries = given[np.array(starts, int)[:, None] + np.arange(_ENTRY.itemsize)].view(_ENTRY)[:, 0]
    if (entries["mark"] != b"DV").any() or at > len(content):
        raise ValueError("its directory of pieces is damaged")
    spans = np.tile(np.array([0, 1, 1]), (n, len(_AXES), 1))
    for k in range(max(entries["n_axes"], default=0)):
        rows = np.flatnonzero(entries["n_axes"] > k)
        place = np.array(starts, int)[rows] + _ENTRY.itemsize + k * _AXIS.itemsize
        axes = given[place[:, None] + np.arange(_AXIS.itemsize)].view(_AXIS)[:, 0]
        for name in np.unique(axes["name"]):
            if name in _COLUMNS:
                chosen = axes["name"] == name
                here = axes[chosen]
                stored = np.where(here["stored"] > 0, here["stored"], here["size"])
                spans[rows[chosen], _COLUMNS[name]] = np.stack([here["start"], here["size"], stored], axis=-1)
    return entries, spans
