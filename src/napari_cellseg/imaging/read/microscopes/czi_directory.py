"""The pieces of a CZI file by its own directory: which there are, and whether each holds no more than it says."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...errors import ImageError
from ...memory import check_room
from ..packed.picture_headers import size_of, zstd_size

# Left, top, width and height in pixels of the whole file.
Box = tuple[int, int, int, int]
_SEGMENT, _IN_HEADER, _BEFORE_ENTRIES = 32, 84, 160
# An entry, without its axes; an axis; a piece's sizes in front of its own entry; the least room of both.
_ENTRY, _AXIS, _SIZES, _LEAST = "<2siqiiB5xi", "<4siifi", "<iiq", 256
_PLACES = "STZCRIHVB"
_HEAD_BYTES = 1 << 12
# Bytes of a pixel, by its kind; others are taken for the largest.
_PIXEL_BYTES = {0: 1, 1: 2, 2: 4, 3: 3, 4: 6, 8: 12, 9: 4, 10: 8, 11: 8, 12: 4, 13: 8}
_MOST_PIXEL_BYTES = 16
# By the numbers of the format; pictures with the tags that TIFF has for them.
_PLAIN, _ZSTD, _ZSTD_SHUFFLED = 0, 5, 6
_PICTURES = {1: 7, 4: 22610}


@dataclass(frozen=True)
class _Piece:
    kind: int
    position: int
    compression: int
    spans: Mapping[str, tuple[int, int, int]]
    n_bytes: int

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns as they are stored."""
        return tuple(self.spans.get(axis, (0, 1, 1))[2] or 1 for axis in "YX")  # type: ignore[return-value]


class CziDirectory:
    """Table of the pieces of full size of a CZI file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    struct.error, OSError
        The directory is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._checked = path, set[int]()
        with path.open("rb") as file:
            (start,) = struct.unpack("<q", _read(file, _IN_HEADER, 8))
            given, used = struct.unpack("<2q", _read(file, start + 16, 16))
            content = _read(file, start + _SEGMENT, min(used or given, path.stat().st_size))
        (n,) = struct.unpack_from("<i", content)
        self._pieces = [one for one in _pieces(content[_BEFORE_ENTRIES - _SEGMENT :], n) if _is_full(one)]
        spans = [[one.spans.get(axis, (0, 1, 1)) for axis in _PLACES + "XY"] for one in self._pieces]
        self._spans = np.array(spans, np.int64).reshape(len(spans), len(_PLACES) + 2, 3)

    def check(self, scene: int, at: Mapping[str, int], box: Box) -> bool:
        """Check the pieces in a part of a plane; return whether there is any piece of that plane.

        Decoders take the memory that a piece speaks of, whatever its file says.

        Raises
        ------
        ImageError
            A piece is larger than the directory says, or than the memory.
        """
        wanted = {"S": scene, **at}
        columns = [_PLACES.index(axis) for axis in wanted]
        of_plane = (self._spans[:, columns, 0] == list(wanted.values())).all(axis=1)
        starts, sizes = self._spans[:, -2:, 0], self._spans[:, -2:, 1]
        inside = (starts < np.add(box[:2], box[2:])) & (starts + sizes > box[:2])
        todo = set(np.flatnonzero(of_plane & inside.all(axis=1)).tolist()) - self._checked
        if todo:
            with self._path.open("rb") as file:
                for i in sorted(todo):
                    self._check(file, self._pieces[i])
            self._checked |= todo
        return bool(of_plane.any())

    def _check(self, file: BinaryIO, said: _Piece) -> None:
        head = _read(file, said.position + _SEGMENT, _HEAD_BYTES)
        n_about, _, n_packed = struct.unpack_from(_SIZES, head)
        (own,) = _pieces(head[struct.calcsize(_SIZES) :], 1)
        n_entry = struct.calcsize(_SIZES) + struct.calcsize(_ENTRY) + len(own.spans) * struct.calcsize(_AXIS)
        start = said.position + _SEGMENT + max(_LEAST, n_entry) + n_about
        if (own.size, own.kind, own.compression) != (said.size, said.kind, said.compression):
            raise self._refusal(f"is {own.size[1]} x {own.size[0]} pixels by its own header", said)
        check_room(said.n_bytes, str(self._path), said.size)
        if said.compression == _PLAIN and n_packed < said.n_bytes:
            raise self._refusal(f"has only {n_packed:,} bytes", said)
        if said.compression in (_ZSTD, _ZSTD_SHUFFLED):
            content = _read(file, start, 64)
            n_bytes = zstd_size(content[content[0] if said.compression == _ZSTD_SHUFFLED else 0 :])
            if n_bytes is not None and n_bytes > said.n_bytes:
                raise self._refusal(f"holds {n_bytes:,} bytes", said)
        if said.compression in _PICTURES:
            height, width = size_of(_read(file, start, min(n_packed, 1 << 16)), _PICTURES[said.compression])
            if height > said.size[0] or width > said.size[1]:
                raise self._refusal(f"is a picture of {width} x {height} pixels", said)

    def _refusal(self, what: str, said: _Piece) -> ImageError:
        return ImageError(
            f"{self._path} cannot be read: a piece of it {what}, and the file announces {said.size[1]} x "
            f"{said.size[0]} pixels of {said.n_bytes:,} bytes. The file is damaged, or made to fill your memory."
        )


def _read(file: BinaryIO, start: int, n_bytes: int) -> bytes:
    file.seek(start)
    return file.read(max(0, n_bytes))


def _pieces(content: bytes, n: int) -> Iterator[_Piece]:
    at = 0
    for _ in range(n):
        mark, kind, position, _, compression, _, n_axes = struct.unpack_from(_ENTRY, content, at)
        if mark != b"DV":
            raise ValueError("its directory of pieces is damaged")
        at += struct.calcsize(_ENTRY)
        spans = {}
        for _ in range(n_axes):
            name, start, size, _, stored = struct.unpack_from(_AXIS, content, at)
            spans[name.rstrip(b"\0").decode("ascii", "replace")] = (start, size, stored or size)
            at += struct.calcsize(_AXIS)
        pixels = spans.get("X", (0, 1, 1))[2] * spans.get("Y", (0, 1, 1))[2]
        yield _Piece(kind, position, compression, spans, pixels * _PIXEL_BYTES.get(kind, _MOST_PIXEL_BYTES))


def _is_full(piece: _Piece) -> bool:
    """Whether a piece is no smaller copy of others."""
    return all(size == stored for axis, (_, size, stored) in piece.spans.items() if axis in "XY")
