"""Checks that a TIFF is complete and consistent, before memory is allocated for its values; also inside other files."""

from __future__ import annotations

import math
import operator
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile

from ...errors import ImageError
from ...memory import check_room
from .inflating import HARMLESS_BYTES
from .picture_headers import PICTURES, size_of

# Deflate compresses at most 1032 bytes to one, and LZW about as many.
_GREATEST_RATIO = 2000
# Encoders work in blocks of so many rows and columns, and some write whole ones.
_BLOCK = 16
_HEAD_BYTES = 1 << 16
_LARGE = 1 << 26


def check_pieces(
    tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path, lazy_bytes: int, n_bytes: int
) -> None:
    """Raise ImageError for an image of a TIFF that is cut short, or takes more memory than it announces.

    Parameters
    ----------
    tiff : tifffile.TiffFile
    series : tifffile.TiffPageSeries
        The image; pieces of it that are pictures are checked when they are decoded.
    path : Path
        Name of the file in the message.
    lazy_bytes : int
        Pieces from this size on are those that a few bytes could blow up.
    n_bytes : int
        Allocated at once by reading; it must fit.
    """
    _check_whole(tiff, series, path)
    _check_plausible(tiff, series, path, lazy_bytes, n_bytes)
    check_pictures(series.keyframe, path)


def plane_of(file: str | BinaryIO, path: Path) -> np.ndarray:
    """Read the image of a TIFF that is a part of another file; errors name `path`."""
    with tifffile.TiffFile(file) as tiff:
        series = tiff.series[0]
        check_pieces(tiff, series, path, _LARGE, series.nbytes)
        return series.asarray()


def _check_whole(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path) -> None:
    """Raise ImageError for a file that ends too early: the reader would fill in or skip missing parts."""
    size = tiff.filehandle.size
    ends = [0]
    if series.dataoffset is not None:
        ends.append(series.dataoffset + series.nbytes)
    else:
        for page in series.pages:
            if page is None:
                raise ImageError(
                    f"{path}: some planes of this image lie in other files that are missing. "
                    "Put all files of the image into one folder."
                )
            last = max(map(operator.add, page.dataoffsets, page.databytecounts), default=0)
            if page.parent is tiff:
                ends.append(last)
            elif last > page.parent.filehandle.size:
                other = page.parent.filehandle.name
                raise ImageError(f"{path} cannot be read: {other}, a part of it, was cut short. Copy it again.")
    if not tiff.is_ndpi:
        ends.append(_next_page_offset(tiff))
    if max(ends) > size:
        raise ImageError(
            f"{path} cannot be read: it has {size} bytes, but refers to byte {max(ends)}. "
            "It was cut short: copy it again."
        )


def _check_plausible(
    tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path, lazy_bytes: int, n_bytes: int
) -> None:
    """Raise ImageError for a size that the file cannot hold, which would use up all memory."""
    page = series.keyframe
    check_room(n_bytes, str(path), series.shape)
    if series.dataoffset is not None:
        return
    announced, held = math.prod(page.chunked), len(page.dataoffsets)
    chunk_bytes = math.prod(page.chunks) * series.dtype.itemsize
    bloated = chunk_bytes >= lazy_bytes and chunk_bytes > _GREATEST_RATIO * max(page.databytecounts, default=0)
    if announced > held or bloated:
        raise ImageError(
            f"{path} cannot be read: it announces {' x '.join(map(str, page.shape))} values, but holds fewer. "
            "The file is damaged: copy it again."
        )
    check_room(chunk_bytes, str(path), page.shape)
    _check_raw(tiff, series, path, chunk_bytes)


def _check_raw(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path, chunk_bytes: int) -> None:
    """Raise ImageError if a stored piece is far larger than a piece of the image; unpacked, tifffile bounds it."""
    most = 2 * (chunk_bytes + HARMLESS_BYTES)
    for page in series.pages:
        if page is not None and page.parent is tiff and max(page.databytecounts, default=0) > most:
            raise ImageError(
                f"{path} cannot be read: a piece of it holds far more than the announced {chunk_bytes:,} "
                "bytes. The file is damaged, or made to fill your memory: give another."
            )


def check_pictures(page: tifffile.TiffPage, path: Path) -> None:
    """Have every piece of an image refused when it is decoded, if it is a picture of other pixels by its own header.

    Decoders take the memory that the header announces: a small piece could fill it.
    """
    if page.compression not in PICTURES:
        return
    decode = page.decode
    sides = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)

    def checked(data: bytes | None, index: int, /, **options: Any) -> Any:
        if data is not None:
            # A piece may be the rest of a picture whose header is stored once.
            height, width = size_of((options.get("jpegheader") or b"") + data, page.compression)
            if any(n > -(-side // _BLOCK) * _BLOCK for n, side in zip((height, width), sides, strict=True)):
                raise ImageError(
                    f"{path} cannot be read: a piece of it is a picture of {width} x {height} pixels, and the file "
                    f"announces pieces of {sides[1]} x {sides[0]}. Give another file."
                )
        return decode(data, index, **options)

    page.__dict__["decode"] = checked
    if page.jpegheader is not None and "StripOffsets" in page.tags:
        # All pieces are decoded at once.
        file = page.parent.filehandle
        file.seek(page.tags["StripOffsets"].value[0])
        height, width = size_of(file.read(_HEAD_BYTES), page.compression)
        if height > page.imagelength or width > page.imagewidth:
            raise ImageError(
                f"{path} cannot be read: it is a picture of {width} x {height} pixels, and the file announces "
                f"{page.imagewidth} x {page.imagelength}. Give another file."
            )


def _next_page_offset(tiff: tifffile.TiffFile) -> int:
    """Offset of a page after the last one that was found; 0 if there is none."""
    form, file = tiff.tiff, tiff.filehandle
    file.seek(tiff.pages[-1].offset)
    (n_tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
    file.seek(n_tags * form.tagsize, 1)
    (offset,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))
    return int(offset)
