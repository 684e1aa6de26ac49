"""Call cells positive or negative by hand, or give them a class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .patching import EditError, Wish, check_ids, labels_around, patch_from_labels
from .run_lengths import CLASS, Patch
from .view import CellView


def call_cells(view: CellView, ids: int | Iterable[int], marker: str, called: bool | str | None) -> Patch:
    """Call cells positive or negative by a marker, or give them a class; they are the user's from then on.

    Like any other cell that the user corrected they keep their pixels: no slider, and no new prediction, changes what
    was called.

    Parameters
    ----------
    view : CellView
    ids : int or iterable of int
        Of shown cells.
    marker : str
        Name of the marker; `CLASS` for a class.
    called : bool, str or None
        Whether they are positive, whatever is measured; the name of the class. None takes back what was called.

    Raises
    ------
    EditError
        There is no such cell, or they are called so already.
    """
    wanted, corrections = check_ids(view, ids), view.corrected.corrections
    known = {id_: cell.calls for id_ in wanted if (cell := corrections.cell(id_)) is not None}
    wanted = [id_ for id_ in wanted if known.get(id_, {}).get(marker) != called]
    if not wanted:
        if called is None:
            raise EditError("You did not call these cells by hand.")
        word = called if marker == CLASS else f"{marker}{'+' if called else '-'}"
        raise EditError(f"You called these cells {word} already.")
    name = "give a class" if marker == CLASS else "call positive" if called else "call negative"
    name = "take a call back" if called is None else name
    fresh = [id_ for id_ in wanted if id_ not in known]
    patch = Patch(name, None, {})
    if fresh:
        region, labels = labels_around(view, fresh)
        patch = patch_from_labels(view, region, labels, Wish(name, "called", own=fresh))
    cells = {**{id_: corrections.cell(id_) for id_ in wanted}, **patch.cells}
    for id_ in wanted:
        cell = cells[id_]
        assert cell is not None
        calls = {name: call for name, call in {**cell.calls, marker: called}.items() if call is not None}
        cells[id_] = replace(cell, calls=calls)
    return replace(patch, cells=cells)
