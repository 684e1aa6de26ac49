"""Cells of a block of an image that is too large to be split at once.

A block is split together with a margin around it. It owns the cells whose peak, the pixel of the highest centre
distance, lies in the block itself, together with their pixels beyond its edge. So every cell has exactly one owner,
which sees all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..imaging.regions import Region, grown
from .filters import NO_FILTERS, Filters
from .live import Instances
from .params import SplitParams
from .prediction import Prediction


@dataclass(frozen=True)
class Block:
    """A part of the plane; the blocks cover each pixel once, in row-major order.

    Attributes
    ----------
    index : int
    core : (slice, slice)
        In pixels of the plane.
    """

    index: int
    core: Region

    def window(self, margin: int, shape: tuple[int, int]) -> Region:
        """Region of the block with a margin, within the plane."""
        return grown(self.core, margin, shape)


@dataclass(frozen=True, eq=False)
class Owned:
    """The cells that a block owns.

    Attributes
    ----------
    labels : numpy.ndarray
        int32, of the window's size: 1 to n, 0 elsewhere.
    n_cells : int
    cut : bool
        Whether one of them reaches an edge of the window inside the plane: the margin is too small.
    others : numpy.ndarray
        Bool, pixels of cells of other blocks.
    """

    labels: np.ndarray
    n_cells: int
    cut: bool
    others: np.ndarray


def plan_blocks(shape: tuple[int, int], side: int) -> list[Block]:
    """Cover a plane with square blocks; those at the far edges are smaller."""
    height, width = shape
    cores = [
        (slice(y, min(y + side, height)), slice(x, min(x + side, width)))
        for y in range(0, height, side)
        for x in range(0, width, side)
    ]
    return [Block(i, core) for i, core in enumerate(cores)]


def owned_cells(
    prediction: Prediction,
    params: SplitParams,
    threshold: float,
    min_size: int,
    window: Region,
    core: Region,
    shape: tuple[int, int],
    filters: Filters = NO_FILTERS,
    image: np.ndarray | None = None,
    reach: int = 0,
) -> Owned:
    """Split a window and keep the cells that its block owns.

    Parameters
    ----------
    prediction : Prediction
        Of the window.
    params : SplitParams
    threshold : float
    min_size : int
        Smallest area of a whole cell, in pixels.
    window, core : (slice, slice)
        In pixels of the plane; the core lies in the window.
    shape : tuple of int
        (Y, X) of the plane.
    filters : Filters
    image : numpy.ndarray, optional
        Raw pixels of the window: what filters by intensity measure.
    reach : int
        How many pixels around its cells a block needs to see.
    """
    instances = Instances.from_prediction(prediction, params)
    labels = instances.labels(threshold, 0)
    tops = _tops(labels, prediction, instances.n_basins)
    rows, columns = np.divmod(tops, labels.shape[1])
    mine = tops >= 0
    for place, inside, around in zip((rows, columns), core, window, strict=True):
        mine &= (place + around.start >= inside.start) & (place + around.start < inside.stop)
    cut = bool(mine[_at_open_edges(labels, window, shape, reach)].any())
    height, width = (slice(-part.start, n - part.start) for part, n in zip(window, shape, strict=True))
    counts = np.zeros(len(mine), bool)
    counts[1:] = instances.filtered(filters, image, (height, width)).keep(threshold, min_size)
    kept = np.flatnonzero(mine & counts)
    lookup = np.zeros(len(mine), np.int32)
    lookup[kept] = np.arange(1, len(kept) + 1, dtype=np.int32)
    return Owned(lookup[labels], len(kept), cut, (counts & ~mine)[labels])


def _tops(labels: np.ndarray, prediction: Prediction, n_basins: int) -> np.ndarray:
    """Flat index of the highest pixel of every cell, the first of equal ones; -1 for ids without a pixel."""
    height = prediction.probability if prediction.distance is None else prediction.distance
    inside = np.flatnonzero(labels)
    ids = labels.ravel()[inside].astype(np.intp)
    values = np.nan_to_num(height.ravel()[inside], nan=-1.0)
    highest = np.full(n_basins + 1, -np.inf, np.float32)
    np.maximum.at(highest, ids, values)
    at_top = np.flatnonzero(values == highest[ids])[::-1]
    tops = np.full(n_basins + 1, -1, np.int64)
    tops[ids[at_top]] = inside[at_top]
    return tops


def _at_open_edges(labels: np.ndarray, window: Region, shape: tuple[int, int], reach: int) -> np.ndarray:
    """Ids at the edges of the window inside the plane, or within `reach` pixels of them."""
    edges = [
        labels[: 1 + reach] if window[0].start > 0 else None,
        labels[-1 - reach :] if window[0].stop < shape[0] else None,
        labels[:, : 1 + reach] if window[1].start > 0 else None,
        labels[:, -1 - reach :] if window[1].stop < shape[1] else None,
    ]
    found = [np.unique(edge) for edge in edges if edge is not None]
    ids = np.unique(np.concatenate(found)) if found else np.zeros(0, np.intp)
    return ids[ids > 0].astype(np.intp)
