"""Percentiles of the values of an image; those of 8 and 16-bit images are counted, which is several times faster."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def finite_percentiles(values: np.ndarray, percents: Sequence[float]) -> np.ndarray | None:
    """Return percentiles of the finite values, equal to those of :func:`numpy.percentile` of them as float64.

    Parameters
    ----------
    values : ndarray
        Any shape; integers or floats.
    percents : sequence of float
        0 to 100.

    Returns
    -------
    ndarray of float64 or None
        One for each of `percents`; None without a finite value.
    """
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2 and values.size:
        return _counted(values, np.asarray(percents) / 100)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    return np.percentile(finite.astype(np.float64), percents, overwrite_input=True) if finite.size else None


def _counted(values: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    up_to = np.cumsum(np.bincount(values.ravel()))
    place = fractions * (values.size - 1)
    before = np.floor(place).astype(np.intp)
    low, high = (
        np.searchsorted(up_to, np.minimum(at, values.size - 1), "right").astype(np.float64)
        for at in (before, before + 1)
    )
    part = place - before
    # Interpolated from the nearer of the two, as NumPy does, so that the last bit is the same.
    return np.where(part < 0.5, low + (high - low) * part, high - (high - low) * (1 - part))
