"""Measures of how certain a predicted cell is, one number per cell; `doubt` weighs them."""

from __future__ import annotations

import numpy as np

from ..instances.live import Instances
from ..instances.params import SplitParams
from ..instances.prediction import Prediction
from ..instances.split import split_at

PARTS = (
    "unstable",
    "unsure",
    "near_minimum",
    "small",
    "large",
    "dent",
    "edge",
    "touching",
    "two_peaks",
    "joins",
)
MISSED_PARTS = ("level", "certainty", "size", "peak", "dent")
_FINE = np.linspace(0.0, 1.0, 33)


def cell_parts(
    instances: Instances,
    prediction: Prediction,
    params: SplitParams | None,
    threshold: float,
    min_size: int,
    labels: np.ndarray,
    ids: np.ndarray,
) -> dict[str, np.ndarray]:
    """Measure the cells `ids` of `instances` as they are shown in `labels`.

    Parameters
    ----------
    instances : Instances
        Areas of every basin at any threshold.
    prediction : Prediction
    params : SplitParams, optional
        How `instances` was split.
    threshold, min_size
        Values of the sliders.
    labels : numpy.ndarray
        Whole numbers (Y, X), as shown; may hold other ids too, which count as neighbours.
    ids : numpy.ndarray
        int64 (n,), rising: basins that are shown.

    Returns
    -------
    dict of str to numpy.ndarray
        float64 (n,), 0 and up, for each of `PARTS`. ``unstable``: how fast its area changes with the threshold.
        ``unsure``: mean entropy of its pixels in bits.
        ``near_minimum``: minimum size over its area. ``small``, ``large``: distance from the median size of the image
        in robust standard deviations of the logarithm. ``dent``: how much larger the ellipse of equal moments is.
        ``edge``, ``touching``: share of the outline at the image's edge, and at other cells. ``two_peaks``: part that
        would be cut off if smaller dips split cells. ``joins``: part of others in its basin if only deeper dips did.
    """
    if not len(ids):
        return {name: np.zeros(0) for name in PARTS}
    parts = _from_levels(instances, threshold, min_size, ids)
    parts |= _from_pixels(prediction, labels, ids)
    parts |= _from_splits(prediction, params or SplitParams(), labels, ids)
    return {name: parts[name] for name in PARTS}


def missed_parts(
    instances: Instances,
    prediction: Prediction,
    typical_area: float,
    min_size: int,
    labels: np.ndarray,
    ids: np.ndarray,
) -> dict[str, np.ndarray]:
    """Measure cells that are not shown but would be at a lower threshold or minimum size.

    Parameters
    ----------
    instances, prediction, min_size
        As `cell_parts`.
    typical_area : float
        Median area of the cells that are shown, in pixels.
    labels : numpy.ndarray
        As shown at the lower settings.
    ids : numpy.ndarray
        int64 (n,), rising.

    Returns
    -------
    dict of str to numpy.ndarray
        float64 (n,) for each of `MISSED_PARTS`: the threshold at which it goes, 1 - mean entropy, size (the smaller of
        area and typical area over the larger), highest centre distance, ``dent``. And the centroid, ``y`` and ``x``.
    """
    if not len(ids):
        return {name: np.zeros(0) for name in (*MISSED_PARTS, "y", "x")}
    pixels = _from_pixels(prediction, labels, ids)
    ratio = pixels["area"] / max(typical_area, 1.0)
    return {
        "level": _last_level(instances, max(min_size // 2, 1), ids),
        "certainty": 1 - pixels["unsure"],
        "size": np.minimum(ratio, 1 / ratio),
        "peak": pixels["peak"],
        "dent": pixels["dent"],
        "y": pixels["y"],
        "x": pixels["x"],
    }


def _last_level(instances: Instances, area: float, ids: np.ndarray) -> np.ndarray:
    """Highest threshold at which a basin has this area; in steps of 1/32."""
    last = np.zeros(len(ids))
    for t in _FINE:
        last[instances.areas(t)[ids - 1] >= area] = t
    return last


def _from_levels(instances: Instances, threshold: float, min_size: int, ids: np.ndarray) -> dict[str, np.ndarray]:
    """Stability and size from the level table: no pixel is touched."""
    area = np.maximum(instances.areas(threshold)[ids - 1], 1)
    low = instances.areas(max(threshold - 0.25, 0.0))[ids - 1]
    high = instances.areas(min(threshold + 0.25, 1.0))[ids - 1]
    size = np.log(area)
    middle = np.median(size)
    spread = max(1.4826 * float(np.median(np.abs(size - middle))), 0.2)
    odd = np.clip((size - middle) / spread, -6, 6)
    smallest = max(min_size, 1)
    return {
        "unstable": np.log(np.maximum(low, area) / np.maximum(high, 0.1 * area)),
        "near_minimum": np.minimum(smallest / area, 1),
        "small": np.maximum(-odd, 0),
        "large": np.maximum(odd, 0),
    }


def _from_pixels(prediction: Prediction, labels: np.ndarray, ids: np.ndarray) -> dict[str, np.ndarray]:
    """Entropy, shape and neighbours: sums over the pixels of every cell, in one pass over the foreground."""
    height, width = labels.shape
    lookup = np.full(int(max(labels.max(initial=0), ids[-1])) + 1, -1, dtype=np.int64)
    lookup[ids] = np.arange(len(ids))
    y, x = np.nonzero(labels)
    cell = lookup[labels[y, x]]
    y, x, cell = y[cell >= 0], x[cell >= 0], cell[cell >= 0]

    def total(values: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(cell, weights=values, minlength=len(ids))

    area = np.maximum(total(), 1)
    p = np.clip(np.nan_to_num(prediction.probability[y, x]).astype(np.float64), 1e-6, 1 - 1e-6)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    cy, cx = total(y) / area, total(x) / area
    dy, dx = y - cy[cell], x - cx[cell]
    # A pixel is a square: its own moment keeps a line of one pixel from having no area.
    yy, xx, xy = total(dy * dy) / area + 1 / 12, total(dx * dx) / area + 1 / 12, total(dy * dx) / area
    ellipse = 4 * np.pi * np.sqrt(np.maximum(yy * xx - xy * xy, 0))
    here = labels[y, x]
    outline, beside, outside = np.zeros(len(y)), np.zeros(len(y)), np.zeros(len(y))
    for step_y, step_x in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        to_y, to_x = y + step_y, x + step_x
        off = (to_y < 0) | (to_x < 0) | (to_y >= height) | (to_x >= width)
        there = np.where(off, 0, labels[np.clip(to_y, 0, height - 1), np.clip(to_x, 0, width - 1)])
        outline += there != here
        beside += (there != here) & (there > 0)
        outside += off
    peak = np.zeros(len(ids))
    if prediction.distance is not None:
        np.maximum.at(peak, cell, np.nan_to_num(prediction.distance[y, x]).astype(np.float64))
    border = np.maximum(total(outline), 1)
    return {
        "unsure": total(entropy) / area,
        "dent": np.clip(ellipse / area - 1, 0, 2),
        "edge": total(outside) / border,
        "touching": total(beside) / border,
        "area": area,
        "peak": np.clip(peak, 0, 1),
        "y": cy,
        "x": cx,
    }


def _from_splits(
    prediction: Prediction, params: SplitParams, labels: np.ndarray, ids: np.ndarray
) -> dict[str, np.ndarray]:
    """Compare a cell with the basins at smaller and larger prominences."""
    p = params.prominence
    steps = (p / 4, p / 2, min(2 * p, 1.0), min(4 * p, 1.0))
    basins = split_at(prediction.probability, prediction.distance, params, steps)
    shown = np.flatnonzero(labels)
    cells = labels.ravel()[shown].astype(np.int64)
    parted = [_largest_part(cells, other.ravel()[shown], ids) for other in basins]
    return {
        "two_peaks": sum((1 - in_largest for in_largest, _ in parted[:2]), np.zeros(len(ids))),
        "joins": sum((1 - of_largest for _, of_largest in parted[2:]), np.zeros(len(ids))),
    }


def _largest_part(cells: np.ndarray, basins: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the basin that holds most of each cell: share of the cell in it, and of its labelled pixels in the cell."""
    n = int(basins.max(initial=0)) + 1
    keys, pixels = np.unique(cells * n + basins, return_counts=True)
    cell, basin = np.divmod(keys, n)
    order = np.lexsort((-pixels, cell))
    first = order[np.flatnonzero(np.diff(cell[order], prepend=-1))]
    place = np.searchsorted(cell[first], ids)
    largest = first[place]
    in_cell = np.bincount(cell, weights=pixels)[ids]
    in_basin = np.bincount(basin, weights=pixels)[basin[largest]]
    return pixels[largest] / in_cell, pixels[largest] / in_basin
