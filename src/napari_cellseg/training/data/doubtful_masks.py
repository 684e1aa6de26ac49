"""Masks whose ids do not look like one id per cell: classes, wrapped numbers, ids interpolated along edges."""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi
from skimage.measure import label as label_components

CLASSES_OR_CELLS = "are they classes instead of cells?"
_LEAST_PIXELS = 4
# A piece counts from this fraction of the median piece on.
_LEAST_FRACTION = 0.1
_FEW_IDS, _MANY_PIECES = 10, 3
_MOST_IDS_OF_8_BITS = 255
# Distance of two pieces of one id, in their own sizes, from which on they are no parts of one cell.
_FAR = 2.0
_MANY_THIN = 0.3


def doubtful_ids(labels: np.ndarray) -> list[str]:
    """Return sentences about ids that do not look like one id per cell; empty if they do.

    Parameters
    ----------
    labels : ndarray
        Whole numbers (Y, X), 0 is background.
    """
    n_ids = len(np.unique(labels[labels > 0]))
    if not n_ids:
        return []
    pieces = label_components(labels, connectivity=2, background=0)
    owners, areas, centres = _measured(labels, pieces)
    found = []
    if n_ids <= _FEW_IDS and len(owners) >= _MANY_PIECES * n_ids + 2:
        found.append(
            f"its {n_ids} ids lie in {len(owners)} separate pieces: {CLASSES_OR_CELLS} If every piece "
            "is a cell, choose that (Pieces are cells in the window, --classes on the command line)"
        )
    elif apart := _far_apart(owners, areas, centres):
        found.append(
            f"{len(apart)} of its {n_ids} ids lie in pieces far from each other, such as id {apart[0]}: give every "
            "cell an id of its own"
        )
    if n_ids == _MOST_IDS_OF_8_BITS and int(labels.max()) == _MOST_IDS_OF_8_BITS:
        found.append("it has exactly 255 ids, the most that 8 bits hold: if there are more cells, save it in 16 bits")
    n_thin = _n_thin(labels)
    if n_thin > _MANY_THIN * n_ids:
        found.append(
            f"{n_thin} of its {n_ids} ids are thin lines along others: it was resized or smoothed. Resize masks by "
            "nearest neighbour"
        )
    return found


def _measured(labels: np.ndarray, pieces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Id, area and centre of every piece that is large enough to count."""
    areas = np.bincount(pieces.ravel())[1:]
    rows, columns = np.nonzero(pieces)
    place = pieces[rows, columns] - 1
    owners = np.zeros(len(areas), np.int64)
    owners[place] = labels[rows, columns]
    centres = np.stack([np.bincount(place, where, len(areas)) / areas for where in (rows, columns)], axis=1)
    large = areas >= max(_LEAST_PIXELS, _LEAST_FRACTION * float(np.median(areas)))
    return owners[large], areas[large], centres[large]


def _far_apart(owners: np.ndarray, areas: np.ndarray, centres: np.ndarray) -> list[int]:
    """Ids whose two largest pieces lie far from each other."""
    order = np.lexsort((-areas, owners))
    owners, areas, centres = owners[order], areas[order], centres[order]
    first = np.flatnonzero(np.diff(owners, prepend=-1))
    several = first[np.diff(np.append(first, len(owners))) > 1]
    distances = np.hypot(*(centres[several] - centres[several + 1]).T)
    far = distances > _FAR * (np.sqrt(areas[several]) + np.sqrt(areas[several + 1]))
    return owners[several[far]].tolist()


def _n_thin(labels: np.ndarray) -> int:
    """Number of ids that are nowhere 3 pixels wide and touch another id along most of their pixels."""
    inner = (ndi.minimum_filter(labels, 3) == ndi.maximum_filter(labels, 3)) & (labels > 0)
    padded = np.pad(labels, 1)
    beside = np.zeros(labels.shape, bool)
    for y, x in ((0, 1), (2, 1), (1, 0), (1, 2)):
        other = padded[y : y + labels.shape[0], x : x + labels.shape[1]]
        beside |= (other > 0) & (other != labels)
    ids, numbered = np.unique(labels, return_inverse=True)
    numbered = numbered.reshape(-1)
    area, wide, touching = (
        np.bincount(numbered, weights, len(ids)) for weights in (None, inner.reshape(-1), beside.reshape(-1))
    )
    return int(np.count_nonzero((ids > 0) & (wide == 0) & (2 * touching > area)))
