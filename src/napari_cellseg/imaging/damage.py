"""Errors that decoders raise when a file is damaged, and the messages for them."""

from __future__ import annotations

import lzma
import os
import struct
import tokenize
import zipfile
import zlib
from xml.etree.ElementTree import ParseError

from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from .errors import CellsegError, ImageError

# Decoders check little of their input: a wrong byte can surface as almost any of these.
DAMAGE: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    # A package that takes one of its branches for impossible.
    UnboundLocalError,
    ValueError,
    ParseError,
    PillowImage.DecompressionBombError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
# Messages of decoders about a piece that is larger than the room for it.
_TOO_LARGE = ("INSUFFICIENT_SPACE", "buffer is too small")
# ... and what readers make of them.
UNREADABLE: tuple[type[Exception], ...] = (CellsegError, *DAMAGE)


def unreadable(path: str | os.PathLike[str], error: Exception) -> ImageError:
    """Return an error that explains why `path` cannot be read, and what to do."""
    if isinstance(error, FileNotFoundError):
        return ImageError(f"{path} does not exist. Check the name.")
    if isinstance(error, PermissionError):
        return ImageError(
            f"{path} cannot be read: permission denied. Ask for permission, or copy it to a folder of yours."
        )
    if isinstance(error, MemoryError):
        return ImageError(f"{path} does not fit into memory. Cut it into parts, or use a machine with more memory.")
    if isinstance(error, PillowImage.DecompressionBombError):
        return ImageError(f"{path} is too large for its format: {error}. Save it as TIFF.")
    if isinstance(error, UnidentifiedImageError):
        return ImageError(f"{path} does not hold an image of a known format, whatever its suffix. Give another file.")
    if "imagecodecs" in str(error):
        return ImageError(
            f"{path} is compressed in a way that needs one more package: {error}. "
            "Run 'python -m pip install imagecodecs', or save the image without compression."
        )
    reason = str(error).strip() or type(error).__name__
    if any(words in reason for words in _TOO_LARGE):
        reason = "a piece of it holds far more than it announces"
    return ImageError(f"{path} cannot be read: {reason}. The file is damaged, cut short or of another kind.")
