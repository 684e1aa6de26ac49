"""Decode PNG files of 16 bits per colour, which Pillow cuts down to 8.

After the PNG specification (ISO/IEC 15948:2004, sections 5 and 9).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ..memory import free_bytes

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {2: 3, 4: 2, 6: 4}
_NONE, _SUB, _UP, _AVERAGE, _PAETH = range(5)


def is_deep_colour(head: bytes) -> bool:
    """Tell by a file's first 26 bytes whether it is a PNG of 16 bits with colour or alpha."""
    return head.startswith(SIGNATURE) and len(head) >= 26 and head[24] == 16 and head[25] in _SAMPLES


def decode(content: bytes) -> np.ndarray:
    """Decode a whole PNG file for which `is_deep_colour` holds.

    Returns
    -------
    ndarray
        uint16, (Y, X, samples): 2 for grey and alpha, 3 for RGB, 4 for RGBA.

    Raises
    ------
    ValueError, struct.error, zlib.error
        Damaged or cut short, or interlaced.
    MemoryError
        More pixels than there is room for.
    """
    chunks = list(_chunks(content))
    width, height, _, colour, _, _, interlace = struct.unpack(">IIBBBBB", chunks[0][1])
    if interlace:
        raise ValueError("interlaced PNG of 16 bits is not supported: save it without interlacing")
    n_samples = _SAMPLES[colour]
    stride = 2 * n_samples * width
    # Packed, filtered, unfiltered and turned to this machine's byte order.
    if 4 * height * (stride + 1) > free_bytes():
        raise MemoryError
    packed = b"".join(data for kind, data in chunks if kind == b"IDAT")
    raw = zlib.decompressobj().decompress(packed, height * (stride + 1))
    if len(raw) != height * (stride + 1):
        raise ValueError(f"holds {len(raw)} bytes of pixels where {height * (stride + 1)} are announced")
    filtered = np.frombuffer(raw, np.uint8).reshape(height, stride + 1)
    rows = np.zeros((height + 1, stride), np.uint8)
    # The row above the first counts as zeros.
    for line, (above, row) in zip(filtered, pairwise(rows), strict=True):
        row[:] = _unfilter(int(line[0]), line[1:], above, 2 * n_samples)
    return rows[1:].view(">u2").astype(np.uint16).reshape(height, width, n_samples)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, start)
        data = content[start + 8 : start + 8 + length]
        (checksum,) = struct.unpack_from(">I", content, start + 8 + length)
        if zlib.crc32(data, zlib.crc32(kind)) != checksum:
            raise ValueError(f"checksum of chunk {kind.decode('latin-1')} does not match")
        yield kind, data
        start += 12 + length


def _unfilter(kind: int, line: np.ndarray, above: np.ndarray, pixel: int) -> np.ndarray | bytearray:
    if kind == _NONE:
        return line
    if kind == _SUB:
        # A running sum per sample; uint8 wraps as the specification wants.
        return np.cumsum(line.reshape(-1, pixel), axis=0, dtype=np.uint8).reshape(-1)
    if kind == _UP:
        return line + above
    if kind == _AVERAGE:
        return np.frombuffer(_average(line.tobytes(), above.tobytes(), pixel), np.uint8)
    if kind == _PAETH:
        return np.frombuffer(_paeth(line.tobytes(), above.tobytes(), pixel), np.uint8)
    raise ValueError(f"unknown row filter {kind}")


def _average(line: bytes, above: bytes, pixel: int) -> bytearray:
    out = bytearray(pixel) + bytearray(line)
    for i, up in enumerate(above):
        out[i + pixel] = (out[i + pixel] + (out[i] + up) // 2) & 255
    return out[pixel:]


def _paeth(line: bytes, above: bytes, pixel: int) -> bytearray:
    out = bytearray(pixel) + bytearray(line)
    padded = bytes(pixel) + above
    for i, up in enumerate(above):
        left, corner = out[i], padded[i]
        to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
        upper = up if to_up <= to_corner else corner
        nearest = left if to_left <= to_up and to_left <= to_corner else upper
        out[i + pixel] = (out[i + pixel] + nearest) & 255
    return out[pixel:]
