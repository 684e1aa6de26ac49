"""Coarser copies of an image that is too large to be shown, or even held, as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..imaging.image import Image

DIRECT_BYTES = 1 << 30
COARSEST = 2048
_STEP = 4


def pyramid(image: Image) -> list[Any] | None:
    """Return levels for napari, each a quarter of the one before a side; None for an image that is shown as it is.

    Only the coarsest level is read here (which takes a while: call it beside the window's thread). Of the others
    napari asks for what is in view.

    Parameters
    ----------
    image : Image
        Rows and columns last, or followed by colour.
    """
    if isinstance(image.data, np.ndarray) and image.data.nbytes <= DIRECT_BYTES:
        return None
    levels, step = [image.data], 1
    while max(image.shape_yx) / step > COARSEST:
        step *= _STEP
        thin = slice(None, None, step)
        levels.append(image.data[(..., thin, thin, slice(None)) if image.rgb else (..., thin, thin)])
    levels[-1] = np.array(levels[-1])
    return levels
