"""Coarser copies of an image that is too large to be shown, or even held, as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..imaging.damage import DAMAGE
from ..imaging.image import Image
from ..imaging.zarr_levels import read_levels

DIRECT_BYTES = 1 << 30
# Graphics cards draw no larger picture in one piece; napari would show it blurred.
DIRECT_SIDE = 16384
COARSEST = 2048
# A coarsest level up to this size is read at once, so that the whole is there however one zooms.
HELD_BYTES = 1 << 28
_STEP = 4


def pyramid(image: Image) -> tuple[list[Any] | None, list[str]]:
    """Return levels for napari; None for an image that is shown as it is.

    An OME-Zarr folder's own levels are taken, and nothing else is read. Otherwise each is every fourth row and column
    of the one before. Only the coarsest level is read here (which takes a while: call it beside the window's thread).
    Of the others napari asks for what is in view.

    Parameters
    ----------
    image : Image
        Rows and columns last, or followed by colour.

    Returns
    -------
    levels : list of array, or None
        Finest first.
    notes : list of str
        A sentence for every level of the file that cannot be used.
    """
    if isinstance(image.data, np.ndarray) and image.data.nbytes <= DIRECT_BYTES and max(image.shape_yx) <= DIRECT_SIDE:
        return None, []
    coarser, notes = read_levels(image)
    levels = [image.data, *coarser]
    while len(levels) > 1:
        held = _held(levels[-1])
        if held is not None:
            levels[-1] = held
            break
        notes.append(
            f"{image.title}: level {len(levels) - 1} of its pyramid has pieces that cannot be read, and is left out."
        )
        levels.pop()
    step = 1
    rows = max(levels[-1].shape[image.axes.index(axis)] for axis in "YX")
    last = levels[-1]
    while rows / step > COARSEST:
        step *= _STEP
        thin = slice(None, None, step)
        levels.append(last[(..., thin, thin, slice(None)) if image.rgb else (..., thin, thin)])
    if step > 1 and levels[-1].nbytes <= HELD_BYTES:
        levels[-1] = np.array(levels[-1])
    return (levels if len(levels) > 1 else None), notes


def _held(level: Any) -> Any:
    """Read a level unless it is large; None where it is damaged."""
    if level.nbytes > HELD_BYTES:
        return level
    try:
        return np.asarray(level)
    except DAMAGE:
        return None
