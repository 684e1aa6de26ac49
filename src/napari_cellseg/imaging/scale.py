"""Which sizes of a pixel and which intervals between frames are believed."""

from __future__ import annotations

# Micrometres. A TIFF's resolution holds no smaller ones.
_SMALLEST, _LARGEST = 3e-6, 1e9
# Seconds: from a nanosecond to ten years.
_SHORTEST, _LONGEST = 1e-9, 3.2e8


def is_pixel_size(micrometres: float) -> bool:
    """Whether a pixel can be so large: what is smaller than an atom or larger than a kilometre is nobody's meaning."""
    return _SMALLEST <= micrometres <= _LARGEST


def is_interval(interval: float) -> bool:
    """Whether so many seconds can lie between two frames: 0 is how programs write that they do not know."""
    return _SHORTEST <= interval <= _LONGEST
