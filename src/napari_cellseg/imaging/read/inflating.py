"""Compressed pieces that hold far more than they say: found by inflating them step by step, keeping nothing."""

from __future__ import annotations

import lzma
import zlib
from typing import IO, Any

# A piece smaller than this cannot swell to more than some 100 MB.
HARMLESS_BYTES = 1 << 16
_STEP_BYTES = 1 << 20


def swells(file: IO[bytes] | Any, n_bytes: int, codec: str, most: int) -> bool:
    """Tell whether the next `n_bytes` of a file inflate to more than `most` bytes.

    The decoders that come with Python ask for no limit: a few megabytes would fill the memory.

    Parameters
    ----------
    file : file
        Anything with `read`, at the start of the piece.
    n_bytes : int
    codec : {'zlib', 'gzip', 'lzma'}
    most : int

    Returns
    -------
    bool
        False too for a damaged piece: its decoder says better what is wrong.
    """
    if n_bytes <= HARMLESS_BYTES:
        return False
    # 32 + 15: the stream says itself whether it is zlib or gzip.
    inflater: Any = lzma.LZMADecompressor() if codec == "lzma" else zlib.decompressobj(47)
    made, pending = 0, b""
    try:
        while not inflater.eof:
            if not pending and getattr(inflater, "needs_input", True):
                pending = file.read(min(_STEP_BYTES, n_bytes))
                n_bytes -= len(pending)
                if not pending:
                    return False
            made += len(inflater.decompress(pending, _STEP_BYTES))
            pending = getattr(inflater, "unconsumed_tail", b"")
            if made > most:
                return True
    except (zlib.error, lzma.LZMAError):
        return False
    return False
