"""The size of a picture by its own header: JPEG, JPEG 2000, JPEG XL, JPEG XR, WebP, PNG and LERC.

They are the pieces of some TIFF files, and a decoder takes the memory that the header announces, whatever the TIFF
announces.
"""

from __future__ import annotations

import io
import struct

from PIL import Image as PillowImage

Size = tuple[int, int]
_PILLOWS = {34927: "WEBP", 34933: "PNG", 50001: "WEBP"}
_JPEG = (6, 7, 33007, 34892)
_JPEG_2000 = (33003, 33004, 33005, 34712)
_JPEG_XL = (50002, 52546)
_JPEG_XR = (22610, 34934)
_LERC = 34887
PICTURES = (*_PILLOWS, *_JPEG, *_JPEG_2000, *_JPEG_XL, *_JPEG_XR, _LERC)
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_MOST_PLANES = 256
_BARE = {0x01, *range(0xD0, 0xD9)}


def size_of(content: bytes, compression: int) -> Size:
    """Return (height, width) of a compressed picture.

    Parameters
    ----------
    content : bytes
    compression : int
        The TIFF tag; one of `PICTURES`.

    Raises
    ------
    ValueError, OSError, struct.error, ...
        It has no such header; see `damage.DAMAGE`.
    """
    if compression in _JPEG:
        return _size_of_jpeg(content)
    if compression in _JPEG_2000:
        return _size_of_jpeg_2000(content)
    if compression in _JPEG_XL:
        return _size_of_jpeg_xl(content)
    if compression in _JPEG_XR:
        return _size_of_jpeg_xr(content)
    if compression == _LERC:
        return _size_of_lerc(content)
    with PillowImage.open(io.BytesIO(content), formats=(_PILLOWS[compression],)) as picture:
        return picture.height, picture.width


def zstd_size(content: bytes) -> int | None:
    """Return how many bytes a frame of Zstandard announces; None where it announces none."""
    if content[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError("it is no Zstandard")
    about = content[4]
    is_whole, n = about >> 5 & 1, (0, 2, 4, 8)[about >> 6]
    start = 5 + (0 if is_whole else 1) + (0, 1, 2, 4)[about & 3]
    if not n and not is_whole:
        return None
    found = int.from_bytes(content[start : start + (n or 1)], "little")
    return found + 256 if n == 2 else found


def _size_of_jpeg(content: bytes) -> Size:
    place = content.index(b"\xff")
    while True:
        # Decoders skip what is no marker.
        place = content.index(b"\xff", place)
        marker = content[place + 1]
        if marker in (0x00, 0xFF):
            place += 1
        elif marker in _BARE:
            place += 2
        elif marker in _FRAMES:
            height, width = struct.unpack_from(">HH", content, place + 5)
            return height, width
        else:
            place += 2 + struct.unpack_from(">H", content, place + 2)[0]


def _size_of_jpeg_2000(content: bytes) -> Size:
    """Return the largest size of any code stream: others may stand in front of the one that is decoded."""
    found, place = [], content.find(b"\xff\x4f\xff\x51")
    while place >= 0:
        right, bottom, left, top, *_, n_planes = struct.unpack_from(">8IH", content, place + 8)
        if n_planes > _MOST_PLANES:
            raise ValueError(f"its picture has {n_planes} planes")
        found.append((bottom - top, right - left))
        place = content.find(b"\xff\x4f\xff\x51", place + 1)
    return max(size[0] for size in found), max(size[1] for size in found)


def _size_of_jpeg_xl(content: bytes) -> Size:
    start = 0
    if content[4:8] == b"JXL ":
        kind = b""
        while kind not in (b"jxlc", b"jxlp"):
            n_bytes, kind = struct.unpack_from(">I4s", content, start)
            inside = start + (16 if n_bytes == 1 else 8)
            n_bytes = struct.unpack_from(">Q", content, start + 8)[0] if n_bytes == 1 else n_bytes
            start += max(n_bytes, 8)
        start = inside + 4 * (kind == b"jxlp")
    if content[start : start + 2] != b"\xff\x0a":
        raise ValueError("it is no JPEG XL")
    bits = int.from_bytes(content[start + 2 : start + 18], "little")

    def take(n: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << n) - 1), bits >> n
        return value

    small = take(1)

    def length() -> int:
        return 8 * (take(5) + 1) if small else take((9, 13, 18, 30)[take(2)]) + 1

    height = length()
    above, below = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[take(3)]
    return height, length() if above == 0 else height * above // below


def _size_of_jpeg_xr(content: bytes) -> Size:
    if content[:3] != b"II\xbc":
        raise ValueError("it is no JPEG XR")
    (start,) = struct.unpack_from("<I", content, 4)
    (n_tags,) = struct.unpack_from("<H", content, start)
    tags = {}
    for i in range(n_tags):
        tag, kind, _, value = struct.unpack_from("<HHII", content, start + 2 + 12 * i)
        tags[tag] = value & (0xFFFF if kind == 3 else 0xFFFFFFFF)
    # The picture inside has its own header, and decoders may go by either.
    inner = content.index(b"WMPHOTO\0") + 10
    height, width = struct.unpack_from(">2H" if content[inner] & 0x80 else ">2I", content, inner + 2)[::-1]
    return max(tags[0xBC81], height + 1), max(tags[0xBC80], width + 1)


def _size_of_lerc(content: bytes) -> Size:
    if content[:6] != b"Lerc2 ":
        raise ValueError("it is no LERC of version 2")
    (version,) = struct.unpack_from("<i", content, 6)
    height, width = struct.unpack_from("<2i", content, 14 if version >= 3 else 10)
    return height, width
