"""From edited labels to a patch: which cells are edited, which are hidden, which ids clash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..imaging.errors import CellsegError
from ..imaging.regions import Region, grown, is_empty, union, whole, within
from ..instances.levels import at_least
from ..instances.measure import number_ids
from .claims import ERASED
from .run_lengths import Cell, Patch, Runs, distinct, pairs_of
from .view import CellView

# A new id that is further above all others is replaced: tables of cells are as long as the highest id.
LEAP = 1000


class EditError(CellsegError):
    """There is nothing to correct, or the correction is not possible; nothing was changed."""


@dataclass(frozen=True)
class Wish:
    """Request of an edit, besides the labels.

    Attributes
    ----------
    name : str
        Name of the edit, for undo.
    how : str
        State of the changed cells, such as "merged".
    own : collection of int
        Ids of cells that count as edited though none of their pixels changes.
    parents : mapping of int to int
        For a new id, the id of the cell it was cut from: that automatic cell is not shown under either.
    hows : mapping of int to str
        State of cells that differ from `how`.
    cores : mapping of int to tuple of Runs
        Cores to add to a cell's own.
    keep_rest : bool
        The rest of an automatic cell that lost pixels must not disappear: it counts as edited.
    """

    name: str
    how: str
    own: Iterable[int] = ()
    parents: Mapping[int, int] = field(default_factory=dict)
    hows: Mapping[int, str] = field(default_factory=dict)
    cores: Mapping[int, tuple[Runs, ...]] = field(default_factory=dict)
    keep_rest: bool = True


def patch_from_labels(view: CellView, region: Region, after: np.ndarray, wish: Wish) -> Patch:
    """Return the patch after which a region shows the labels `after`.

    Cells with new or lost pixels, and those of ``wish.own``, count as edited with all their pixels. A cell that only
    lost pixels to another one stays automatic with the rest; if the rules would hide that although it is large enough
    to be counted, it counts as edited too, so that nothing disappears that the user left there.

    Parameters
    ----------
    view : CellView
    region : tuple of slice
        With plain starts and stops.
    after : numpy.ndarray
        Whole numbers of the region's shape.
    wish : Wish

    Raises
    ------
    EditError
        Nothing would change.
    """
    corrected, corrections = view.corrected, view.corrected.corrections
    shown = view.labels(region).astype(np.int64)
    after = after.astype(np.int64)
    own = set(wish.own)
    changed = after != shown
    if not changed.any() and not own:
        raise EditError("Nothing was changed there.")
    # The region must contain all pixels and cores of the cells that change.
    involved = own | set(distinct(shown[changed])) | set(distinct(after[changed]))
    region, shown, after = _around(view, region, shown, after, involved)
    changed = after != shown
    pairs, counts = pairs_of(shown[changed], after[changed])
    own |= set(distinct(pairs[1])) | set(distinct(pairs[0, pairs[1] == 0]))
    left = set(distinct(after))
    gone = {id_ for id_ in distinct(pairs[0]) if id_ not in left}
    cells: dict[int, Cell | None] = {id_: _grown_cell(view, id_, wish) for id_ in sorted(own - gone)}
    for id_ in sorted(gone):
        _pass_on(view, id_, pairs[:, pairs[0] == id_], counts[pairs[0] == id_], cells)

    claims = corrections.claims(region).copy()
    claims[changed] = np.where(after > 0, after, -shown)[changed]
    while True:
        owned = np.isin(after, [id_ for id_, cell in cells.items() if cell is not None and cell.how != ERASED])
        np.copyto(claims, after, where=owned, casting="unsafe")
        vanishing = _vanishing(view, region, claims, cells) if wish.keep_rest else []
        if not vanishing:
            break
        region, shown, after, claims = _with_claims(view, region, shown, after, claims, vanishing)
        cells.update((id_, Cell("drawn", (corrected.core(id_),))) for id_ in vanishing)
    return Patch(wish.name, Runs.from_array(region, claims), cells)


def check_ids(view: CellView, ids: int | Iterable[int], need: int = 1) -> list[int]:
    """Return distinct ids of shown cells, ascending.

    Raises
    ------
    EditError
        There are fewer than `need`, or one of them is not shown.
    """
    wanted = sorted({int(id_) for id_ in ([ids] if np.isscalar(ids) else ids)})  # type: ignore[arg-type, union-attr]
    if len(wanted) < need:
        raise EditError("Choose a cell first." if need == 1 else f"Choose {need} or more cells first.")
    shown = view.is_shown(wanted)
    if not shown.all():
        missing = ", ".join(str(id_) for id_, there in zip(wanted, shown, strict=True) if not there)
        raise EditError(f"There is no cell {missing} at this threshold. Choose a cell that is shown.")
    return wanted


def labels_around(view: CellView, ids: Iterable[int], margin: int = 0) -> tuple[Region, np.ndarray]:
    """Region around these shown cells, and its labels."""
    region = grown(union(*(view.box(id_) for id_ in ids)), margin, view.shape)
    return region, view.labels(region).astype(np.int64)


def replaced(labels: np.ndarray, ids: Mapping[int, int]) -> np.ndarray:
    """Return labels with some ids replaced by others."""
    if not ids:
        return labels
    old = np.array(sorted(ids), dtype=np.int64)
    new = np.array([ids[id_] for id_ in old.tolist()], dtype=np.int64)
    place = np.searchsorted(old, labels).clip(max=len(old) - 1)
    return np.where(old[place] == labels, new[place], labels)


def _around(
    view: CellView, region: Region, shown: np.ndarray, after: np.ndarray, ids: Iterable[int]
) -> tuple[Region, np.ndarray, np.ndarray]:
    """Grow the region and its labels until it contains these shown cells."""
    larger = region
    if region != whole(view.shape):
        larger = union(region, *(view.box(id_) for id_ in ids))
    if larger == region:
        return region, shown, after
    now = view.labels(larger).astype(np.int64)
    wanted = now.copy()
    wanted[within(region, larger)] = after
    return larger, now, wanted


def _with_claims(
    view: CellView, region: Region, shown: np.ndarray, after: np.ndarray, claims: np.ndarray, ids: Iterable[int]
) -> tuple[Region, np.ndarray, np.ndarray, np.ndarray]:
    larger, shown, after = _around(view, region, shown, after, ids)
    wanted = view.corrected.corrections.claims(larger).copy()
    wanted[within(region, larger)] = claims
    return larger, shown, after, wanted


def _cores(view: CellView, id_: int) -> tuple[Runs, ...]:
    """Cores of a cell: those stored with an edited cell, or that of the basin."""
    entry = view.corrected.corrections.cell(id_)
    if entry is not None:
        return entry.cores
    rows, _columns = view.corrected.instances.pixels_of(id_)
    return (view.corrected.core(id_),) if len(rows) else ()


def _grown_cell(view: CellView, id_: int, wish: Wish) -> Cell:
    how = wish.hows.get(id_, wish.how)
    parent = wish.parents.get(id_)
    cores = _cores(view, id_) if parent is None else _cores(view, parent)
    entry = view.corrected.corrections.cell(id_)
    return Cell(how, (*cores, *wish.cores.get(id_, ())), {} if entry is None else entry.calls)


def _pass_on(view: CellView, id_: int, pairs: np.ndarray, counts: np.ndarray, cells: dict[int, Cell | None]) -> None:
    """Handle a cell that lost all its pixels: it was erased, or its core goes to the cell that took most of them."""
    cores = _cores(view, id_)
    if (pairs[1] == 0).any():
        cells[id_] = Cell(ERASED, cores)
        return
    taker = int(pairs[1, np.argmax(counts)])
    cell = cells[taker]
    assert cell is not None
    cells[taker] = replace(cell, cores=(*cell.cores, *cores))
    if id_ in view.corrected.corrections:
        cells[id_] = None


def _vanishing(view: CellView, region: Region, claims: np.ndarray, cells: Mapping[int, Cell | None]) -> list[int]:
    """Automatic cells that keep pixels but would be hidden by the claims and cells of a patch."""
    corrected, corrections = view.corrected, view.corrected.corrections
    basins, levels = corrected.instances.basins[region], corrected.instances.levels[region]
    footprint = claims != 0
    for cell in cells.values():
        for core in () if cell is None else cell.cores:
            _add(footprint, core, region)
    new = footprint & ~corrections.footprint(region) & (basins > 0)
    found, place = number_ids(basins[new])
    if not len(found):
        return []
    core = levels[new] >= corrected.instances.core_levels[found - 1][place]
    more = np.bincount(place[core], minlength=len(found))
    hidden = found[corrected.mostly_covered(found, more)].tolist()
    return [
        id_
        for id_, is_shown in zip(hidden, view.is_shown(hidden), strict=True)
        if is_shown
        and id_ not in cells
        and id_ not in corrections
        # A rest that is too small to be counted disappears, as it would by the slider.
        and _left_of(view, id_, region, claims) >= at_least(view.min_size)
    ]


def _left_of(view: CellView, id_: int, region: Region, claims: np.ndarray) -> int:
    """Pixels of a shown automatic cell that a patch leaves unclaimed."""
    box, mask = view.mask(id_)
    larger = union(region, box)
    all_claims = view.corrected.corrections.claims(larger).copy()
    all_claims[within(region, larger)] = claims
    return int(np.count_nonzero(mask & (all_claims[within(box, larger)] == 0)))


def _add(mask: np.ndarray, core: Runs, region: Region) -> None:
    """Set the part of a mask that a core covers."""
    if is_empty(core.region):
        return
    rows, columns = np.nonzero(core.mask())
    rows, columns = rows + core.region[0].start - region[0].start, columns + core.region[1].start - region[1].start
    inside = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
    mask[rows[inside], columns[inside]] = True
