"""The smallest area of a cell that suits an image."""

from __future__ import annotations

import math

# What is smaller than this part of a typical cell is hidden at first, but never more than this many pixels.
_PART, _FEWEST_PIXELS = 0.2, 4


def usual_min_size(min_size: int, diameter: float | None) -> int:
    """Smallest area that suits an image: a default, or a fifth of its typical cell's area where that is less.

    Without it the default, made for cells of common sizes, would drop most cells of an image at low magnification.

    Parameters
    ----------
    min_size : int
        The default, in pixels.
    diameter : float or None
        Of the image's typical cell in pixels; None where it is not known, which leaves the default.
    """
    if diameter is None:
        return min_size
    return min(min_size, max(int(_PART * math.pi / 4 * diameter**2), _FEWEST_PIXELS))


def smallest_in_words(min_size: int, fitted: bool) -> str:
    """Return a smallest size in words: pixels, and whether it is less in some images."""
    return f"{min_size} px{' (or a fifth of a typical cell, if less)' if fitted else ''}"
