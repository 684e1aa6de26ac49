"""Read PNG, JPEG and BMP (and what else Pillow knows) as plain arrays."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from . import png16

_AS_THEY_ARE = ("L", "RGB", "RGBA", "F", "I")
_CONVERTED = {"1": "L", "LA": "L", "La": "L", "PA": "RGBA", "RGBa": "RGBA", "RGBX": "RGB"}


def decode(path: Path) -> np.ndarray:
    """Decode the first picture of a file.

    Returns
    -------
    ndarray
        (Y, X) for grey, (Y, X, 3) or (Y, X, 4) for colour; uint8, uint16, int32 or float32. Palettes become colours,
        one bit becomes 0 and 255, and the alpha of a grey picture is dropped.

    Raises
    ------
    OSError, ValueError, SyntaxError, ...
        Damaged or unknown; see `damage.DAMAGE`.
    """
    return decode_bytes(path.read_bytes())


def decode_bytes(content: bytes) -> np.ndarray:
    """Decode the first picture of a file's content; see `decode`."""
    if png16.is_deep_colour(content[:26]):
        deep = png16.decode(content)
        return deep[..., 0] if deep.shape[2] == 2 else deep
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
