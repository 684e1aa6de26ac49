"""Describe the look of an image in a few numbers, quickly and without the network, to distinguish kinds of images."""

from __future__ import annotations

import numpy as np

from ..imaging.errors import ImageError
from ..imaging.percentiles import finite_percentiles

FEATURES = (
    "bright ground", "colour", "dark cells", "background", "spread", "saturation", "red to green", "green to blue",
    "detail", "noise",
)  # fmt: skip
# The first three separate kinds; the others only refine them.
KIND_WEIGHTS = np.array([1.0, 1.0, 1.0, 0.3, 0.3, 0.3, 0.3, 0.3, 0.0, 0.0])
_PIXELS = 65536
_OCTAVES = 6


def image_features(plane: np.ndarray) -> np.ndarray:
    """Describe an image by its colours and intensities.

    Nothing depends on the range of the values: the darkest and the brightest half percent become 0 and 1.

    Parameters
    ----------
    plane : numpy.ndarray
        (Y, X) or (Y, X, 3), raw.

    Returns
    -------
    numpy.ndarray
        float64, one entry for each of `FEATURES`. ``bright ground``, ``colour`` and ``dark cells`` run from 0 to 1 and
        are near one end or the other for most images; ``detail`` is the side, in pixels and as a binary logarithm, of
        what is seen best, and ``noise`` the share of the contrast that is between neighbouring pixels.

    Raises
    ------
    ImageError
        Not a plane, or without a finite value.
    """
    plane = np.asarray(plane)
    if plane.ndim not in (2, 3) or (plane.ndim == 3 and plane.shape[2] != 3) or plane.dtype.kind not in "buif":
        raise ImageError(f"Only a plane (Y, X) or (Y, X, 3) of numbers has a kind, but this one is {plane.shape}.")
    step = max(1, int(np.ceil(np.sqrt(plane.shape[0] * plane.shape[1] / _PIXELS))))
    sample = plane[::step, ::step]
    limits = finite_percentiles(sample, [0.5, 99.5])
    if limits is None:
        raise ImageError("The image holds no number, so it has no kind.")
    low, high = limits
    scaled = (sample.astype(np.float64) - low) / (high - low if high > low else 1.0)
    scaled = np.clip(np.nan_to_num(scaled, posinf=1.0) if plane.dtype.kind == "f" else scaled, 0, 1)
    grey, saturation, red_green, green_blue = scaled, 0.0, 0.0, 0.0
    if scaled.ndim == 3:
        red, green, blue = (scaled[..., i] for i in range(3))
        grey = (red + green + blue) / 3
        saturation = float((np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)).mean())
        red_green, green_blue = float((red - green).mean()), float((green - blue).mean())
    background, spread = float(np.median(grey)), float(grey.std())
    centred = grey - grey.mean()
    skew = float((centred * centred * centred).mean() / max(spread, 1e-6) ** 3)
    detail, noise = _texture(plane)
    return np.array([
        (1 + np.tanh((background - 0.5) / 0.15)) / 2, np.tanh(saturation / 0.1), (1 - np.tanh(skew)) / 2, background,
        spread, saturation, red_green, green_blue, detail, noise,
    ])  # fmt: skip


def _texture(plane: np.ndarray) -> tuple[float, float]:
    """Side of the details that carry most contrast (log2 of pixels), and the share of the finest ones."""
    side = 1024
    top, left = (max(0, (n - side) // 2) for n in plane.shape[:2])
    part = plane[top : top + side, left : left + side].astype(np.float64)
    grey = part if part.ndim == 2 else part.mean(axis=2)
    grey = np.nan_to_num(grey, posinf=0.0, neginf=0.0) if plane.dtype.kind == "f" else grey
    # The mean square of a block's differences from its mean is that of its values less that of its mean.
    grey -= grey.mean()
    contrast: list[float] = []
    # Larger structures are the field's, not the cells': a crop of the image should have the same features.
    while min(grey.shape) >= 2 and len(contrast) < _OCTAVES:
        height, width = (n // 2 * 2 for n in grey.shape)
        blocks = grey[:height, :width]
        pairs = blocks[::2] + blocks[1::2]
        smaller = (pairs[:, ::2] + pairs[:, 1::2]) / 4
        contrast.append(max(_mean_square(blocks) - _mean_square(smaller), 0.0))
        grey = smaller
    total = sum(contrast)
    if not total:
        return 0.0, 0.0
    share = np.array(contrast) / total
    return float((share * np.arange(len(share))).sum()), float(share[0])


def _mean_square(values: np.ndarray) -> float:
    return float(np.vdot(values, values)) / values.size
