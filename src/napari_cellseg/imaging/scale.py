"""Which sizes of a pixel and which intervals between frames are plausible."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import ImageError

# Micrometres. A TIFF's resolution holds no smaller ones.
_SMALLEST, _LARGEST = 3e-6, 1e9
# Seconds: from a nanosecond to ten years.
_SHORTEST, _LONGEST = 1e-9, 3.2e8


def is_pixel_size(micrometres: float) -> bool:
    """Whether a size of a pixel is plausible: not smaller than an atom, nor larger than a kilometre."""
    return _SMALLEST <= micrometres <= _LARGEST


def is_interval(interval: float) -> bool:
    """Whether so many seconds can lie between two frames: 0 is how programs write that they do not know."""
    return _SHORTEST <= interval <= _LONGEST


def checked_pixel_size(pixel_size: Sequence[float], title: str) -> tuple[float, float]:
    """Return a pixel size in micrometres, (Y, X); raises ImageError unless it can be."""
    sizes = tuple(float(size) for size in pixel_size)
    if len(sizes) != 2 or not all(is_pixel_size(size) for size in sizes):
        raise ImageError(
            f"{title}: a pixel size is two positive numbers of micrometres (Y, X), not {tuple(pixel_size)}. "
            "Correct it or omit it."
        )
    return sizes[0], sizes[1]


def checked_step(step: float, what: str, title: str) -> float:
    """Return a slice spacing in micrometres or a frame interval in seconds; raises ImageError unless it can be."""
    usable = is_pixel_size if what == "slice spacing" else is_interval
    unit = "micrometres" if what == "slice spacing" else "seconds"
    if not usable(float(step)):
        raise ImageError(f"{title}: a {what} is a positive number of {unit}, not {step}. Correct it or omit it.")
    return float(step)
