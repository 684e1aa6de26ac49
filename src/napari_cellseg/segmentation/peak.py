"""How much memory finding the cells of a plane takes: one figure for window, command line and batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

BYTES_PER_PIXEL = 100


def peak_bytes(shape_yx: Sequence[int]) -> int:
    """Return the bytes that segmenting a plane in one piece takes at its peak.

    Measured as growth of the resident memory between planes of 2 and 9 million pixels, with the bundled model on a CPU:
    60 bytes per pixel for a grey plane of 8 bits, 64 for a colour one, 71 where small cells magnify it 1.7 times. To
    these come 0.1 to 0.2 GB that do not grow with the plane, and on large images more magnification: hence 100.

    Parameters
    ----------
    shape_yx : sequence of int
        Height and width of the plane in pixels.
    """
    return BYTES_PER_PIXEL * math.prod(shape_yx)
