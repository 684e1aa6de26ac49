"""Checks that a TIFF is complete and consistent, before memory is allocated for its values."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import tifffile

from ..errors import ImageError
from ..memory import check_room
from .inflating import HARMLESS_BYTES, swells

# Deflate compresses at most 1032 bytes to one, and LZW about as many.
_GREATEST_RATIO = 2000
_INFLATERS: dict[int, str] = {
    tifffile.COMPRESSION.ADOBE_DEFLATE: "zlib",
    tifffile.COMPRESSION.DEFLATE: "zlib",
    tifffile.COMPRESSION.LZMA: "lzma",
}


def check_whole(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path) -> None:
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
            if page.parent is tiff:
                counts = zip(page.dataoffsets, page.databytecounts, strict=False)
                ends += [offset + count for offset, count in counts]
    if not tiff.is_ndpi:
        ends.append(_next_page_offset(tiff))
    if max(ends) > size:
        raise ImageError(
            f"{path} cannot be read: it has {size} bytes, but refers to byte {max(ends)}. "
            "It was cut short: copy it again."
        )


def check_plausible(
    tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path, lazy_bytes: int, n_bytes: int
) -> None:
    """Raise ImageError for a size that the file cannot hold, which would use up all memory.

    `n_bytes` is allocated at once by reading and must fit.
    """
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
    _check_swelling(tiff, series, path, chunk_bytes)


def _check_swelling(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path, chunk_bytes: int) -> None:
    """Raise ImageError if a compressed piece holds more than a piece of the image.

    Decoders have no limit: a few megabytes could fill the memory.
    """
    codec = _INFLATERS.get(series.keyframe.compression)
    most = chunk_bytes + HARMLESS_BYTES
    file = tiff.filehandle
    for page in series.pages:
        if page is None or page.parent is not tiff:
            continue
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
            file.seek(offset)
            if count > 2 * most or (codec and swells(file, count, codec, most)):
                raise ImageError(
                    f"{path} cannot be read: a piece of it holds far more than the announced {chunk_bytes:,} "
                    "bytes. The file is damaged, or made to fill your memory: give another."
                )


def _next_page_offset(tiff: tifffile.TiffFile) -> int:
    """Offset of a page after the last one that was found; 0 if there is none."""
    form, file = tiff.tiff, tiff.filehandle
    file.seek(tiff.pages[-1].offset)
    (n_tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
    file.seek(n_tags * form.tagsize, 1)
    (offset,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))
    return int(offset)
