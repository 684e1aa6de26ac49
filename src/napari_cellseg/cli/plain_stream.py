"""Text for a terminal: a file name cannot steer it."""

from __future__ import annotations

import re
from typing import Any, TextIO

# Control characters but tabs and line ends, and those that turn the direction of writing.
_STEERING = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_INNER_RETURN = re.compile("(?<!^)\r(?!\n?$)")


class PlainStream:
    """A stream of text that shows control characters as escapes; all else is that of the stream that it stands for."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text; a carriage return at its beginning or end, as of a progress bar, stays."""
        inner = _INNER_RETURN.sub(r"\\r", text)
        self._stream.write(_STEERING.sub(lambda found: found[0] if found[0] == "\r" else _escape(found[0]), inner))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _escape(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")
