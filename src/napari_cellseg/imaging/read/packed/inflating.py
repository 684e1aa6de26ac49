"""Unpack pieces to no more than is announced."""

from __future__ import annotations

import bz2
import contextlib
import lzma
import threading
import zlib
from collections.abc import Iterator
from typing import IO, Any

# A smaller piece cannot expand to more than about 100 MB.
HARMLESS_BYTES = 1 << 16
_STEP_BYTES = 1 << 20
_LARGEST_METADATA = 1 << 26


def inflate(content: bytes, codec: str, most: int, **raw: Any) -> bytes | None:
    """Decompress bytes, which may be several streams one behind the other; None if they hold more than `most` bytes.

    Parameters
    ----------
    content : bytes
    codec : {'zlib', 'gzip', 'bz2', 'lzma'}
    most : int
    **raw
        Options of `lzma.LZMADecompressor`.

    Raises
    ------
    OSError, EOFError, zlib.error, lzma.LZMAError
        They are damaged or cut short.
    """
    parts: list[bytes] = []
    left = most + 1
    while content:
        inflater: Any = (
            bz2.BZ2Decompressor()
            if codec == "bz2"
            else lzma.LZMADecompressor(**raw)
            if codec == "lzma"
            else zlib.decompressobj(47)
        )
        parts.append(inflater.decompress(content, left))
        left -= len(parts[-1])
        if left <= 0:
            return None
        if not inflater.eof:
            raise EOFError("it is cut short")
        content = inflater.unused_data.lstrip(b"\0") if codec == "gzip" else inflater.unused_data
    return b"".join(parts)


class BoundedZlib:
    """Replaces the module `zlib` in a package, where it unpacks what a file holds without any limit.

    Attributes
    ----------
    most : int
        Bytes that a piece may have once unpacked. Each thread has its own.
    """

    error = zlib.error

    def __init__(self) -> None:
        self._of_thread = threading.local()

    @contextlib.contextmanager
    def within(self, most: int) -> Iterator[None]:
        """Allow up to `most` bytes in this thread; else it is `_LARGEST_METADATA`."""
        self._of_thread.most = most
        try:
            yield
        finally:
            del self._of_thread.most

    def decompress(self, content: bytes) -> bytes:
        """Unpack one piece; what follows it is left alone, as `zlib` does."""
        most = getattr(self._of_thread, "most", _LARGEST_METADATA)
        inflater = zlib.decompressobj()
        found = inflater.decompress(content, most + 1)
        if len(found) > most:
            raise ValueError(f"a piece of it holds far more than the announced {most:,} bytes")
        if not inflater.eof:
            raise zlib.error("it is cut short")
        return found


def swells(file: IO[bytes], most: int) -> bool:
    """Whether the rest of a file, deflated without a header, unpacks to more than `most` bytes.

    False for a damaged one too: its decoder reports the damage.
    """
    inflater, made = zlib.decompressobj(-15), 0
    with contextlib.suppress(zlib.error):
        while not inflater.eof and (block := inflater.unconsumed_tail or file.read(_STEP_BYTES)):
            made += len(inflater.decompress(block, _STEP_BYTES))
            if made > most:
                return True
    return False
