"""Split a prediction into one basin per cell.

The centre distance is a landscape with one hill per cell. Every pixel climbs to the local maximum above it, which gives
one basin per maximum (watershed by steepest ascent); two basins whose lower peak does not stand ``prominence`` above
the saddle between them are then one. That is the h-maxima transform followed by a watershed (Soille, Morphological
Image Analysis, 2003), but the merging works on the graph of basins (topological persistence, Edelsbrunner et al.
2002) and the climbing by pointer doubling, without a queue of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from scipy.sparse import coo_array

from .params import SplitParams

_EIGHT = np.ones((3, 3), dtype=bool)
# Steps to half the neighbours of a pixel, by sides and by corners.
STRAIGHT, DIAGONAL = ((0, 1), (1, 0)), ((1, 1), (1, -1))


def split(
    probability: np.ndarray,
    distance: np.ndarray | None = None,
    params: SplitParams | None = None,
) -> np.ndarray:
    """Assign every pixel at or above the floor to a cell.

    Parameters
    ----------
    probability : numpy.ndarray
        Foreground probability, float (Y, X), 0 to 1. NaN counts as 0.
    distance : numpy.ndarray, optional
        Centre distance, float (Y, X), 1 at a cell's centre and 0 at its border. Without it (or with
        ``params.use_distance`` False) `foreground_landscape` takes its place.
    params : SplitParams, optional
        Defaults to ``SplitParams()``.

    Returns
    -------
    numpy.ndarray
        Basins, int32 (Y, X): 0 where the probability is below ``params.floor``, else 1 to n. Ids follow the
        raster order of each basin's first pixel. A connected region without any seed is one basin.

    Raises
    ------
    ValueError
        When a map is not two-dimensional, or the shapes differ.
    """
    params = params or SplitParams()
    return split_at(probability, distance, params, (params.prominence,))[0]


def split_at(
    probability: np.ndarray, distance: np.ndarray | None, params: SplitParams, prominences: Sequence[float]
) -> list[np.ndarray]:
    """Split at several prominences at once; the climbing, which takes most of the time, is done once.

    The basins of a larger prominence are unions of those of a smaller one, up to the order of equal saddles.
    """
    if probability.ndim != 2:
        raise ValueError(f"probability must be (Y, X), got shape {probability.shape}.")
    if distance is not None and distance.shape != probability.shape:
        raise ValueError(f"distance has shape {distance.shape} but probability has {probability.shape}.")
    probability = probability.astype(np.float32, copy=False)
    mask = probability >= np.float32(params.floor)
    if not mask.any():
        return [np.zeros(probability.shape, dtype=np.int32) for _ in prominences]
    if distance is None or not params.use_distance:
        landscape = foreground_landscape(probability)
    else:
        landscape = np.nan_to_num(distance.astype(np.float32, copy=False), nan=0.0, posinf=1.0, neginf=0.0)
        # Where the distance is flat, the probability decides.
        landscape = landscape + np.float32(1e-3) * probability
    if params.smoothing > 0:
        landscape = scipy.ndimage.gaussian_filter(
            np.nan_to_num(landscape, copy=False), params.smoothing, mode="nearest"
        )
    basins, tops = _climb(landscape, mask)
    is_seed = probability.ravel()[tops] > np.float32(params.seed_probability)
    heights = landscape.ravel()[tops]
    saddles = _saddles(basins, landscape)
    return [_in_raster_order(_merge(saddles, heights, is_seed, p)[basins]) for p in prominences]


def foreground_landscape(probability: np.ndarray) -> np.ndarray:
    """Landscape with one hill per cell from a foreground map alone.

    Half the logarithm of (1 + the distance in pixels to the nearest pixel below 0.5) plus the probability. The
    logarithm makes a neck count by how much narrower it is than the smaller of its two cells, at any cell size
    (a prominence of 0.1 is a neck about a fifth narrower); the probability adds the dip between cells.

    Parameters
    ----------
    probability : numpy.ndarray
        Foreground probability, float (Y, X), 0 to 1. NaN counts as 0.

    Returns
    -------
    numpy.ndarray
        float32 (Y, X), 0 and up.
    """
    probability = np.nan_to_num(probability.astype(np.float32, copy=False), nan=0.0, posinf=1.0, neginf=0.0)
    inside = probability >= np.float32(0.5)
    # Outside counts as background; otherwise an image that is all foreground would have no distance.
    distance = scipy.ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1].astype(np.float32)
    return np.float32(0.5) * np.log1p(distance) + probability


def neighbours(dy: int, dx: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the pixels of an image that have a neighbour one step further, and these neighbours."""
    here = (slice(0, -1 if dy else None), slice(max(-dx, 0), -dx if dx > 0 else None))
    there = (slice(dy, None), slice(max(dx, 0), dx if dx < 0 else None))
    return here, there


def _climb(landscape: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Basins of all local maxima, int32 (Y, X), and a flat pixel of each maximum; entry 0 stands for no basin."""
    height, width = landscape.shape
    stride = width + 2
    frame = np.full((height + 2, stride), -np.inf, dtype=np.float32)
    frame[1:-1, 1:-1][mask] = landscape[mask]
    flat = frame.ravel()
    places = np.flatnonzero(flat > -np.inf)
    highest, target = flat[places], places.copy()
    for step in (-stride - 1, -stride, -stride + 1, -1, 1, stride - 1, stride, stride + 1):
        there = places + step
        value = flat[there]
        higher = value > highest
        np.copyto(highest, value, where=higher)
        np.copyto(target, there, where=higher)

    is_top = np.zeros(flat.size, dtype=bool)
    is_top[places[target == places]] = True
    # Neighbours that are both maxima are of one height: one plateau, one basin.
    plateaus, n_tops = scipy.ndimage.label(is_top.reshape(frame.shape), structure=_EIGHT)

    order = np.empty(flat.size, dtype=np.int32 if flat.size < 2**31 else np.int64)
    order[places] = np.arange(len(places), dtype=order.dtype)
    up = order[target]
    while True:
        further = up[up]
        if np.array_equal(further, up):
            break
        up = further
    basins = np.zeros(frame.shape, dtype=np.int32)
    basins.ravel()[places] = plateaus.ravel()[places[up]]

    tops = np.zeros(n_tops + 1, dtype=np.int64)
    on_top = np.flatnonzero(plateaus)[::-1]
    rows, columns = np.divmod(on_top, stride)
    tops[plateaus.ravel()[on_top]] = (rows - 1) * width + columns - 1
    return np.ascontiguousarray(basins[1:-1, 1:-1]), tops


def _merge(
    saddles: tuple[np.ndarray, np.ndarray, np.ndarray], heights: np.ndarray, is_seed: np.ndarray, prominence: float
) -> np.ndarray:
    """Basin that each basin is merged into, int32 (n + 1,).

    From the highest saddle down, a basin without a seed joins its neighbour, and two with seeds become one when the
    lower peak stands at most `prominence` above the saddle.
    """
    n = len(heights)
    first, second, saddle = saddles
    # A pair of clear peaks cannot merge later: the peaks of merged basins only grow.
    lower = np.minimum(heights[first], heights[second])
    close = (lower - saddle <= prominence) | ~is_seed[first] | ~is_seed[second]
    first, second, saddle = first[close], second[close], saddle[close].astype(np.float64)
    if not len(first):
        return np.arange(n, dtype=np.int32)
    # Imported late: it takes a sixth of a second, which a window that opens has no need of.
    from scipy.sparse.csgraph import minimum_spanning_tree

    # Only the edges of the highest spanning tree matter. Weights start at 1: csgraph reads 0 as "no edge".
    highest = float(saddle.max())
    tree = minimum_spanning_tree(coo_array((1.0 + highest - saddle, (first, second)), shape=(n, n)).tocsr()).tocoo()
    order = np.lexsort((tree.col, tree.row, tree.data))
    edges = zip(
        tree.row[order].tolist(), tree.col[order].tolist(), (1.0 + highest - tree.data[order]).tolist(), strict=True
    )
    parent = list(range(n))
    peak = np.where(is_seed, heights, -np.inf).astype(np.float64).tolist()

    def root(basin: int) -> int:
        while parent[basin] != basin:
            parent[basin] = parent[parent[basin]]
            basin = parent[basin]
        return basin

    for a, b, height in edges:
        high, low = root(a), root(b)
        if (peak[high], -high) < (peak[low], -low):
            high, low = low, high
        if peak[low] - height <= prominence:  # without a seed the peak is minus infinity
            parent[low] = high
    return np.array([root(basin) for basin in range(n)], dtype=np.int32)


def _saddles(basins: np.ndarray, landscape: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Height of the highest pass between each pair of touching basins: (first, second, height), first < second."""
    firsts, seconds, heights = [], [], []
    for dy, dx in (*STRAIGHT, *DIAGONAL):
        here, there = neighbours(dy, dx)
        a, b = basins[here], basins[there]
        rows, columns = np.nonzero((a != b) & (a > 0) & (b > 0))
        a, b = a[rows, columns], b[rows, columns]
        firsts.append(np.minimum(a, b))
        seconds.append(np.maximum(a, b))
        heights.append(np.minimum(landscape[here][rows, columns], landscape[there][rows, columns]))
    first, second, height = np.concatenate(firsts), np.concatenate(seconds), np.concatenate(heights)
    order = np.lexsort((-height, second, first))
    first, second, height = first[order], second[order], height[order]
    is_best = np.ones(len(first), dtype=bool)
    is_best[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return first[is_best], second[is_best], height[is_best]


def _in_raster_order(basins: np.ndarray) -> np.ndarray:
    """Renumber basins 1 to n in the order of their first pixels."""
    flat = basins.ravel()
    places = np.flatnonzero(flat)
    first = np.full(int(flat.max(initial=0)) + 1, -1, dtype=np.int64)
    first[flat[places][::-1]] = places[::-1]
    used = np.flatnonzero(first >= 0)
    lookup = np.zeros(len(first), dtype=np.int32)
    lookup[used[np.argsort(first[used], kind="stable")]] = np.arange(1, len(used) + 1, dtype=np.int32)
    return lookup[basins]
