"""Measurements of labelled cells."""

from __future__ import annotations

import numpy as np


def measure(
    labels: np.ndarray,
    probability: np.ndarray | None = None,
    image: np.ndarray | None = None,
    pixel_size: tuple[float, float] | None = None,
) -> dict[str, np.ndarray]:
    """Measure every cell in one pass over the pixels.

    Parameters
    ----------
    labels : numpy.ndarray
        Whole numbers (Y, X), 0 = background.
    probability : numpy.ndarray, optional
        Foreground probability, (Y, X).
    image : numpy.ndarray, optional
        Raw image, (Y, X), or (Y, X, 3) of which the mean of the channels is taken.
    pixel_size : tuple of float, optional
        Height and width of a pixel in micrometres.

    Returns
    -------
    dict of str to numpy.ndarray
        One entry per column, each of length n_cells, in the order of rising ids. ``index`` (the id), ``area_px``:
        int64. ``centroid_y``, ``centroid_x`` (pixels; the first pixel's centre is 0), ``diameter_px`` (of the circle
        of equal area): float64. ``mean_probability``, ``mean_intensity``: float64, when the maps are given; a cell
        with NaN pixels has a mean of NaN. ``area_um2``, ``centroid_y_um``, ``centroid_x_um``, ``diameter_um``:
        float64, when the pixel size is given.

    Raises
    ------
    ValueError
        When shapes differ, labels are negative or not whole numbers, or the pixel size is not positive.
    """
    if labels.ndim != 2 or not (np.issubdtype(labels.dtype, np.integer) or labels.dtype == np.bool_):
        raise ValueError(f"labels must be whole numbers (Y, X), got {labels.dtype} {labels.shape}.")
    if probability is not None and probability.shape != labels.shape:
        raise ValueError(f"labels have shape {labels.shape} but probability has {probability.shape}.")
    if image is not None and (image.ndim not in (2, 3) or image.shape[:2] != labels.shape):
        raise ValueError(f"labels have shape {labels.shape} but the image has {image.shape}.")
    if pixel_size is not None and (len(pixel_size) != 2 or not all(0 < s < np.inf for s in pixel_size)):
        raise ValueError(f"pixel_size must be two positive lengths (Y, X) in micrometres, got {pixel_size!r}.")
    if labels.size and int(labels.min()) < 0:
        raise ValueError(f"labels must not be negative, got {int(labels.min())}.")

    inside = np.flatnonzero(labels)
    index, cell = number_ids(labels.ravel()[inside])
    n_cells = len(index)
    area = np.bincount(cell, minlength=n_cells)
    rows, columns = np.divmod(inside, max(labels.shape[1], 1))

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(cell, weights=values, minlength=n_cells) / area

    table: dict[str, np.ndarray] = {"index": index, "area_px": area.astype(np.int64)}
    table["centroid_y"], table["centroid_x"] = mean(rows), mean(columns)
    table["diameter_px"] = np.sqrt(4 / np.pi * area)
    if probability is not None:
        table["mean_probability"] = mean(probability.ravel()[inside])
    if image is not None:
        channels = image.shape[2] if image.ndim == 3 else 1
        pixels = image.reshape(labels.size, channels)[inside].astype(np.float64)
        table["mean_intensity"] = mean(pixels[:, 0] if channels == 1 else pixels.mean(axis=1))
    if pixel_size is not None:
        height, width = pixel_size
        table["area_um2"] = area * (height * width)
        table["centroid_y_um"] = table["centroid_y"] * height
        table["centroid_x_um"] = table["centroid_x"] * width
        table["diameter_um"] = np.sqrt(4 / np.pi * table["area_um2"])
    return table


def number_ids(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct ids, rising (int64), and for each given id its place among them (intp)."""
    top = int(ids.max(initial=0))
    if top > 4 * ids.size + 1000:  # a few large ids: a look-up table would not fit
        distinct, place = np.unique(ids, return_inverse=True)
        return distinct.astype(np.int64), place.astype(np.intp)
    present = np.zeros(top + 1, dtype=bool)
    present[ids.astype(np.intp, copy=False)] = True
    lookup = np.cumsum(present) - 1
    return np.flatnonzero(present), lookup[ids.astype(np.intp, copy=False)]
