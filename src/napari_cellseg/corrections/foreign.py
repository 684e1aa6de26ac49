"""Import cells from a label image: labels of another program, or exported corrections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from ..imaging.regions import common, whole, within
from .claims import ERASED
from .patching import LEAP, EditError, Wish, patch_from_labels, replaced
from .run_lengths import Cell, Patch, Runs, distinct, pairs_of
from .view import CellView


def import_labels(
    view: CellView,
    labels: np.ndarray,
    owned_ids: Iterable[int] | None = None,
    erased: np.ndarray | None = None,
    cells: Mapping[int, Cell] | None = None,
    marks: np.ndarray | None = None,
    known: Mapping[str, int] | None = None,
) -> Patch:
    """Import cells from a label image as one edit; they replace what is shown.

    Parameters
    ----------
    view : CellView
    labels : numpy.ndarray
        Whole numbers (Y, X), 0 = no cell. Ids that are in use are replaced by new ones.
    owned_ids : iterable of int, optional
        Which of them to import; default all.
    erased : numpy.ndarray, optional
        Whole numbers (Y, X): where pixels were erased, the id of the cell they were erased from.
    cells : mapping of int to Cell, optional
        Entries of the cells in `labels` and `erased`; with them the corrections become exactly those that were
        exported.
    marks : numpy.ndarray, optional
        (Y, X), not 0 where the user marked it as reviewed.
    known : mapping of str to int, optional
        Whose corrections they are, and up to which revision; see `Corrections.known`.

    Raises
    ------
    EditError
        The shapes differ, or everything in it is there already.
    """
    labels = np.asarray(labels)
    for what in (labels, erased, marks):
        if what is not None and np.shape(what) != view.shape:
            raise EditError(
                f"The labels are {' x '.join(map(str, np.shape(what)))} pixels but the image is {view.shape[0]} x "
                f"{view.shape[1]}. Choose the file that belongs to this image."
            )
    chosen = labels.astype(np.int64)
    if owned_ids is not None:
        chosen[~np.isin(chosen, list(owned_ids))] = 0
    gone = np.zeros(view.shape, dtype=np.int64) if erased is None else np.where(chosen > 0, 0, np.asarray(erased))
    if cells is None:
        claims, entries = _from_elsewhere(view, chosen, gone)
    else:
        claims, entries = _exported(view, chosen - gone.astype(np.int64), cells)
    corrections = view.corrected.corrections
    before = corrections.marks()
    both = before if marks is None else ((np.asarray(marks) != 0) | (before > 0)).astype(np.uint8)
    is_marked = not np.array_equal(both, before)
    if not is_marked and not entries and np.array_equal(claims, corrections.claims()):
        raise EditError("There is no correction in it that is not here already.")
    everywhere = whole(view.shape)
    marked = Runs.from_array(everywhere, both) if is_marked else None
    return Patch("import", Runs.from_array(everywhere, claims), entries, marked, known=known or {})


def _from_elsewhere(view: CellView, chosen: np.ndarray, gone: np.ndarray) -> tuple[np.ndarray, dict[int, Cell | None]]:
    """Claims and entries after importing labels without entries."""
    shown, corrections = view.labels().astype(np.int64), view.corrected.corrections
    chosen = replaced(chosen, _fresh_ids(view, chosen, shown))
    after = np.where(chosen > 0, chosen, np.where(gone != 0, 0, shown))
    own = [id_ for id_ in distinct(chosen) if not corrections.how(id_)]
    if not own and np.array_equal(after, shown):
        return corrections.claims().copy(), {}
    patch = patch_from_labels(view, whole(view.shape), after, Wish("import", "imported", own=own, keep_rest=False))
    assert patch.claims is not None
    return patch.claims.array(), dict(patch.cells)


def _exported(
    view: CellView, exported: np.ndarray, cells: Mapping[int, Cell]
) -> tuple[np.ndarray, dict[int, Cell | None]]:
    """Claims and entries after laying exported claims over the present ones."""
    corrections = view.corrected.corrections
    present_claims = corrections.claims().astype(np.int64)
    given = _fresh_ids(view, exported, present_claims, cells)
    exported = np.sign(exported) * replaced(np.abs(exported), given)
    claims = np.where(exported != 0, exported, present_claims).astype(np.int32)
    entries: dict[int, Cell | None] = {}
    present = set(distinct(np.abs(exported)))
    for id_, cell in cells.items():
        new = given.get(id_, id_)
        here = corrections.cell(new)
        if (new in present or cell.how == ERASED) and (
            here is None or (here.how, here.calls) != (cell.how, cell.calls)
        ):
            entries[new] = cell
    # Present cells that are covered completely are replaced by the cell that covers most of them.
    left = {*distinct(claims), *(-id_ for id_ in distinct(-claims))}
    for id_ in [id_ for id_ in corrections.owned_ids.tolist() if id_ not in left and id_ not in entries]:
        lost = corrections.cell(id_)
        assert lost is not None
        takers, counts = np.unique(np.abs(claims[present_claims == id_]), return_counts=True)
        taker = int(takers[np.argmax(counts)])
        heir = entries.get(taker) or corrections.cell(taker)
        assert heir is not None
        entries[taker] = replace(heir, cores=(*heir.cores, *lost.cores))
        entries[id_] = Cell(ERASED, lost.cores) if -id_ in left else None
    return claims, entries


def _fresh_ids(
    view: CellView, exported: np.ndarray, present_claims: np.ndarray, cells: Mapping[int, Cell] | None = None
) -> dict[int, int]:
    """New ids for imported cells whose ids are in use by different cells."""
    corrections, cells = view.corrected.corrections, cells or {}
    ids = {*cells, *distinct(np.abs(exported))}
    pairs = pairs_of(exported, present_claims)[0]
    changed = set(distinct(np.abs(pairs[:, pairs[0] != pairs[1]])))
    # An erased cell may have no pixel left to recognize it by.
    known = {id_ for id_, cell in cells.items() if (here := corrections.cell(id_)) and here.to_dict() == cell.to_dict()}
    as_here = {*distinct(np.abs(pairs[1])), *known} - changed
    taken, given = corrections.taken_ids, {}
    highest = view.corrected.top_id + len(ids) + LEAP
    fresh = max(view.corrected.fresh_id(), max((id_ for id_ in ids if id_ <= highest), default=0) + 1)
    for id_ in sorted(ids - as_here):
        automatic = view.corrected.instances.has(id_) and not (
            id_ in cells and _replaces(view, exported, id_, cells[id_])
        )
        if automatic or id_ in taken or id_ > highest:
            given[id_] = fresh
            fresh += 1
    return given


def _replaces(view: CellView, exported: np.ndarray, id_: int, cell: Cell) -> bool:
    """Whether an exported cell was made of the automatic cell of its number, and goes by its number again: it lies on
    more than half of the core of that one, or is stored with it.
    """
    core = view.corrected.core(id_)
    there, covered = core.mask(), np.abs(exported[core.region]) == id_
    for stored in cell.cores:
        both = common(core.region, stored.region)
        covered[within(both, core.region)] |= stored.mask()[within(both, stored.region)]
    return 2 * int(np.count_nonzero(covered & there)) > int(np.count_nonzero(there))
