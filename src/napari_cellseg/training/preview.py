"""What the network will see: augmented image-mask pairs side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from skimage.segmentation import find_boundaries

from ..imaging.errors import CellsegError
from ..imaging.normalize import NormalizerParams
from ..network.config import DISTANCE, FOREGROUND
from .data.sample import Sample
from .fit.augment import prepare, random_batch
from .params import STILL, AugmentParams

OUTLINE = (255, 210, 0)
GAP = 4


def preview(
    samples: Sample | Sequence[Sample],
    params: AugmentParams | None = None,
    n: int = 4,
    seed: int = 0,
    crop: int = 192,
    normalizer: NormalizerParams | None = None,
) -> np.ndarray:
    """Draw crops of images as they are learned from, with the outlines of the cells, above what is to be drawn.

    Parameters
    ----------
    samples : Sample or sequence of Sample
        Two rows each: images with outlines, and the centre distance inside the foreground.
    params : AugmentParams, optional
    n : int
        Augmented crops beside each still one.
    seed : int
        Of the choice; the same seed gives the same picture.
    crop : int
        Side of the crops in pixels.
    normalizer : NormalizerParams, optional

    Returns
    -------
    ndarray of uint8
        ``(Y, X, 3)``; the first crop of each row is without variation.
    """
    samples = [samples] if isinstance(samples, Sample) else list(samples)
    if not samples or n < 0:
        raise CellsegError("There is nothing to preview. Give at least one image.")
    rng = np.random.default_rng(seed)
    rows = []
    for sample in samples:
        ready = prepare(sample, normalizer or NormalizerParams())
        still, still_targets = random_batch([ready], [0], crop, 3, STILL, rng)
        crops, targets = random_batch([ready], [0] * n, crop, 3, params or AugmentParams(), rng) if n else ((), {})
        pairs = [_pair(still[0].numpy(), {k: v[0] for k, v in still_targets.items()})]
        pairs += [_pair(x.numpy(), {k: v[i] for k, v in targets.items()}) for i, x in enumerate(crops)]
        rows += [_side_by_side([pair[i] for pair in pairs], 1) for i in (0, 1)]
    return _side_by_side(rows, 0)


def _pair(image: np.ndarray, targets: dict) -> tuple[np.ndarray, np.ndarray]:
    colours = (np.clip(np.moveaxis(image, 0, -1), 0, 1) * 255).astype(np.uint8)
    foreground = targets[FOREGROUND][0].numpy() > 0.5
    # Between touching cells the offset jumps, though the foreground does not end.
    offset = targets["offset"].numpy()
    jump = [np.abs(np.diff(offset[i], axis=axis, prepend=0)) for i in (0, 1) for axis in (0, 1)]
    between = foreground & (np.max(jump, axis=0) > 0.35)
    colours[find_boundaries(foreground, mode="inner") | between] = OUTLINE
    distance = targets[DISTANCE][0].numpy()
    shade = (foreground * (60 + 195 * np.clip(distance, 0, 1))).astype(np.uint8)
    target = np.repeat(shade[..., None], 3, axis=2)
    target[targets["weight"][0].numpy() == 0] = (70, 0, 0)
    return colours, target


def _side_by_side(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    spread = [(0, 0), (0, 0), (0, 0)]
    spread[axis] = (0, GAP)
    joined = [np.pad(p, spread, constant_values=255) for p in pictures[:-1]] + [pictures[-1]]
    return np.concatenate(joined, axis=axis)
