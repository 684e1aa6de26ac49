"""The tools for manual edits: pure functions from the shown cells to a `Patch`.

Each function takes a `CellView` first and changes nothing; `Corrections.apply` applies the patch. `EditError` explains
why there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import scipy

from ..imaging.regions import Region, box_of_pixels, is_empty, plain_region, shape_of, union
from .adding import proposed_cell
from .cutting import cut, line
from .foreign import import_labels
from .patching import LEAP, EditError, Wish, check_ids, labels_around, patch_from_labels, replaced
from .run_lengths import Patch, Runs, pairs_of
from .view import CellView

if TYPE_CHECKING:
    from ..instances.prediction import Prediction

__all__ = [
    "CellView",
    "EditError",
    "accept",
    "add_at",
    "delete",
    "fill_holes",
    "import_labels",
    "mark_reviewed",
    "merge",
    "painted",
    "release",
    "review_again",
    "split_by_stroke",
]

_BRIDGED = 2  # pixels from either cell: gaps of up to 4 are closed
_MAX_ID = np.iinfo(np.int32).max
SAME_IOU = 0.75  # cells of two predictions that overlap at least this much are the same cell


def painted(view: CellView, region: Region, after: np.ndarray) -> Patch:
    """Take over what the user painted, erased or filled with any tool.

    Parameters
    ----------
    view : CellView
    region : tuple of slice
        Where the user painted.
    after : numpy.ndarray
        Labels of the region as the user left them; compared with those that were shown. An id of a cell that is not
        shown now is replaced by a new one: see `Patch.renamed`.

    Raises
    ------
    EditError
        Nothing changed, or `after` has another shape or does not hold ids.
    """
    region = plain_region(region, view.shape)
    after = np.asarray(after)
    if after.shape != shape_of(region) or after.dtype.kind not in "biu":
        raise EditError(f"The painted labels are {after.dtype} {after.shape} but the region is {shape_of(region)}.")
    after = after.astype(np.int64)
    if after.size and (after.min() < 0 or after.max() > _MAX_ID):
        raise EditError("A label is negative or above 2,147,483,647. Paint with another label.")
    after, renamed = _without_clashes(view, after)
    patch = patch_from_labels(view, region, after, Wish("paint", "drawn"))
    return Patch(patch.name, patch.claims, patch.cells, renamed=renamed)


def delete(view: CellView, ids: int | Iterable[int]) -> Patch:
    """Erase cells; no automatic cell is shown in their place again."""
    wanted = check_ids(view, ids)
    region, labels = labels_around(view, wanted)
    after = np.where(np.isin(labels, wanted), 0, labels)
    return patch_from_labels(view, region, after, Wish("delete", "drawn"))


def accept(view: CellView, ids: int | Iterable[int]) -> Patch:
    """Keep cells as they are shown: no slider changes them any more."""
    wanted = [id_ for id_ in check_ids(view, ids) if not view.corrected.corrections.how(id_)]
    if not wanted:
        raise EditError("These cells are yours already.")
    region, labels = labels_around(view, wanted)
    return patch_from_labels(view, region, labels, Wish("accept", "accepted", own=wanted))


def fill_holes(view: CellView, ids: int | Iterable[int]) -> Patch:
    """Fill the holes of cells where no other cell is shown."""
    wanted = check_ids(view, ids)
    region, labels = labels_around(view, wanted)
    after = labels.copy()
    for id_ in wanted:
        after[scipy.ndimage.binary_fill_holes(labels == id_) & (after == 0)] = id_
    if np.array_equal(after, labels):
        raise EditError("There is no hole in these cells." if len(wanted) > 1 else "There is no hole in this cell.")
    return patch_from_labels(view, region, after, Wish("fill holes", "filled"))


def merge(view: CellView, ids: int | Iterable[int]) -> Patch:
    """Merge cells into one with the id of the largest; a gap of up to 4 pixels between them is closed."""
    wanted = check_ids(view, ids, need=2)
    region, labels = labels_around(view, wanted, margin=2 * _BRIDGED)
    sizes = [np.count_nonzero(labels == id_) for id_ in wanted]
    target = wanted[int(np.argmax(sizes))]
    cells = np.isin(labels, wanted)
    near = np.zeros(labels.shape, dtype=np.uint8)
    disc = np.hypot(*np.mgrid[-_BRIDGED : _BRIDGED + 1, -_BRIDGED : _BRIDGED + 1]) <= _BRIDGED + 0.5
    for id_ in wanted:
        near += scipy.ndimage.binary_dilation(labels == id_, disc)
    after = np.where(cells, target, labels)
    # The shallow bays that closing fills elsewhere are the cells' own shape.
    after[scipy.ndimage.binary_closing(cells, disc) & (near >= 2) & (labels == 0)] = target
    return patch_from_labels(view, region, after, Wish("merge", "merged", own=[target]))


def are_apart(view: CellView, ids: int | Iterable[int]) -> bool:
    """Whether some of these cells lie so far from the others that `merge` would make one of several pieces."""
    wanted = check_ids(view, ids, need=2)
    _, labels = labels_around(view, wanted, margin=2 * _BRIDGED)
    disc = np.hypot(*np.mgrid[-_BRIDGED : _BRIDGED + 1, -_BRIDGED : _BRIDGED + 1]) <= _BRIDGED + 0.5
    return int(scipy.ndimage.label(scipy.ndimage.binary_dilation(np.isin(labels, wanted), disc))[1]) > 1


def split_by_stroke(view: CellView, points: np.ndarray, width: float = 2) -> Patch:
    """Cut every cell that a stroke crosses; the largest part keeps the id.

    Where the stroke ends within a cell, the cut goes on to its border midway between the two sides.

    Parameters
    ----------
    view : CellView
    points : numpy.ndarray
        Pixels (Y, X) along the stroke, float (n, 2), 2 or more.
    width : float
        Width of the stroke in pixels; its pixels go to the nearest part, so that no gap remains.

    Raises
    ------
    EditError
        The stroke cuts no cell in two.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < 2:
        raise EditError("Draw the stroke across a cell, from one side to the other.")
    low, high = np.floor(points.min(axis=0)).astype(int), np.ceil(points.max(axis=0)).astype(int) + 1
    region = plain_region((slice(max(low[0], 0), max(high[0], 0)), slice(max(low[1], 0), max(high[1], 0))), view.shape)
    crossed = [] if is_empty(region) else _under(view.labels(region), points - low.clip(0))
    after, parents, fresh = None, {}, view.corrected.fresh_id()
    if crossed:
        around, labels = labels_around(view, crossed)
        after = labels.copy()
    for id_ in crossed:
        parts = cut(labels == id_, points - [around[0].start, around[1].start], width)
        for part in parts[1:]:
            after[part] = fresh  # type: ignore[index]
            parents[fresh] = id_
            fresh += 1
    if after is None or not parents:
        raise EditError("The stroke cuts no cell in two. Draw it across a cell, from one side to the other.")
    return patch_from_labels(view, around, after, Wish("split", "split", own=set(parents.values()), parents=parents))


def add_at(view: CellView, y: float, x: float, prediction: Prediction | None = None) -> Patch:
    """Add a cell at a click: the one that the prediction suggests, else a disc as large as the median cell.

    Raises
    ------
    EditError
        A cell is there already, or there is no room for one.
    """
    row, column = round(y), round(x)
    if not (0 <= row < view.shape[0] and 0 <= column < view.shape[1]):
        raise EditError("This is outside the image. Click within it.")
    if there := view.at(row, column):
        raise EditError(f"Cell {there} is there already. Click beside it, or split it.")
    region, mask, basin = proposed_cell(view, row, column, None if prediction is None else prediction.probability)
    id_ = basin or view.corrected.fresh_id()
    after = view.labels(region).astype(np.int64)
    after[mask] = id_
    return patch_from_labels(view, region, after, Wish("add", "added"))


def release(view: CellView, ids: int | Iterable[int]) -> Patch:
    """Make edited and erased cells automatic again, with the pixels that were erased from them.

    The parts of a split cell are released together: their automatic cell cannot be shown beside one of them.

    Raises
    ------
    EditError
        None of them was edited.
    """
    corrections = view.corrected.corrections
    given = {int(id_) for id_ in ([ids] if np.isscalar(ids) else ids)}  # type: ignore[arg-type, union-attr]
    released = _with_relatives(view, {id_ for id_ in given if id_ in corrections})
    if not released:
        raise EditError("None of these cells is yours: there is nothing to release.")
    region = union(*(corrections.box(id_) for id_ in released))
    claims = corrections.claims(region).copy()
    claims[np.isin(np.abs(claims), sorted(released))] = 0
    return Patch("release", Runs.from_array(region, claims), dict.fromkeys(sorted(released)))


def mark_reviewed(view: CellView, region: Region | None, marks: np.ndarray | bool) -> Patch:
    """Set what is reviewed in a region: a bool map of its shape, or one value for all of it.

    Raises
    ------
    EditError
        The marks are the same already, or the shapes differ.
    """
    region = plain_region(region, view.shape)
    before = view.corrected.corrections.marks(region)
    wanted = np.asarray(marks) != 0
    if wanted.ndim and wanted.shape != before.shape:
        raise EditError(f"The marks are {wanted.shape} but the region is {before.shape}. Give marks of its shape.")
    after = np.broadcast_to(wanted, before.shape).astype(np.uint8)
    if np.array_equal(before, after):
        raise EditError("This area is marked like that already.")
    return Patch("mark as reviewed", None, {}, Runs.from_array(region, after))


def review_again(view: CellView, before: np.ndarray) -> Patch:
    """Remove the reviewed marks from cells that disappeared or appeared since the review.

    Parameters
    ----------
    view : CellView
    before : numpy.ndarray
        Labels (Y, X) that were shown before the new prediction; a cell that overlaps a present one with an
        intersection over union of 0.75 or more is the same.

    Raises
    ------
    EditError
        Nothing that is marked has changed.
    """
    marks = view.corrected.corrections.marks() > 0
    if not marks.any():
        raise EditError("Nothing is marked as reviewed.")
    region = box_of_pixels(np.flatnonzero(marks.any(axis=1)), np.flatnonzero(marks.any(axis=0)))
    before, after = before[region], view.labels(region)
    pairs, overlaps = pairs_of(before, after)
    areas = [np.bincount(ids, overlaps) for ids in pairs]
    iou = overlaps / (areas[0][pairs[0]] + areas[1][pairs[1]] - overlaps)
    same = (pairs > 0).all(axis=0) & (iou >= SAME_IOU)
    changed = np.zeros(before.shape, dtype=bool)
    for labels, ids, found in zip((before, after), pairs, areas, strict=True):
        is_new = np.ones(len(found), dtype=bool)
        is_new[[0, *ids[same]]] = False
        changed |= is_new[labels]
    return mark_reviewed(view, region, marks[region] & ~changed)


def _without_clashes(view: CellView, after: np.ndarray) -> tuple[np.ndarray, dict[int, int]]:
    """Labels without ids of automatic cells that are not shown now, and the ids that were replaced."""
    corrected, corrections = view.corrected, view.corrected.corrections
    renamed: dict[int, int] = {}
    fresh = corrected.fresh_id()
    for id_ in np.unique(after[after > 0]).tolist():
        hidden = corrected.instances.has(id_) and not view.is_shown([id_])[0]
        if id_ not in corrections and (hidden or id_ > fresh + LEAP):
            renamed[id_] = fresh + len(renamed)
    return replaced(after, renamed), renamed


def _under(labels: np.ndarray, points: np.ndarray) -> list[int]:
    """Ids under a line through some points."""
    rows, columns = line(points)
    inside = (rows >= 0) & (rows < labels.shape[0]) & (columns >= 0) & (columns < labels.shape[1])
    found = np.unique(labels[rows[inside], columns[inside]])
    return found[found > 0].tolist()


def _with_relatives(view: CellView, ids: set[int]) -> set[int]:
    """These ids of edited cells and all that share a core with one of them."""
    corrections = view.corrected.corrections
    others = {*corrections.owned_ids.tolist(), *corrections.erased_ids.tolist()} - ids
    waiting, found = list(ids), set(ids)
    while waiting:
        mine = {_corner(core) for core in corrections.cell(waiting.pop()).cores}  # type: ignore[union-attr]
        for id_ in [other for other in others if mine & {_corner(core) for core in corrections.cell(other).cores}]:  # type: ignore[union-attr]
            others.discard(id_)
            found.add(id_)
            waiting.append(id_)
    return found


def _corner(core: Runs) -> tuple[int, ...]:
    return tuple(core.to_list())
