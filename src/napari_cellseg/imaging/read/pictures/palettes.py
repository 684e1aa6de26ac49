"""Colour tables: those that only display an image of intensities, and those that hold its colours."""

from __future__ import annotations

import numpy as np

# Entries at each end that may have another colour: viewers mark under- and overexposed pixels with them.
_N_MARKS = 2
# Of the full scale: differences of a hue that rounding explains.
_TOLERANCE = 0.02
_BLOCK = 1 << 20


def is_display_only(table: np.ndarray) -> bool:
    """Whether a colour table only shows intensities: one hue, or grey, from dark to bright. The indices are the data.

    Parameters
    ----------
    table : ndarray
        (entries, 3), whole numbers.

    Returns
    -------
    bool
        True as well for more than 256 entries, which no image of colours has, and for a table without any colour.
    """
    if len(table) > 256:
        return True
    inner = table[_N_MARKS:-_N_MARKS].astype(np.float64) if len(table) > 32 else table.astype(np.float64)
    brightness = inner.max(axis=1, initial=0)
    full = brightness.max(initial=0)
    if full == 0:
        return True
    hue = inner[int(brightness.argmax())] / full
    off = np.abs(inner - brightness[:, None] * hue).max()
    return bool((np.diff(brightness) >= 0).all() and off <= _TOLERANCE * full)


def coloured(indices: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return the colours of indices, uint8 (..., 3), in little more memory than the result."""
    colours = (table >> 8 if table.max() > 255 else table).astype(np.uint8)
    flat = np.ascontiguousarray(indices).reshape(-1)
    out = np.empty((flat.size, 3), np.uint8)
    for start in range(0, flat.size, _BLOCK):
        out[start : start + _BLOCK] = colours[flat[start : start + _BLOCK]]
    return out.reshape(*indices.shape, 3)
