"""How much memory finding the cells of a plane takes: one figure for window, command line and batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

BYTES_PER_PIXEL = 128


def peak_bytes(shape_yx: Sequence[int]) -> int:
    """Return the bytes that segmenting a plane in one piece takes at its peak.

    Measured as growth of the peak of resident memory between two planes, on a CPU: 60 to 71 bytes per pixel with the
    bundled model (grey, colour, small cells that magnify the plane), 90 to 112 where noise makes a cell on every 300
    pixels or the plane is magnified most. To these come 0.1 to 0.2 GB that do not grow with the plane.

    Parameters
    ----------
    shape_yx : sequence of int
        Height and width of the plane in pixels.
    """
    return BYTES_PER_PIXEL * math.prod(shape_yx)
