"""Cells of neighbouring planes that are one cell, with the present sliders, computed in a background thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...imaging.errors import CellsegError
from ...instances.linking import link_cells
from ...instances.tracks import Tracks, tracks_table
from ...instances.volumes import Volumes
from ...session import Cells, PlaneKey
from ..viewer.planes import Stack

TRIES = 3
Planes = Sequence[tuple[PlaneKey, Cells]]


@dataclass(frozen=True, eq=False)
class Links:
    """What belongs together; it holds for all sliders, until a plane is corrected or segmented again.

    Attributes
    ----------
    of : tuple
        Cells and revision of each plane that were linked.
    volumes : Volumes
    parents : dict of int to int
        Of daughter cells over time.
    """

    of: tuple[Any, ...]
    volumes: Volumes
    parents: dict[int, int]


@dataclass(frozen=True, eq=False)
class Linked:
    """Linked cells as the sliders stand.

    Attributes
    ----------
    links : Links
    labels : ndarray
        int32, one plane for each of the stack.
    count : int
        3D cells, or tracks.
    tracks : Tracks or None
        Over time.
    """

    links: Links
    labels: np.ndarray
    count: int
    tracks: Tracks | None


def link_planes(stack: Stack, planes: Planes, known: Links | None) -> Linked:
    """Link planes and cut what is linked; once more where the user corrected a plane meanwhile."""
    for _ in range(TRIES):
        revisions = [cells.corrected.corrections.revision for _, cells in planes]
        try:
            return _cut(stack, planes, known)
        except (IndexError, ValueError):
            known = None
            if revisions == [cells.corrected.corrections.revision for _, cells in planes]:
                raise
    raise CellsegError("The cells changed all the time while they were being linked. Pause, and link them again.")


def _cut(stack: Stack, planes: Planes, known: Links | None) -> Linked:
    """Link planes, unless that is known already, and cut what is linked as the sliders stand."""
    cells = [one for _, one in planes]
    threshold, min_size = cells[0].threshold, cells[0].min_size
    slices = stack.lengths[-1][0] == "Z"
    of = tuple((one.corrected, one.revision) for one in cells)
    links = known if known is not None and known.of == of else _links(stack, planes, slices, of)
    volumes, shape = links.volumes, (*stack.shape, *stack.image.shape_yx)
    kept = np.ones(volumes.n_linked + 1, dtype=bool)
    if slices:
        kept[1:] = volumes.keep(threshold, min_size)
        # What the user drew or accepted counts, however small it is.
        for one, lookup in zip(cells, volumes.lookups, strict=True):
            owned = np.asarray(one.corrected.corrections.owned_ids, np.intp)
            kept[lookup[owned[owned < len(lookup)]]] = True
        kept[0] = False
    labels = np.zeros(shape, np.int32)
    frames = []
    for (key, one), lookup in zip(planes, volumes.lookups, strict=True):
        cut = one.corrected.labels(threshold, 0 if slices else min_size)
        labels[key.position] = np.where(kept[lookup], lookup, 0)[cut]
        if not slices:
            ids = one.corrected.ids(threshold, min_size)
            frames.append((ids, *one.corrected.centroids(ids).T))
    present = np.zeros(volumes.n_linked + 1, dtype=bool)
    present[labels.ravel()] = True
    tracks = None if slices else tracks_table(frames, volumes.lookups, links.parents)
    count = int(np.count_nonzero(present[1:])) if tracks is None else tracks.count
    return Linked(links, labels, count, tracks)


def _links(stack: Stack, planes: Planes, slices: bool, of: tuple[Any, ...]) -> Links:
    cut = ((key.position, one.corrected.labels(one.threshold, 0), one.corrected.top_id) for key, one in planes)
    linker, lookups = link_cells(cut, slices)
    return Links(of, Volumes([one.corrected for _, one in planes], lookups), dict(linker.parents))
