"""A thumbnail of what the network will see."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ...imaging.channels import Channel
from ...imaging.image import Image
from ...imaging.normalize import NormalizerParams, normalize

SIDE = 192
_LOOK_AT = 1024


def thumbnail(image: Image, channel: Channel | None = None, normalizer: NormalizerParams | None = None) -> np.ndarray:
    """Return a small picture of an image as the network will see it: normalised, black at 0 and white at 1.

    Parameters
    ----------
    image : Image
    channel : int or str, optional
    normalizer : NormalizerParams, optional
        Of the model. The percentiles are taken over every n-th pixel of a large image.

    Returns
    -------
    ndarray of uint8
        (h, w) or (h, w, 3), at most `SIDE` pixels a side.

    Raises
    ------
    CellsegError
        No such channel, or axes that can't be segmented.
    """
    coarse = max(1, math.ceil(max(image.shape_yx) / _LOOK_AT))
    steps = tuple(slice(None, None, coarse if letter in "YX" else None) for letter in image.axes)
    plane = normalize(replace(image, data=image.data[steps]).plane(channel), normalizer)
    fine = max(1, math.ceil(max(plane.shape[:2]) / SIDE))
    shape = [n // fine * fine or n for n in plane.shape[:2]]
    if fine > 1 and min(shape) >= fine:
        # Means, not every n-th pixel: single bright pixels would flicker in and out.
        plane = plane[: shape[0], : shape[1]]
        blocks = plane.reshape(shape[0] // fine, fine, shape[1] // fine, fine, *plane.shape[2:])
        plane = blocks.mean(axis=(1, 3))
    else:
        plane = plane[::fine, ::fine]
    return np.ascontiguousarray(np.clip(plane * 255, 0, 255).astype(np.uint8))
