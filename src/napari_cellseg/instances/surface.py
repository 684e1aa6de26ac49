"""Counts and average precision at every threshold and smallest size, from tables without any label image.

`Instances` holds the area of every cell at each of the 256 levels. Their histogram gives the count for every
(threshold, size) at once. The overlap of each basin with each true cell by level gives the same for matching cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .levels import N_LEVELS
from .live import Instances

_HALF = 0.5


def count_surface(instances: Instances, max_size: int, reviewed: np.ndarray | None = None) -> np.ndarray:
    """Count at each of the 256 levels and every smallest size.

    Parameters
    ----------
    instances : Instances
    max_size : int
        Sizes 0 to this many pixels, at least 1.
    reviewed : numpy.ndarray, optional
        Bool (Y, X): only cells with more than half of their pixels inside are counted.

    Returns
    -------
    numpy.ndarray
        int32 (256, max_size + 1); ``[threshold_level(t), s]`` is ``instances.count(t, s)``.
    """
    return _counts(_counted_areas(instances, reviewed), max_size).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Overlap of the cells of one image with the true ones, by level.

    Attributes
    ----------
    areas : numpy.ndarray
        int64 (256, n): area of every cell, 0 where it is not counted.
    cell, true : numpy.ndarray
        int64 (p,): the pairs that overlap, counted from 0.
    iou : numpy.ndarray
        float64 (256, p).
    n_true : int
    """

    areas: np.ndarray
    cell: np.ndarray
    true: np.ndarray
    iou: np.ndarray
    n_true: int


def overlaps(instances: Instances, labels_true: np.ndarray, reviewed: np.ndarray | None = None) -> Overlaps:
    """Measure the overlap of every basin with every true cell at all levels.

    Parameters
    ----------
    instances : Instances
    labels_true : numpy.ndarray
        Whole numbers (Y, X), 0 = background; only cells that are counted.
    reviewed : numpy.ndarray, optional
        Bool (Y, X): only predicted cells with more than half of their pixels inside are counted.

    Raises
    ------
    ValueError
        When the shapes differ.
    """
    if labels_true.shape != instances.shape:
        raise ValueError(f"True labels have shape {labels_true.shape}, the prediction {instances.shape}.")
    ids, true = np.unique(labels_true, return_inverse=True)
    true = true.reshape(labels_true.shape) + (0 if len(ids) and ids[0] == 0 else 1)
    n_true = int(true.max(initial=0))
    area_true = np.bincount(true.ravel(), minlength=n_true + 1)
    both = (true > 0) & (instances.basins > 0)
    keys, pair = np.unique(instances.basins[both].astype(np.int64) * (n_true + 1) + true[both], return_inverse=True)
    cell, partner = np.divmod(keys, n_true + 1)
    histogram = np.bincount(
        instances.levels[both].astype(np.int64) * len(keys) + pair, minlength=N_LEVELS * len(keys)
    ).reshape(N_LEVELS, len(keys))
    shared = np.cumsum(histogram[::-1], axis=0)[::-1]
    areas = _counted_areas(instances, reviewed)
    own = areas[:, cell - 1]
    iou = np.where(own > 0, shared / np.maximum(own + area_true[partner] - shared, 1), 0.0)
    return Overlaps(areas, cell - 1, partner - 1, iou, n_true)


def precision_surface(found: Overlaps, max_size: int, ious: Sequence[float]) -> np.ndarray:
    """Average precision, TP / (TP + FP + FN), at each level and smallest size, as mean over IoU thresholds.

    Parameters
    ----------
    found : Overlaps
    max_size : int
        Sizes 0 to this many pixels, at least 1.
    ious : sequence of float
        IoU thresholds, 0.5 to 1.

    Returns
    -------
    numpy.ndarray
        float64 (256, max_size + 1), as `match` gives for these labels; 1 if there are no true and no found cells.
    """
    if not ious or min(ious) < _HALF:
        raise ValueError(f"IoU thresholds must be 0.5 or more, so that a cell has one partner; got {tuple(ious)}.")
    n_found = _counts(found.areas, max_size)
    total = np.zeros(n_found.shape)
    for iou in ious:
        hits = _one_to_one(found, iou)
        matched = _counts(np.where(hits, found.areas[:, found.cell], 0), max_size)
        union = n_found + found.n_true - matched
        total += np.where(union > 0, matched / np.maximum(union, 1), 1.0)
    return total / len(ious)


def _one_to_one(found: Overlaps, threshold: float) -> np.ndarray:
    """Which pairs match, bool (256, p). Above one half a cell has at most one partner; at exactly one half, two."""
    hits = found.iou >= threshold
    if threshold > _HALF:
        return hits
    for one_side in (found.true, found.cell):
        level, pair = np.nonzero(hits & (found.iou == _HALF))
        # The largest first: it is kept longest as the smallest size increases.
        order = np.lexsort((-found.areas[level, found.cell[pair]], one_side[pair], level))
        level, pair = level[order], pair[order]
        again = (np.diff(level, prepend=-1) == 0) & (np.diff(one_side[pair], prepend=-1) == 0)
        hits[level[again], pair[again]] = False
    return hits


def _counted_areas(instances: Instances, reviewed: np.ndarray | None) -> np.ndarray:
    areas = instances.areas_by_level(np.arange(1, instances.n_basins + 1))
    if reviewed is None:
        return areas
    n = instances.n_basins
    here = reviewed & (instances.basins > 0)
    keys = instances.levels[here].astype(np.int64) * n + instances.basins[here] - 1
    inside = np.cumsum(np.bincount(keys, minlength=N_LEVELS * n).reshape(N_LEVELS, n)[::-1], axis=0)[::-1]
    return np.where(2 * inside > areas, areas, 0)


def _counts(areas: np.ndarray, max_size: int) -> np.ndarray:
    """Number of areas that reach each size, int64 (256, max_size + 1); an area of 0 is never counted."""
    if max_size < 1:
        raise ValueError(f"max_size must be 1 pixel or more, got {max_size!r}.")
    keys = np.arange(N_LEVELS)[:, None] * (max_size + 1) + np.minimum(areas, max_size)
    histogram = np.bincount(keys.ravel(), minlength=N_LEVELS * (max_size + 1)).reshape(N_LEVELS, max_size + 1)
    histogram[:, 0] = 0
    return np.cumsum(histogram[:, ::-1], axis=1)[:, ::-1]
