"""Link cells of neighbouring planes: slices of a volume become 3D cells, frames of a film become tracks.

Each plane is compared with the one before. Two cells are linked when their intersection over union (IoU) reaches a
value; the pair with the greatest IoU comes first, and no cell has two partners. This is the stitching of Cellpose
(Stringer et al. 2021), with one partner for each cell; the small cap at the end of a cell, which would be a separate
cell by IoU alone, stays with it. A cell that is missing on one plane ends there: after the gap it is another cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .levels import at_least
from .measure import check_labels

How = Literal["iou", "overlap"]
HOWS: tuple[str, ...] = ("iou", "overlap")
MIN_IOU = 0.25
# More than this fraction of a daughter lies in its mother, and of a cap in its cell.
_INSIDE = 0.5
# Below this fraction of the other's area a section is a cap.
_CAP = 0.25
# Below this fraction of the largest daughter's area a daughter is a fragment.
_SISTER = 1 / 3


class Linker:
    """Give the cells of consecutive planes ids that are the same on all planes.

    Linked ids count from 1 as cells appear, within a plane in the order of their first pixels, so that the order of the
    ids of a plane does not matter. Only the last plane is kept.

    Parameters
    ----------
    min_iou : float
        Above 0, up to 1: least IoU of two linked cells of neighbouring planes.
    how : {'overlap', 'iou'}
        ``'iou'``: by IoU alone. ``'overlap'``: if one is less than a quarter of the other, so that their IoU is small
        in any position, the fraction of it that lies in the other is used instead, and must be more than half.
    divisions : bool
        Detect divisions: a cell ends if two or more cells of the next plane lie mostly inside it, each with half of
        `min_iou`, because each is about half of it, and none is less than a third of the largest. The daughters get
        new ids, and `parents` holds their mother.

    Attributes
    ----------
    n_linked : int
        Linked ids given so far.
    parents : dict of int to int
        Linked id of a daughter -> linked id of its mother.

    Raises
    ------
    ValueError
        For a `min_iou` or `how` out of range.
    """

    def __init__(self, min_iou: float = MIN_IOU, how: How = "overlap", divisions: bool = False) -> None:
        check_min_iou(min_iou)
        if how not in HOWS:
            raise ValueError(f"how must be one of {', '.join(HOWS)}, got {how!r}.")
        self._min_iou, self._how, self._divisions = float(min_iou), how, divisions
        self._before: _Plane | None = None
        self.n_linked = 0
        self.parents: dict[int, int] = {}

    def add(self, labels: np.ndarray, n_ids: int | None = None) -> np.ndarray:
        """Link the next plane with the one before.

        Parameters
        ----------
        labels : numpy.ndarray
            Whole numbers (Y, X), 0 = background; ids may have gaps.
        n_ids : int, optional
            Greatest id that the plane can have, such as ``Instances.n_basins``; default the greatest id in it.

        Returns
        -------
        numpy.ndarray
            int32 (n_ids + 1,): local id -> linked id. 0 and ids without pixels map to 0. No linked id occurs
            twice. ``lookup[labels]`` is the linked plane.

        Raises
        ------
        ValueError
            When `labels` is not a label image, or its shape differs from the plane before.
        """
        check_labels(labels)
        plane = _Plane.from_labels(labels)
        before = self._before
        if before is not None and before.cells.shape != plane.cells.shape:
            raise ValueError(f"This plane is {plane.cells.shape}, and the one before {before.cells.shape}.")
        if before is not None:
            self._link(before, plane)
        new = np.flatnonzero(plane.linked == 0)
        plane.linked[new] = np.arange(self.n_linked + 1, self.n_linked + len(new) + 1)
        self.n_linked += len(new)
        self._before = plane
        greatest = int(plane.index[-1]) if len(plane.index) else 0
        lookup = np.zeros(max(greatest, n_ids or 0) + 1, np.int32)
        lookup[plane.index[plane.order]] = plane.linked
        return lookup

    def end(self) -> None:
        """Start a new sequence with the next plane, such as the first slice of the next time point; ids count on."""
        self._before = None

    def _link(self, before: _Plane, plane: _Plane) -> None:
        one, other, both = _shared(before, plane)
        iou = both / (before.area[one] + plane.area[other] - both)
        near = iou >= self._min_iou
        if self._how == "overlap":
            least = np.minimum(before.area[one], plane.area[other])
            most = np.maximum(before.area[one], plane.area[other])
            inside = (both > _INSIDE * least) & (both >= self._min_iou * least)
            near |= inside & (least < _CAP * most)
        # Equal pairs are ordered by position, never by ids.
        order = np.lexsort((other, one, -both, -iou))
        order = order[near[order]]
        daughters: set[tuple[int, int]] = set()
        if self._divisions:
            real = np.flatnonzero(iou >= self._min_iou / 2)
            daughters = self._divide(before, plane, one[real], other[real], both[real])
        taken: set[int] = set()
        mothers = {mother for mother, _ in daughters}
        young = {daughter for _, daughter in daughters}
        for earlier, later in zip(one[order].tolist(), other[order].tolist(), strict=True):
            if earlier in taken or earlier in mothers or later in young or plane.linked[later]:
                continue
            taken.add(earlier)
            plane.linked[later] = before.linked[earlier]

    def _divide(
        self, before: _Plane, plane: _Plane, one: np.ndarray, other: np.ndarray, both: np.ndarray
    ) -> set[tuple[int, int]]:
        """Give daughters their ids; return (mother, daughter) of each."""
        inside = both > _INSIDE * plane.area[other]
        one, other = one[inside], other[inside]
        largest = np.zeros(len(before.area), np.int64)
        np.maximum.at(largest, one, plane.area[other])
        alike = plane.area[other] >= _SISTER * largest[one]
        one, other = one[alike], other[alike]
        divided = np.isin(one, np.flatnonzero(np.bincount(one, minlength=1) > 1))
        # Two cells cannot both hold more than half of a third: every daughter has one mother.
        pairs = sorted(zip(one[divided].tolist(), other[divided].tolist(), strict=True))
        for mother, daughter in sorted(pairs, key=lambda pair: pair[1]):
            self.n_linked += 1
            plane.linked[daughter] = self.n_linked
            self.parents[self.n_linked] = int(before.linked[mother])
        return set(pairs)


def link_stack(planes: Iterable[np.ndarray], min_iou: float = MIN_IOU, how: How = "overlap") -> Iterator[np.ndarray]:
    """Yield the lookup table of each plane of a stack; see `Linker.add`."""
    linker = Linker(min_iou, how)
    for labels in planes:
        yield linker.add(labels)


def link_cells(
    planes: Iterable[tuple[tuple[int, ...], np.ndarray, int | None]], volumes: bool, min_iou: float = MIN_IOU
) -> tuple[Linker, list[np.ndarray]]:
    """Link the planes of a stack, without a smallest size: it would break the links.

    Parameters
    ----------
    planes : iterable of (position, labels, n_ids)
        In order, time before slice; see :meth:`Linker.add`.
    volumes : bool
        Whether cells are linked over the last axis of the position, Z, and end with each time point; else over time,
        and divide.
    min_iou : float

    Returns
    -------
    linker : Linker
    lookups : list of ndarray
        Of each plane: local id -> linked id.
    """
    linker, lookups, before = Linker(min_iou, divisions=not volumes), [], None
    for position, labels, n_ids in planes:
        if volumes and before not in (None, position[:-1]):
            linker.end()
        before = position[:-1]
        lookups.append(linker.add(labels, n_ids))
    return linker, lookups


def without_small(
    lookups: Sequence[np.ndarray], cells: Sequence[tuple[np.ndarray, np.ndarray]], min_size: int, volumes: bool
) -> list[np.ndarray]:
    """Return lookups that map cells that are too small to 0.

    Parameters
    ----------
    lookups : sequence of ndarray
        Of `link_cells`.
    cells : sequence of (ids, areas)
        Of each plane: local ids, and areas in pixels.
    min_size : int
        In voxels over all planes of a volume, else in pixels in each plane.
    volumes : bool
        See `link_cells`.
    """
    least = at_least(min_size)
    if not volumes:
        shown = [lookup.copy() for lookup in lookups]
        for lookup, (ids, areas) in zip(shown, cells, strict=True):
            lookup[ids[areas < least]] = 0
        return shown
    total = np.zeros(1 + max((int(lookup.max()) for lookup in lookups), default=0), np.int64)
    for lookup, (ids, areas) in zip(lookups, cells, strict=True):
        total[lookup[ids]] += areas
    return [np.where(total[lookup] < least, 0, lookup) for lookup in lookups]


def check_min_iou(min_iou: float) -> None:
    """Raise ValueError unless it is above 0 and at most 1."""
    if not 0 < min_iou <= 1:
        raise ValueError(f"The smallest IoU must lie above 0 and not above 1, got {min_iou!r}.")


@dataclass(frozen=True, eq=False)
class _Plane:
    """A plane's cells, numbered from 0 in the order of their first pixels."""

    cells: np.ndarray  # (Y, X), 0 = background, else number + 1
    index: np.ndarray  # ids, rising
    order: np.ndarray  # position in `index` of each number
    area: np.ndarray
    linked: np.ndarray

    @classmethod
    def from_labels(cls, labels: np.ndarray) -> _Plane:
        flat = labels.ravel()
        inside = np.flatnonzero(flat)
        held = flat[inside]
        greatest = int(held.max(initial=0))
        first = np.full(greatest + 1, -1, np.int64)
        first[held[::-1]] = inside[::-1]
        index = np.flatnonzero(first >= 0)
        order = np.argsort(first[index], kind="stable")
        number = np.zeros(greatest + 1, np.int32)
        number[index[order]] = np.arange(1, len(index) + 1)
        cells = number[flat]
        area = np.bincount(cells, minlength=len(index) + 1)[1:]
        return cls(cells.reshape(labels.shape), index, order, area, np.zeros(len(index), np.int32))


def _shared(before: _Plane, plane: _Plane) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of cells that share pixels, and how many they share."""
    here = (before.cells > 0) & (plane.cells > 0)
    n = len(plane.area) + 1
    keys, both = np.unique(before.cells[here].astype(np.int64) * n + plane.cells[here], return_counts=True)
    one, other = np.divmod(keys, n)
    return one - 1, other - 1, both
