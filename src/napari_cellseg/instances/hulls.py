"""Convex hulls of all cells at once, at one level or at every level, in passes over arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .levels import N_LEVELS


def hull_areas(labels: np.ndarray, n_cells: int) -> np.ndarray:
    """Pixels of each cell's convex hull, int64 (n,); 0 of a cell without a pixel.

    The hull is that of the middles of all pixel sides, and a pixel belongs to it with its centre, as in scikit-image's
    `convex_hull_image`. All numbers are whole (in half pixels), so nothing is rounded.

    Parameters
    ----------
    labels : numpy.ndarray
        Whole numbers (Y, X), 0 = no cell, 1 to n.
    n_cells : int
    """
    return _Corners.from_ends(_ends(labels, labels > 0, n_cells)[1], n_cells).hull().areas()


def hull_areas_by_level(levels: np.ndarray, basins: np.ndarray, n_basins: int) -> np.ndarray:
    """Pixels of the convex hull of each basin at or above each level, as `hull_areas`; int64 (256, n).

    From the highest level down, a hull is that of the corners of the hull above and of the pixels that come in.
    """
    at, ends = _ends(basins, levels, n_basins)
    order = np.argsort(at, kind="stable")
    start = np.searchsorted(at[order], np.arange(N_LEVELS + 1))
    found = np.zeros((N_LEVELS, n_basins), np.int64)
    hulls, area = _Corners.from_ends(ends[:, :0], n_basins), np.zeros(n_basins, np.int64)
    for level in range(N_LEVELS - 1, -1, -1):
        new = order[start[level] : start[level + 1]]
        if len(new):
            added = _Corners.from_ends(ends[:, new], n_basins)
            changed = np.zeros((2, n_basins), bool)
            changed[:, added.chains % n_basins] = True
            mine = changed.ravel()[hulls.chains]
            moved = hulls.those(mine).joined(added).hull()
            area = np.where(changed[0], moved.areas(), area)
            hulls = hulls.those(~mine).joined(moved)
        found[level] = area
    return found


def _ends(labels: np.ndarray, levels: np.ndarray, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels beside which, to the left or to the right, there is none of their cell that is as high.

    Returns
    -------
    levels : numpy.ndarray
        Of ends to the left, then of those to the right.
    ends : numpy.ndarray
        Their chains, rows and columns, int64 (3, m); those to the right have chains that are higher by n, and negative
        columns.
    """
    at, ends = [], []
    first, last = np.s_[:, 1:], np.s_[:, :-1]
    for here, there, beyond, sign in ((first, last, 0, 1), (last, first, n_cells, -1)):
        end = labels > 0
        end[here] &= (labels[here] != labels[there]) | (levels[here] > levels[there])
        rows, columns = np.nonzero(end)
        at.append(levels[end])
        ends.append(np.stack([labels[end].astype(np.int64) - 1 + beyond, rows, sign * columns]))
    return np.concatenate(at), np.concatenate(ends, axis=1)


@dataclass(frozen=True, eq=False)
class _Corners:
    """Corners of the left sides of all cells and, mirrored, of their right sides: a chain each, from the top down.

    Attributes
    ----------
    chains : numpy.ndarray
        Chain of every corner, ascending: 0 to n - 1 are left sides, n to 2n - 1 right ones.
    y, x : numpy.ndarray
        Twice the row, ascending within a chain, and twice the column; of right sides negative.
    n_cells : int
    """

    chains: np.ndarray
    y: np.ndarray
    x: np.ndarray
    n_cells: int

    @classmethod
    def from_ends(cls, ends: np.ndarray, n_cells: int) -> _Corners:
        """Return the middles of the sides of these pixels, of those of one chain and height the outermost."""
        chains, y, x = ends[0], 2 * ends[1], 2 * ends[2]
        return cls(
            np.tile(chains, 3), np.concatenate([y - 1, y, y + 1]), np.concatenate([x, x - 1, x]), n_cells
        )._outermost()

    def joined(self, other: _Corners) -> _Corners:
        """Return the outermost of the corners of both."""
        pairs = ((self.chains, other.chains), (self.y, other.y), (self.x, other.x))
        chains, y, x = (np.concatenate(pair) for pair in pairs)
        return _Corners(chains, y, x, self.n_cells)._outermost()

    def those(self, which: np.ndarray) -> _Corners:
        """Return some of the corners."""
        return _Corners(self.chains[which], self.y[which], self.x[which], self.n_cells)

    def hull(self) -> _Corners:
        """Return the corners of the convex hulls.

        A corner that does not lie beyond the line between its neighbours is none of the hull. All such are dropped
        together, until there are none.
        """
        found = self
        while len(found.y) > 2:
            chains, y, x = found.chains, found.y, found.x
            keep = np.ones(len(y), bool)
            keep[1:-1] = (x[1:-1] - x[:-2]) * (y[2:] - y[:-2]) < (x[2:] - x[:-2]) * (y[1:-1] - y[:-2])
            keep[1:-1] |= chains[2:] != chains[:-2]
            if keep.all():
                break
            found = found.those(keep)
        return found

    def areas(self) -> np.ndarray:
        """Pixels within hulls of these corners, int64 (n,)."""
        first = np.flatnonzero(self.chains[1:] == self.chains[:-1])
        y0, x0, y1, x1 = self.y[first], self.x[first], self.y[first + 1], self.x[first + 1]
        # Rows below the upper end of a side, and not below its lower one: each row of a chain is of one side.
        rows = y1 // 2 - y0 // 2
        side = np.repeat(np.arange(len(first)), rows)
        steps = np.arange(1, len(side) + 1) - np.repeat(np.cumsum(rows) - rows, rows)
        # The least whole column c with 2 c >= x0 + (x1 - x0) (2 row - y0) / (y1 - y0).
        height, slope = y1 - y0, x1 - x0
        over = (x0 * height + slope * (2 * (y0 // 2) - y0))[side] + (2 * slope)[side] * steps
        column = -(-over // (2 * height)[side])
        half = len(column) // 2
        within = np.maximum(1 - column[half:] - column[:half], 0)
        return np.bincount(self.chains[first][side[:half]], within, self.n_cells).astype(np.int64)

    def _outermost(self) -> _Corners:
        """Return the corners in order, of those of one chain and height the first."""
        least = int(self.x.min(initial=0))
        span, height = int(self.x.max(initial=0)) - least + 1, int(self.y.max(initial=0)) + 2
        key = (self.chains * height + self.y + 1) * span + (self.x - least)
        key.sort()
        place, x = np.divmod(key, span)
        new = np.ones(len(key), bool)
        new[1:] = place[1:] != place[:-1]
        chains, y = np.divmod(place[new], height)
        return _Corners(chains, y - 1, x[new] + least, self.n_cells)
