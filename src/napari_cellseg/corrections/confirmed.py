"""Where the user confirmed what is shown: the reviewed areas, and the surroundings of what was edited."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy

from ..imaging.regions import Region, common, grown, is_empty, within
from .claims import Corrections


def confirmed_area(
    corrections: Corrections, labels: Callable[[Region], np.ndarray], part: Region, margin: int
) -> np.ndarray:
    """Return where the user confirmed what is shown, bool; see `CorrectedInstances.reviewed_area`.

    Parameters
    ----------
    corrections : Corrections
    labels : callable
        Gives the cells that are shown in a region.
    part : tuple of slice
        Region of the result.
    margin : int
        In pixels.
    """
    shape = corrections.shape
    with corrections.lock:
        area = corrections.marks(part) > 0
        pieces = []
        for tile in corrections.claimed_tiles(grown(part, margin, shape)):
            near = common(grown(tile, margin, shape), part)
            if is_empty(near):
                continue
            around = grown(near, margin, shape)
            free = corrections.claims(around) == 0
            if free.all():
                continue
            inside = within(near, around)
            unconfirmed = (labels(near) > 0) & free[inside]
            pieces.append((within(near, part), inside, free, unconfirmed))
    # Distances take long on large images; outside the lock they do not delay the next edit.
    for place, inside, free, unconfirmed in pieces:
        close = scipy.ndimage.distance_transform_edt(free)[inside] <= margin
        area[place] |= close & ~unconfirmed
    return area
