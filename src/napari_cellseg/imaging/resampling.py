"""Resample a region of an image as if the whole image were resampled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from .regions import Region

Read = Callable[[Region], np.ndarray]


def resample_region(read: Read, shape: tuple[int, int], new_shape: tuple[int, int], region: Region) -> np.ndarray:
    """Return a region of a resampled image without resampling the rest.

    Bilinear, with pixels as areas; a triangle as wide as the step if the image gets smaller. Except for rounding the
    same as torch's ``interpolate`` of the whole with ``align_corners=False`` (and ``antialias=True`` if smaller).

    Parameters
    ----------
    read : callable
        Returns a region of the original image: float32 (y, x) or (y, x, C).
    shape, new_shape : tuple of int
        (Y, X) of the whole image, before and after.
    region : (slice, slice)
        Region of the resampled image, with start and stop.

    Returns
    -------
    numpy.ndarray
        float32, of the region's size.
    """
    if shape == new_shape:
        return np.asarray(read(region), np.float32)
    rows, columns = (axis_weights(n, m, part) for n, m, part in zip(shape, new_shape, region, strict=True))
    values = np.asarray(read((rows[0], columns[0])), np.float32)
    planes = values[..., None] if values.ndim == 2 else values
    done = [columns[1] @ np.ascontiguousarray((rows[1] @ planes[..., i]).T) for i in range(planes.shape[2])]
    out = np.stack([one.T for one in done], axis=-1).astype(np.float32, copy=False)
    return np.ascontiguousarray(out[..., 0] if values.ndim == 2 else out)


def axis_weights(n_in: int, n_out: int, part: slice) -> tuple[slice, csr_array]:
    """Return the weights of the original pixels of one axis.

    Returns
    -------
    needed : slice
        Original pixels that `part` of the `n_out` new ones needs.
    weights : scipy.sparse.csr_array
        (new, original), float32, rows that sum to 1.
    """
    step = n_in / n_out
    reach = max(step, 1.0)
    centre = step * (np.arange(part.start, part.stop) + 0.5)
    first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + reach + 0.5).astype(np.int64), n_in)
    width = int((last - first).max())
    places = first[:, None] + np.arange(width)
    weights = np.maximum(1 - np.abs((places - centre[:, None] + 0.5) / reach), 0)
    weights[places >= last[:, None]] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    needed = slice(int(first[0]), int(last.max()))
    places = np.minimum(places, needed.stop - 1) - needed.start
    rows = np.repeat(np.arange(len(centre)), width)
    matrix = csr_array(
        (weights.ravel().astype(np.float32), (rows, places.ravel())), shape=(len(centre), needed.stop - needed.start)
    )
    return needed, matrix
