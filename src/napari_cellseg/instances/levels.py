"""The 256 levels that probabilities and thresholds are rounded to, and the stable stretch of counts over them."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

N_LEVELS = 256


def quantize(probability: np.ndarray) -> np.ndarray:
    """Round probabilities to 256 levels: level = floor(255 p + 0.5), NaN is level 0.

    Parameters
    ----------
    probability : numpy.ndarray
        Float, any shape, 0 to 1; values outside are clipped.

    Returns
    -------
    numpy.ndarray
        uint8, same shape.
    """
    scaled = np.multiply(probability, np.float32(255), dtype=np.float32)
    scaled += np.float32(0.5)
    np.nan_to_num(scaled, copy=False, nan=0.0)
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


# A step of a slider asks a dozen times for one threshold.
@lru_cache(maxsize=1024)
def threshold_level(threshold: float) -> int:
    """Return the level of a threshold, by the rule of `quantize`.

    Raises
    ------
    ValueError
        When the threshold is not a number from 0 to 1.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be a probability from 0 to 1, got {threshold!r}.")
    return int(quantize(np.array([threshold]))[0])


def at_least(min_size: int) -> int:
    """Return the smallest area that is kept, in pixels; an empty cell is never kept."""
    if min_size < 0:
        raise ValueError(f"min_size must be 0 pixels or more, got {min_size!r}.")
    return max(math.ceil(min_size), 1)


def stable_stretch(thresholds: np.ndarray, counts: np.ndarray, tolerance: float = 0.02) -> tuple[float, float]:
    """Return the widest range of thresholds over which the count hardly changes.

    Parameters
    ----------
    thresholds, counts : numpy.ndarray
        As `Instances.count_curve` returns them, thresholds ascending.
    tolerance : float
        The lowest count of the range may be lower than the highest by this fraction.

    Returns
    -------
    low, high : float
        Ends of the range; counts within it are above 0. The lowest of equally wide ranges.
        Both NaN if all counts are 0.
    """
    best = (math.nan, math.nan)
    numbers, start = np.asarray(counts).tolist(), 0
    # Parts of a range that is flat enough are flat, so that neither end ever goes back.
    for end in range(len(numbers)):
        while start <= end and min(numbers[start : end + 1]) < max(numbers[start : end + 1]) * (1 - tolerance):
            start += 1
        while start <= end and numbers[start] == 0:
            start += 1
        if start <= end:
            width = float(thresholds[end] - thresholds[start])
            if math.isnan(best[0]) or width > best[1] - best[0] + 1e-12:
                best = (float(thresholds[start]), float(thresholds[end]))
    return best
