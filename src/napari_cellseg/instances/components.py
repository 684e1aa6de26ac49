"""Count connected components, as projects without splitting do: touching cells count as one.

This reproduces the counts of such projects. All thresholds at once take one component tree (Salembier et al.,
Antiextensive connected operators for image and sequence processing, 1998): a node of the tree is a component that stays
the same over a range of thresholds.
"""

from __future__ import annotations

import numpy as np

from .levels import N_LEVELS, at_least, quantize, threshold_level


def component_labels(probability: np.ndarray, threshold: float, min_size: int = 0) -> np.ndarray:
    """Label the connected components of the foreground.

    Parameters
    ----------
    probability : numpy.ndarray
        Foreground probability, float (Y, X), 0 to 1.
    threshold : float
        Probability, 0 to 1, by the same rule as the sliders (256 levels).
    min_size : int
        Smallest area in pixels.

    Returns
    -------
    numpy.ndarray
        int32 (Y, X): 1 to n, 0 is background. Pixels that share a corner are connected.
    """
    from skimage.measure import label

    labels = label(quantize(probability) >= threshold_level(threshold), connectivity=2)
    areas = np.bincount(labels.ravel())
    keep = areas >= at_least(min_size)
    keep[0] = False
    ids = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    result: np.ndarray = ids[labels]
    return result


def component_counts(probability: np.ndarray, max_size: int, reviewed: np.ndarray | None = None) -> np.ndarray:
    """Count of components at each of the 256 levels and every smallest size.

    Parameters
    ----------
    probability : numpy.ndarray
        Float (Y, X), 0 to 1.
    max_size : int
        Sizes 0 to this many pixels, at least 1.
    reviewed : numpy.ndarray, optional
        Bool (Y, X): only components with more than half of their pixels inside are counted.

    Returns
    -------
    numpy.ndarray
        int32 (256, max_size + 1).
    """
    first, last, areas, inside = _nodes(quantize(probability), reviewed)
    counted = 2 * inside > areas
    first, last, areas = first[counted], last[counted], np.minimum(areas[counted], max_size)
    # +1 where a component starts and -1 after its last level: the cumulative sums over levels are the counts.
    change = np.bincount(first * (max_size + 1) + areas, minlength=(N_LEVELS + 1) * (max_size + 1))
    change -= np.bincount((last + 1) * (max_size + 1) + areas, minlength=(N_LEVELS + 1) * (max_size + 1))
    of_size = np.cumsum(change.reshape(N_LEVELS + 1, max_size + 1)[:N_LEVELS], axis=0)
    return np.cumsum(of_size[:, ::-1], axis=1)[:, ::-1].astype(np.int32)


def _nodes(levels: np.ndarray, reviewed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per component: first and last level at which it exists, its area, and its area inside the reviewed part."""
    from skimage.morphology import max_tree

    parent, _ = max_tree(levels, connectivity=2)
    parent, flat = parent.ravel(), levels.ravel()
    pixels = np.arange(flat.size)
    canonical = (flat[parent] != flat) | (parent == pixels)
    node = np.where(canonical, pixels, parent)
    areas = np.bincount(node, minlength=flat.size)
    inside = areas.copy() if reviewed is None else np.bincount(node[reviewed.ravel()], minlength=flat.size)
    ids = np.flatnonzero(canonical)
    order = ids[np.argsort(flat[ids], kind="stable")]
    starts = np.searchsorted(flat[order], np.arange(N_LEVELS + 1))
    for level in range(N_LEVELS - 1, 0, -1):
        here = order[starts[level] : starts[level + 1]]
        here = here[parent[here] != here]
        for values in (areas, inside):
            np.add.at(values, parent[here], values[here])
    first = np.where(parent[ids] == ids, 0, flat[parent[ids]].astype(np.int64) + 1)
    return first, flat[ids].astype(np.int64), areas[ids], inside[ids]
