"""Outlines of cells along the edges of their pixels, from which exactly these pixels can be filled again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .measure import check_labels

# Directions of an edge that has its pixel on its right: east, south, west, north (y points down).
_EAST, _SOUTH, _WEST, _NORTH = range(4)
_STEP = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
# From the corner where an edge ends: the pixel ahead on its right and on its left.
_AHEAD_RIGHT = np.array([(0, 0), (0, -1), (-1, -1), (-1, 0)])
_AHEAD_LEFT = np.array([(-1, 0), (0, 0), (0, -1), (-1, -1)])


@dataclass(frozen=True, eq=False)
class Outline:
    """Outline of one cell.

    Attributes
    ----------
    id : int
    parts : tuple of tuple of ndarray
        One tuple for each part of the cell: its outer ring, then those of its holes. A ring is int64 (n, 2), (y, x) of
        the corners in order, the first not repeated. **Corners of pixels, not centres: pixel (y, x) reaches from
        (y, x) to (y + 1, x + 1)**, as in ImageJ and QuPath; napari and scikit-image count from centres, half a pixel
        less. Outer rings run clockwise as seen on the screen, holes counterclockwise. No ring meets itself; pixels
        that touch only at a corner are separate parts.
    """

    id: int
    parts: tuple[tuple[np.ndarray, ...], ...]

    def moved(self, offset_yx: tuple[int, int]) -> Outline:
        """Return the outline as many rows and columns further down and right."""
        return Outline(self.id, tuple(tuple(ring + offset_yx for ring in part) for part in self.parts))


def outlines(labels: np.ndarray) -> list[Outline]:
    """Trace all cells of a label image.

    Parameters
    ----------
    labels : ndarray
        Whole numbers (Y, X), 0 = background.

    Returns
    -------
    list of Outline
        In the order of ascending ids.

    Raises
    ------
    ValueError
        When `labels` is not such an image.
    """
    check_labels(labels)
    padded = np.pad(labels, 1)
    starts, directions, ids = _edges(padded)
    if not ids.size:
        return []
    following = _following(padded, starts, directions, ids)
    turns = directions[following] != directions
    rings: dict[int, list[np.ndarray]] = {}
    for first, corners in _rings(starts + _STEP[directions], following.tolist(), turns.tolist()):
        rings.setdefault(int(ids[first]), []).extend(_simple(corners))
    return [Outline(id_, _parts(rings[id_])) for id_ in sorted(rings)]


def _edges(padded: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges between pixels of different cells: where each starts (in corners of `padded`), its direction and cell."""
    found = []
    above, below = padded[:-1], padded[1:]
    left, right = padded[:, :-1], padded[:, 1:]
    # The corner where the edge starts, counted from the pixel's own index in the sliced array.
    for mine, other, direction, corner in (
        (below, above, _EAST, (1, 0)),
        (left, right, _SOUTH, (0, 1)),
        (above, below, _WEST, (1, 1)),
        (right, left, _NORTH, (1, 1)),
    ):
        at = np.argwhere((mine != other) & (mine > 0))
        found.append((at + corner, np.full(len(at), direction), mine[at[:, 0], at[:, 1]]))
    starts, directions, ids = (np.concatenate(part) for part in zip(*found, strict=True))
    return starts, directions, ids


def _following(padded: np.ndarray, starts: np.ndarray, directions: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """For each edge, the one that continues it; a corner where two pixels of a cell meet keeps them apart."""
    ends = starts + _STEP[directions]

    def is_mine(offsets: np.ndarray) -> np.ndarray:
        at = ends + offsets[directions]
        return padded[at[:, 0], at[:, 1]] == ids

    ahead_right, ahead_left = is_mine(_AHEAD_RIGHT), is_mine(_AHEAD_LEFT)
    turn = np.where(~ahead_right, 1, np.where(ahead_left, 3, 0))
    width = padded.shape[1] + 1
    # A corner and a direction name an edge: the pixel on its right is known by them.
    keys = (starts[:, 0] * width + starts[:, 1]) * 4 + directions
    order = np.argsort(keys)
    wanted = (ends[:, 0] * width + ends[:, 1]) * 4 + (directions + turn) % 4
    following: np.ndarray = order[np.searchsorted(keys, wanted, sorter=order)]
    return following


def _rings(ends: np.ndarray, following: list[int], turns: list[bool]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Follow the edges: yield the first edge of each ring, and its corners in coordinates of the image."""
    seen = bytearray(len(following))
    corners = list(zip((ends[:, 0] - 1).tolist(), (ends[:, 1] - 1).tolist(), strict=True))
    for first in range(len(following)):
        if seen[first]:
            continue
        ring, edge = [], first
        while not seen[edge]:
            seen[edge] = 1
            if turns[edge]:
                ring.append(corners[edge])
            edge = following[edge]
        yield first, ring


def _simple(corners: list[tuple[int, int]]) -> Iterator[np.ndarray]:
    """Split a ring that meets itself into rings that do not."""
    path: list[tuple[int, int]] = []
    place: dict[tuple[int, int], int] = {}
    for corner in corners:
        if corner in place:
            loop = path[place[corner] :]
            yield np.array(loop)
            for gone in loop:
                del place[gone]
            del path[-len(loop) :]
        place[corner] = len(path)
        path.append(corner)
    yield np.array(path)


def _parts(rings: list[np.ndarray]) -> tuple[tuple[np.ndarray, ...], ...]:
    """Assign every hole to the part that contains it."""
    outer = [ring for ring in rings if signed_area(ring) > 0]
    holes = [ring for ring in rings if signed_area(ring) < 0]
    if len(outer) == 1:
        return ((outer[0], *holes),)
    of_part: list[list[np.ndarray]] = [[] for _ in outer]
    for hole in holes:
        # The pixel on the other side of a hole's edge belongs to the part; the smallest ring around it is that part's.
        at = _pixel_beside(hole)
        around = [i for i, ring in enumerate(outer) if _holds(ring, at)]
        of_part[min(around, key=lambda i: signed_area(outer[i]))].append(hole)
    return tuple((ring, *inside) for ring, inside in zip(outer, of_part, strict=True))


def signed_area(ring: np.ndarray) -> float:
    """Area in pixels of a ring, negative for a hole."""
    y, x = ring[:, 0], ring[:, 1]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _pixel_beside(ring: np.ndarray) -> tuple[float, float]:
    """Centre of the cell's pixel at the first edge of a ring: on its right."""
    (y, x), (y_next, x_next) = ring[0].tolist(), ring[1].tolist()
    step_y, step_x = np.sign(y_next - y), np.sign(x_next - x)
    return y + step_y / 2 + step_x / 2, x + step_x / 2 - step_y / 2


def _holds(ring: np.ndarray, point: tuple[float, float]) -> bool:
    """Whether a point, at no corner's height, lies in a ring: a ray to the right crosses it an odd number of times."""
    after = np.roll(ring, -1, axis=0)
    crossed = (ring[:, 0] > point[0]) != (after[:, 0] > point[0])
    return bool(np.count_nonzero(crossed & (ring[:, 1] > point[1])) % 2)
