"""Distinguish images of noise or stripes alone, in which a network finds cells that are none, from images of cells.

Of 822 images of nuclei and of phase contrast (Data Science Bowl 2018, BBBC039, BU-BIL) none was taken for either: their
values are skewed or have long tails, and their gradients point all ways (coherence at most 0.82).
"""

from __future__ import annotations

import numpy as np

# Skewness and excess kurtosis of normally distributed values are 0.
SKEWNESS, KURTOSIS = 0.3, 0.5
# Of the gradients: 0 where they point all ways, 1 where all lie along one line.
COHERENCE = 0.9
_PIXELS, _SIDE, _SCALES, _FEWEST = 262_144, 1024, 3, 16


def is_noise(plane: np.ndarray) -> bool:
    """Whether the values are distributed as noise is: normally, so that nothing stands out of them.

    Parameters
    ----------
    plane : ndarray
        ``(Y, X)`` or ``(Y, X, 3)``, raw.
    """
    step = max(1, int(np.sqrt(plane.shape[0] * plane.shape[1] / _PIXELS)))
    values, counts = _distribution(plane[::step, ::step])
    n = counts.sum() if isinstance(counts, np.ndarray) else values.size
    if n < _FEWEST**2:
        return False
    centred = values - (values * counts).sum() / n
    spread = np.sqrt((centred * centred * counts).sum() / n)
    if not spread > 0:
        return False
    centred /= spread
    squared = centred * centred
    weighed = squared * counts
    return abs(np.vdot(weighed, centred)) < SKEWNESS * n and abs(np.vdot(weighed, squared) / n - 3) < KURTOSIS


def _distribution(sample: np.ndarray) -> tuple[np.ndarray, np.ndarray | int]:
    """Return finite grey values, and how often each occurs: counted where they are few, as in 8 and 16-bit images."""
    if sample.ndim == 2 and sample.dtype.kind == "u" and sample.dtype.itemsize <= 2 and sample.size:
        counts = np.bincount(sample.ravel())
        values = np.flatnonzero(counts)
        return values.astype(np.float64), counts[values]
    grey = grey_of(sample)
    return grey[np.isfinite(grey)], 1


def is_striped(plane: np.ndarray) -> bool:
    """Whether all that is seen runs in one direction, at one of three scales.

    The coherence of the structure tensor, summed over the middle of the image (Bigün and Granlund, ICCV 1987).

    Parameters
    ----------
    plane : ndarray
        ``(Y, X)`` or ``(Y, X, 3)``, raw.
    """
    top, left = (max(0, (n - _SIDE) // 2) for n in plane.shape[:2])
    grey = np.nan_to_num(grey_of(plane[top : top + _SIDE, left : left + _SIDE]), posinf=0.0, neginf=0.0)
    for _ in range(_SCALES):
        height, width = (n // 2 * 2 for n in grey.shape)
        if min(height, width) < 2 * _FEWEST:
            return False
        pairs = grey[:height:2, :width] + grey[1:height:2, :width]
        grey = pairs[:, ::2] + pairs[:, 1::2]
        down, right = grey[1:, :-1] - grey[:-1, :-1], grey[:-1, 1:] - grey[:-1, :-1]
        yy, xx, xy = np.vdot(down, down), np.vdot(right, right), np.vdot(down, right)
        if np.hypot(yy - xx, 2 * xy) > COHERENCE * (yy + xx):
            return True
    return False


def grey_of(plane: np.ndarray) -> np.ndarray:
    """Return a plane as grey values, float64 ``(Y, X)``."""
    values = plane.astype(np.float64)
    return values if values.ndim == 2 else values.mean(axis=2)
