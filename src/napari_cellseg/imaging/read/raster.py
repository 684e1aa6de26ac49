"""Read PNG, JPEG and BMP (and what else Pillow knows) as plain arrays."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image as PillowImage

from ..memory import check_room

_AS_THEY_ARE = ("L", "RGB", "RGBA", "F", "I")
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
        one bit becomes 0 and 255, and the alpha of a grey image is dropped.

    Raises
    ------
    OSError, ValueError, SyntaxError, ...
        Damaged or unknown; see `damage.DAMAGE`.
    """
    return decode_bytes(path.read_bytes(), str(path))


def decode_bytes(content: bytes, title: str = "The image") -> np.ndarray:
    """Decode the first image of a file's content; see `decode`."""
    if _is_deep_png(content):
        return _decode_deep_png(content, title)
    with PillowImage.open(io.BytesIO(content)) as picture:
        mode = picture.mode
        if mode.startswith("I;16") or (mode == "I" and picture.format == "PNG"):
            # Older versions of Pillow read 16 bits into 32.
            return np.asarray(picture).astype(np.uint16)
        if mode in _AS_THEY_ARE:
            return np.array(picture)
        if mode == "P":
            return np.array(picture.convert("RGBA" if "transparency" in picture.info else "RGB"))
        return np.array(picture.convert(_CONVERTED.get(mode, "RGB")))


def _is_deep_png(content: bytes) -> bool:
    """Whether it is a PNG of 16 bits with colour or alpha, which Pillow reduces to 8 bits."""
    return content.startswith(_PNG_SIGNATURE) and content[24:25] == b"\x10" and content[25:26] in _PNG_SAMPLES


def _decode_deep_png(content: bytes, title: str) -> np.ndarray:
    width, height, _, colour, _, _, interlace = struct.unpack_from(">IIBcBBB", content, 16)
    if interlace:
        raise ValueError("interlaced PNG of 16 bits is not supported: save it without interlacing")
    shape = (height, width, _PNG_SAMPLES[colour])
    # The decoded values, and a copy in this machine's byte order.
    check_room(4 * height * width * shape[2], title, shape)
    values: np.ndarray = imagecodecs.png_decode(content)
    return values[..., 0] if shape[2] == 2 else values
