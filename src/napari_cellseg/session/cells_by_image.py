"""The cells of each image of a viewer, as the user corrects them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from psygnal import Signal

from ..corrections.corrected import CorrectedInstances
from ..corrections.record import CorrectionsRecord, Saved
from ..corrections.recovery import JournalInfo, dismiss
from ..corrections.run_lengths import Patch, Runs
from ..corrections.tools import EditError, mark_reviewed, review_again
from ..corrections.view import CellView
from ..imaging.errors import CellsegError
from ..imaging.regions import Region, union, whole
from ..segmentation.cells import Cells
from ..segmentation.segmented import Segmented
from .counted_cells import CountedCells
from .keys import layer_id


class CellsByImage(CountedCells):
    """Cells by the key of their image, corrected by the user.

    Signals
    -------
    cells_changed(key)
        A segmentation arrived for an image, or its result went away.
    corrected(key, region)
        An edit, undo or redo changed the cells of an image within a region.
    troubled(sentence)
        Corrections cannot be written to the disk.
    """

    cells_changed = Signal(object)
    corrected = Signal(object, object)
    troubled = Signal(str)

    def edit(self, key: Hashable, tool: Callable[..., Patch], *args: Any, **kwargs: Any) -> Region:
        """Correct cells with a tool of `corrections.tools`: one undo step, in the journal at once.

        Returns
        -------
        tuple of slice
            Where labels may have changed.

        Raises
        ------
        CellsegError
            There is nothing to do; nothing was changed.
        """
        cells, record = self._corrected(key)
        with record.corrections.lock:
            patch = tool(cells.view, *args, **kwargs)
            record.apply(patch)
        return self._announce(key, record)

    def undo(self, key: Hashable) -> Region | None:
        """Take back the last edit of an image, wherever the sliders stand; None where there is none."""
        _cells, record = self._corrected(key)
        return self._announce(key, record) if record.undo() else None

    def redo(self, key: Hashable) -> Region | None:
        """Do again what was taken back; None where there is nothing."""
        _cells, record = self._corrected(key)
        return self._announce(key, record) if record.redo() else None

    def mark_reviewed(self, key: Hashable, region: Region | None, marks: np.ndarray | bool) -> Region:
        """Mark what of a region the user has reviewed; see `corrections.tools.mark_reviewed`."""
        return self.edit(key, mark_reviewed, region, marks)

    def view_of(self, key: Hashable | None) -> CellView | None:
        """The cells that a tool acts on now; None before the image was segmented."""
        cells = self.cells_of(key)
        return None if cells is None else cells.view

    def saved(self, key: Hashable) -> Saved | None:
        """How safe the corrections of an image are on the disk; None where there are none to save."""
        record = self._records.get(key)
        return None if record is None else record.saved()

    def journals(self) -> set[Path]:
        """Journals of this session: what is in them is here already."""
        return self._records.journals()

    def recoverable(self, key: Hashable) -> JournalInfo | None:
        """Newest journal of another session about this very image that was neither taken over nor declined."""
        record = self._records.get(key)
        return None if record is None else record.recoverable()

    def recover(self, key: Hashable, info: JournalInfo, replace: bool = False) -> tuple[str, ...]:
        """Take over the corrections of a journal; a new one goes on from it, and it stays on the disk.

        The sliders go back to where they stood, unless the cells are of another model now.

        Parameters
        ----------
        key : Hashable
        info : JournalInfo
        replace : bool
            Put those that were made since in its journal aside; else it is an error that there are some.

        Returns
        -------
        tuple of str
            What was lost, in words; empty when all is there.

        Raises
        ------
        CellsegError
            The journal cannot be read, or there are corrections already.
        """
        cells, record = self._corrected(key)
        recovered, notes = record.recovered(info, replace)
        self._records.replace(key, recovered)
        sliders = _sliders_in(info.header, cells) or (cells.threshold, cells.min_size)
        self._show(key, cells.segmented, *sliders, recovered)
        self.cells_changed.emit(key)
        self.corrected.emit(key, whole(recovered.corrections.shape))
        return notes

    def dismiss(self, key: Hashable, info: JournalInfo) -> None:
        """Do not offer a journal again; it stays on the disk."""
        dismiss(info.path)

    def close(self) -> None:
        """Write all corrections to the disk; called when the window closes."""
        self._records.close()

    def _corrected(self, key: Hashable) -> tuple[Cells, CorrectionsRecord]:
        cells, record = self.cells_of(key), self._records.get(key)
        if cells is None or record is None:
            raise CellsegError("This image has no cells to correct yet. Press Segment first.")
        return cells, record

    def _announce(self, key: Hashable, record: CorrectionsRecord) -> Region:
        cells = self._cells[key]
        region = union(cells.corrected.last_region, record.corrections.last_region)
        self._cells[key] = replace(cells, revision=record.corrections.revision)
        self.corrected.emit(key, region)
        if record.has_new_problem():
            self.troubled.emit(record.problem)
        return region

    def _show(
        self, key: Hashable, segmented: Segmented, threshold: float, min_size: int, record: CorrectionsRecord
    ) -> None:
        segmented = segmented.filtered(self._filters)
        segmented = segmented.in_areas(self._areas.get(layer_id(key), segmented.areas))
        corrected = CorrectedInstances(segmented.instances, record.corrections)
        if corrected.instances is not segmented.instances:
            segmented = replace(segmented, instances=corrected.instances)
        revision = record.corrections.revision
        counting = (self._positive, self._grow)
        self._cells[key] = Cells(segmented, threshold, min_size, corrected, revision, *counting, classes=self._classes)
        self._note(key)

    def _remember(self, key: Hashable) -> None:
        """Note what an image shows while parts of it are marked as reviewed: another answer is compared with that."""
        cells, record = self._cells.get(key), self._records.get(key)
        if cells is not None and record is not None and record.corrections.has_marks:
            record.shown = Runs.from_array(whole(record.corrections.shape), cells.view.labels())

    def _review_again(self, key: Hashable, record: CorrectionsRecord) -> bool:
        """Nobody vouched for what another answer changed in a reviewed area: take the marks off that, as an edit."""
        shown, record.shown = record.shown, None
        if shown is None:
            return False
        try:
            self.edit(key, review_again, shown.array())
        except EditError:
            return False
        return True


def _sliders_in(header: Mapping[str, Any], cells: Cells) -> tuple[float, int] | None:
    """Return the sliders that a journal names for cells of this model; None without any."""
    try:
        same = header["recipe"]["model"] == cells.segmented.recipe.model
        threshold, min_size = float(header["threshold"]), int(header["min_size"])
    except (KeyError, TypeError, ValueError):
        return None
    return (threshold, min_size) if same and 0 <= threshold <= 1 and min_size >= 0 else None
