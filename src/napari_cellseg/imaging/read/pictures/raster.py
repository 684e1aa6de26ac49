"""Read PNG, JPEG and BMP as plain arrays."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image as PillowImage

from ...memory import check_room
from .palettes import is_display_only

_AS_THEY_ARE = ("L", "RGB", "RGBA", "F", "I")
# By content. Other formats that Pillow knows would pass under these names, and it gives PostScript to another program.
_FORMATS = ("PNG", "JPEG", "BMP")
# Pictures inside a JPEG: previews and gain maps of cameras are smaller than the first.
_MOST_PICTURES = 16
_N_GREYS = 256
_CONVERTED = {"1": "L", "LA": "L", "La": "L", "PA": "RGBA", "RGBa": "RGBA", "RGBX": "RGB"}
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Samples per pixel of PNG's colour types with colour or alpha.
_PNG_SAMPLES = {b"\x02": 3, b"\x04": 2, b"\x06": 4}


def decode(path: Path) -> np.ndarray:
    """Decode the first image of a file.

    Returns
    -------
    ndarray
        (Y, X) for grey, (Y, X, 3) or (Y, X, 4) for colour; uint8, uint16, int32 or float32. Palettes become colours,
        unless they only show the intensities of a grey image; one bit becomes 0 and 255, and the alpha of a grey image
        is dropped. Rows and columns are those of the file: an orientation tag is not applied.

    Raises
    ------
    OSError, ValueError, SyntaxError, ...
        Damaged or unknown; see `damage.DAMAGE`.
    """
    return decode_bytes(path.read_bytes(), str(path))


def decode_bytes(content: bytes, title: str = "The image", size: tuple[int, ...] | None = None) -> np.ndarray:
    """Decode the first image of a file's content, of the (height, width) `size` if one is given; see `decode`."""
    if _is_deep_png(content) and size is None:
        return _decode_deep_png(content, title)
    with PillowImage.open(io.BytesIO(content), formats=_FORMATS) as picture:
        if size is not None and (picture.height, picture.width) != size:
            raise ValueError(f"it has {picture.height} x {picture.width} pixels, and its image {size[0]} x {size[1]}")
        if _is_deep_png(content):
            return _decode_deep_png(content, title)
        _check_single(picture)
        n_samples = 4 if picture.mode in ("I", "F", "P", "CMYK") else len(picture.getbands())
        # The decoded picture, its bytes, and the array.
        check_room(3 * n_samples * picture.height * picture.width, title, (picture.height, picture.width))
        mode = picture.mode
        if mode.startswith("I;16") or (mode == "I" and picture.format == "PNG"):
            # Older versions of Pillow read 16 bits into 32.
            return np.asarray(picture).astype(np.uint16)
        if mode in _AS_THEY_ARE:
            return np.array(picture)
        if mode == "P":
            table = np.array(picture.getpalette("RGB")).reshape(-1, 3)
            if len(table) == _N_GREYS and is_display_only(table):
                return np.array(picture)
            return np.array(picture.convert("RGBA" if "transparency" in picture.info else "RGB"))
        return np.array(picture.convert(_CONVERTED.get(mode, "RGB")))


def _check_single(picture: PillowImage.Image) -> None:
    """Raise ValueError for a JPEG of several pictures of one size (MPO): any of them might be the one to count."""
    if picture.format != "MPO":
        return
    n_pictures, size = getattr(picture, "n_frames", 1), picture.size
    if n_pictures <= _MOST_PICTURES:
        for i in range(n_pictures - 1, 0, -1):
            picture.seek(i)
            if picture.size == size:
                break
        else:
            picture.seek(0)
            return
    raise ValueError(f"it holds {n_pictures} pictures, and one file is one image here: save them as files of their own")


def _is_deep_png(content: bytes) -> bool:
    """Whether it is a PNG of 16 bits with colour or alpha, which Pillow reduces to 8 bits."""
    return content.startswith(_PNG_SIGNATURE) and content[24:25] == b"\x10" and content[25:26] in _PNG_SAMPLES


def _decode_deep_png(content: bytes, title: str) -> np.ndarray:
    width, height, _, colour, _, _, interlace = struct.unpack_from(">IIBcBBB", content, 16)
    if interlace:
        raise ValueError("interlaced PNG of 16 bits is not supported: save it without interlacing")
    shape = (height, width, _PNG_SAMPLES[colour])
    most = PillowImage.MAX_IMAGE_PIXELS
    if most is not None and height * width > most:
        # The limit of other pictures: decoding would take minutes, however small the file is.
        raise PillowImage.DecompressionBombError(f"{height} x {width} pixels are more than {most}")
    # The decoded values, and a copy in this machine's byte order.
    check_room(4 * height * width * shape[2], title, shape)
    values: np.ndarray = imagecodecs.png_decode(content)
    return values[..., 0] if shape[2] == 2 else values
