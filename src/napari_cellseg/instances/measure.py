"""Measurements of labelled cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .hulls import hull_areas
from .shapes import boxes, circularities, ellipses, perimeters


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
        One entry per column, each of length n_cells, in the order of ascending ids. ``index`` (the id), ``area_px``:
        int64. ``centroid_y``, ``centroid_x`` (pixels; the first pixel's centre is 0), ``diameter_px`` (of the circle
        of equal area): float64. ``mean_probability``, ``mean_intensity``: float64, when the maps are given; the
        latter over the cell's finite pixels, NaN where it has none. ``area_um2``, ``centroid_y_um``,
        ``centroid_x_um``, ``diameter_um``: float64, when the pixel size is given.

    Raises
    ------
    ValueError
        When shapes differ, labels are negative or not whole numbers, or the pixel size is not positive.
    """
    check_labels(labels)
    if probability is not None and probability.shape != labels.shape:
        raise ValueError(f"labels have shape {labels.shape} but probability has {probability.shape}.")
    if image is not None and (image.ndim not in (2, 3) or image.shape[:2] != labels.shape):
        raise ValueError(f"labels have shape {labels.shape} but the image has {image.shape}.")
    _check_pixel_size(pixel_size)

    inside = np.flatnonzero(labels)
    index, cell = number_ids(labels.ravel()[inside])
    n_cells = len(index)
    area = np.bincount(cell, minlength=n_cells)
    rows, columns = np.divmod(inside, max(labels.shape[1], 1))

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(cell, weights=values, minlength=n_cells) / area

    table: dict[str, np.ndarray] = {"index": index, "area_px": area.astype(np.int64)}
    table["centroid_y"], table["centroid_x"] = mean(rows), mean(columns)
    table["diameter_px"] = disc_diameter(area)
    if probability is not None:
        table["mean_probability"] = mean(probability.ravel()[inside])
    if image is not None:
        channels = image.shape[2] if image.ndim == 3 else 1
        pixels = image.reshape(labels.size, channels)[inside].astype(np.float64)
        # Infinities of both signs in one pixel have no mean; the pixel is skipped like any other infinite one.
        with np.errstate(invalid="ignore"):
            values, of = _finite(pixels[:, 0] if channels == 1 else pixels.mean(axis=1), cell)
        table["mean_intensity"] = _shares(np.bincount(of, values, n_cells), np.bincount(of, minlength=n_cells))
    if pixel_size is not None:
        height, width = pixel_size
        table["area_um2"] = area * (height * width)
        table["centroid_y_um"] = table["centroid_y"] * height
        table["centroid_x_um"] = table["centroid_x"] * width
        table["diameter_um"] = disc_diameter(table["area_um2"])
    return table


def shape_columns(labels: np.ndarray, pixel_size: tuple[float, float] | None = None) -> dict[str, np.ndarray]:
    """Measure position and shape of every cell as scikit-image's `regionprops` does, in a fraction of its time.

    Parameters
    ----------
    labels : numpy.ndarray
        Whole numbers (Y, X), 0 = background.
    pixel_size : tuple of float, optional
        Height and width of a pixel in micrometres.

    Returns
    -------
    dict of str to numpy.ndarray
        One entry per column, in the order of ascending ids. ``bbox_top``, ``bbox_left``, ``bbox_bottom``,
        ``bbox_right``: int64, the smallest rectangle around the cell, of which bottom and right lie just outside;
        ``touches_edge``: bool, whether that rectangle reaches the edge of the image, where the cell may be cut off.
        ``perimeter_px``, ``axis_major_px``, ``axis_minor_px`` (of the ellipse with the same second moments),
        ``eccentricity``, ``orientation`` (radians between the rows' axis and the major axis, -pi/2 to pi/2,
        counter-clockwise; with a pixel size both are those of the cell in micrometres), ``circularity`` (4 pi area /
        perimeter², with the perimeter of Crofton's formula: about 1 for a disc; pixels count as square), ``solidity``
        (share of the convex hull that is filled), ``extent`` (of the rectangle):
        float64. ``perimeter_um``, ``axis_major_um``, ``axis_minor_um``: float64, when the pixel size is given;
        ``perimeter_um`` is NaN where pixels are not square.

    Raises
    ------
    ValueError
        When `labels` is not a label image, or the pixel size is not positive.
    """
    check_labels(labels)
    _check_pixel_size(pixel_size)
    # Numbered without gaps, because a few large ids would cost memory and time.
    numbered = np.zeros(labels.shape, np.int32)
    inside = np.flatnonzero(labels)
    ids, places = number_ids(labels.ravel()[inside])
    numbered.ravel()[inside] = places + 1
    n_cells = len(ids)
    corner = boxes(numbered, n_cells)
    area = np.bincount(places, minlength=n_cells)
    major, minor, _ = in_pixels = ellipses(numbered, n_cells)
    # As they lie under the microscope: pixels that are not square turn and stretch the ellipses.
    shape_major, shape_minor, orientation = in_pixels if pixel_size is None else ellipses(numbered, n_cells, pixel_size)
    table = dict(zip(("bbox_top", "bbox_left", "bbox_bottom", "bbox_right"), corner.T, strict=True))
    table["perimeter_px"] = perimeters(numbered, n_cells)
    table["axis_major_px"], table["axis_minor_px"] = major, minor
    with np.errstate(invalid="ignore", divide="ignore"):
        table["eccentricity"] = np.where(shape_major > 0, np.sqrt(1 - (shape_minor / shape_major) ** 2), 0.0)
    table["orientation"] = orientation
    table["solidity"] = area / hull_areas(numbered, n_cells)
    table["circularity"] = circularities(numbered, area)
    table["extent"] = area / ((corner[:, 2] - corner[:, 0]) * (corner[:, 3] - corner[:, 1]))
    height, width = labels.shape
    at_low = (table["bbox_top"] == 0) | (table["bbox_left"] == 0)
    table["touches_edge"] = at_low | (table["bbox_bottom"] == height) | (table["bbox_right"] == width)
    if pixel_size is not None:
        square = pixel_size[0] == pixel_size[1]
        table["perimeter_um"] = table["perimeter_px"] * (pixel_size[0] if square else np.nan)
        table["axis_major_um"], table["axis_minor_um"] = shape_major, shape_minor
    return table


def intensity_columns(labels: np.ndarray, channels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Measure the brightness of every cell in every channel.

    Parameters
    ----------
    labels : numpy.ndarray
        Whole numbers (Y, X), 0 = background.
    channels : mapping of str to numpy.ndarray
        Names and raw planes, (Y, X) each. The name "" adds nothing to the column names.

    Returns
    -------
    dict of str to numpy.ndarray
        ``intensity_mean_NAME``, ``intensity_min_NAME``, ``intensity_max_NAME``, ``intensity_std_NAME``: float64, one
        entry per cell in the order of ascending ids. The standard deviation is that of the pixels (divided by their
        number). NaN and infinite pixels are skipped; a cell without a finite pixel has NaN in all columns.

    Raises
    ------
    ValueError
        When shapes differ, or `labels` is not a label image.
    """
    check_labels(labels)
    inside = np.flatnonzero(labels)
    index, cell = number_ids(labels.ravel()[inside])
    order = np.argsort(cell, kind="stable")
    table = {}
    for name, plane in channels.items():
        if plane.shape != labels.shape:
            raise ValueError(f"labels have shape {labels.shape} but channel {name!r} has {plane.shape}.")
        end = f"_{name}" if name else ""
        values, of = _finite(plane.ravel()[inside].astype(np.float64), cell)
        by_cell = order if of is cell else np.argsort(of, kind="stable")
        for what, column in _statistics(values, of, by_cell, len(index)).items():
            table[f"intensity_{what}{end}"] = column
    return table


def _finite(values: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the finite values and their cells."""
    finite = np.isfinite(values)
    return (values, cell) if finite.all() else (values[finite], cell[finite])


def _shares(sums: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Sums divided by numbers; NaN where a number is 0."""
    return np.divide(sums, numbers, out=np.full(len(sums), np.nan), where=numbers > 0)


def _statistics(values: np.ndarray, cell: np.ndarray, order: np.ndarray, n_cells: int) -> dict[str, np.ndarray]:
    """Mean, extremes and standard deviation of every cell, NaN without a value; `order` sorts values by cells."""
    numbers = np.bincount(cell, minlength=n_cells)
    mean = _shares(np.bincount(cell, values, n_cells), numbers)
    spread = np.sqrt(_shares(np.bincount(cell, (values - mean[cell]) ** 2, n_cells), numbers))
    some = np.flatnonzero(numbers)
    least, most = np.full(n_cells, np.nan), np.full(n_cells, np.nan)
    if len(some):
        begin = (np.cumsum(numbers) - numbers)[some]
        ordered = values[order]
        least[some], most[some] = np.minimum.reduceat(ordered, begin), np.maximum.reduceat(ordered, begin)
    return {"mean": mean, "min": least, "max": most, "std": spread}


def check_labels(labels: np.ndarray) -> None:
    """Raise ValueError unless an array is a label image: whole numbers (Y, X), 0 or more."""
    if labels.ndim != 2 or not (np.issubdtype(labels.dtype, np.integer) or labels.dtype == np.bool_):
        raise ValueError(f"labels must be whole numbers (Y, X), got {labels.dtype} {labels.shape}.")
    if labels.size and int(labels.min()) < 0:
        raise ValueError(f"labels must not be negative, got {int(labels.min())}.")


def _check_pixel_size(pixel_size: tuple[float, float] | None) -> None:
    if pixel_size is not None and (len(pixel_size) != 2 or not all(0 < s < np.inf for s in pixel_size)):
        raise ValueError(f"pixel_size must be two positive lengths (Y, X) in micrometres, got {pixel_size!r}.")


def disc_diameter(area: Any) -> Any:
    """Return the diameter of a disc of this area, a number or an array, in the unit of length of the area."""
    return np.sqrt(4 / np.pi * area)


def typical_diameter(labels: np.ndarray) -> float | None:
    """Return the diameter in pixels of a disc as large as the median cell; None without a cell."""
    areas = np.bincount(labels.ravel())[1:]
    areas = areas[areas > 0]
    return float(disc_diameter(np.median(areas))) if len(areas) else None


def number_ids(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct ids, ascending (int64), and for each given id its position among them (intp)."""
    top = int(ids.max(initial=0))
    if top > 4 * ids.size + 1000:  # a few large ids: a look-up table would not fit
        distinct, place = np.unique(ids, return_inverse=True)
        return distinct.astype(np.int64), place.astype(np.intp)
    present = np.zeros(top + 1, dtype=bool)
    present[ids.astype(np.intp, copy=False)] = True
    lookup = np.cumsum(present) - 1
    return np.flatnonzero(present), lookup[ids.astype(np.intp, copy=False)]
