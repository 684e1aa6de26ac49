"""The cells of each image of a viewer: where their sliders stand, and how the user corrects them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from psygnal import Signal

from ..corrections.corrected import CorrectedInstances
from ..corrections.record import CorrectionsRecord, CorrectionsRecords, Saved
from ..corrections.recovery import JournalInfo, dismiss
from ..corrections.run_lengths import Patch, Runs
from ..corrections.tools import EditError, mark_reviewed, review_again
from ..corrections.view import CellView
from ..imaging.errors import CellsegError, ParamsError
from ..imaging.regions import Region, union, whole
from ..instances.areas import Areas
from ..instances.filters import NO_FILTERS, Filters
from ..segmentation.cells import Cells
from ..segmentation.classes import Classes
from ..segmentation.marker import Marker
from ..segmentation.recipe import Recipe
from ..segmentation.segmented import Segmented
from .keys import layer_id

THRESHOLD_DIGITS = 4


class CellsByImage:
    """Cells by the key of their image, and which image is chosen.

    Signals
    -------
    cells_changed(key)
        A segmentation arrived for an image, or its result went away.
    sliders_changed(key)
        Threshold or min_size of an image changed; corrections are announced by `corrected`.
    corrected(key, region)
        An edit, undo or redo changed the cells of an image within a region.
    counting_changed()
        Cells are called by other markers, thresholds of them or classes, or nuclei are grown otherwise.
    filters_changed()
        Other cells count: `sliders_changed` was emitted for every image.
    areas_changed(key)
        The cells of an image are counted in other regions.
    troubled(sentence)
        Corrections cannot be written to the disk.
    """

    cells_changed = Signal(object)
    sliders_changed = Signal(object)
    corrected = Signal(object, object)
    counting_changed = Signal()
    filters_changed = Signal()
    areas_changed = Signal(object)
    troubled = Signal(str)

    def __init__(self) -> None:
        self._cells: dict[Hashable, Cells] = {}
        self._records = CorrectionsRecords()
        self._chosen: Hashable | None = None
        self._positive: tuple[Marker, ...] = ()
        self._grow: str | None = None
        self._filters = NO_FILTERS
        self._areas: dict[Hashable, Areas | None] = {}
        self._classes: Classes | None = None

    @property
    def chosen(self) -> Hashable | None:
        """Key of the image that the sliders act on; None without an image."""
        return self._chosen

    @property
    def cells(self) -> Cells | None:
        """Cells of the chosen image; None before it was segmented."""
        return self.cells_of(self._chosen)

    def cells_of(self, key: Hashable | None) -> Cells | None:
        """Cells of an image; None before it was segmented."""
        return None if key is None else self._cells.get(key)

    def keys(self) -> tuple[Hashable, ...]:
        """Keys of all images that have cells."""
        return tuple(self._cells)

    def set_threshold(self, threshold: float, key: Hashable | None = None) -> None:
        """Move the threshold of the chosen (or given) image.

        Raises
        ------
        ParamsError
            Unless 0 <= threshold <= 1.
        """
        if not 0 <= threshold <= 1:
            raise ParamsError(f"The threshold is {threshold}; it is a probability and must lie from 0 to 1.")
        self._move(key, threshold=round(float(threshold), THRESHOLD_DIGITS))

    def set_min_size(self, min_size: int, key: Hashable | None = None) -> None:
        """Move the smallest area in pixels of the chosen (or given) image.

        Raises
        ------
        ParamsError
            When it is negative.
        """
        if min_size < 0:
            raise ParamsError(f"min_size is {min_size}; it is a number of pixels, 0 or more.")
        self._move(key, min_size=int(min_size))

    @property
    def positive(self) -> tuple[Marker, ...]:
        """By which markers the cells of all images are called positive."""
        return self._positive

    @property
    def grow(self) -> str | None:
        """Length by which the nuclei of all images are grown, such as ``3um``."""
        return self._grow

    def set_counting(self, positive: Sequence[Marker], grow: str | None) -> None:
        """Call the cells of all images by these markers, and grow their nuclei by this length.

        Raises
        ------
        ParamsError
            They contradict each other; nothing was changed.
        """
        checked = Recipe(positive=tuple(positive), grow=grow)
        if (checked.positive, checked.grow) == (self._positive, self._grow):
            return
        self._positive, self._grow = checked.positive, checked.grow
        for key, cells in self._cells.items():
            self._cells[key] = replace(cells, positive=self._positive, grow=self._grow)
            self._note(key)
        self.counting_changed.emit()

    @property
    def filters(self) -> Filters:
        """Which cells of all images count besides threshold and smallest size."""
        return self._filters

    def set_filters(self, filters: Filters) -> None:
        """Count only cells of all images that pass these filters; what the user corrected counts always."""
        if filters == self._filters:
            return
        self._filters = filters
        for key, cells in self._cells.items():
            self._cells[key] = cells.filtered(filters)
            self._note(key)
        for key in self.keys():
            self.sliders_changed.emit(key)
        self.filters_changed.emit()

    def set_areas(self, key: Hashable, areas: Areas | None) -> None:
        """Count the cells of an image, of all its planes, in these regions as well."""
        self._areas[layer_id(key)] = areas
        for one, cells in self._cells.items():
            if layer_id(one) == layer_id(key):
                self._cells[one] = replace(cells, segmented=cells.segmented.in_areas(areas))
        self.areas_changed.emit(key)

    @property
    def classes(self) -> Classes | None:
        """By which examples the cells of all images are in classes."""
        return self._classes

    def set_classes(self, classes: Classes | None) -> None:
        """Call the cells of all images by these examples, or by none."""
        if classes == self._classes:
            return
        self._classes = classes
        for key, cells in self._cells.items():
            self._cells[key] = replace(cells, classes=classes)
            self._note(key)
        self.counting_changed.emit()

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
        """What a tool would act on now; None before the image was segmented."""
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

    def _note(self, key: Hashable) -> None:
        """Let the journal of an image know how its cells are made and called."""
        record, cells = self._records.get(key), self._cells[key]
        if record is not None:
            recipe = replace(cells.segmented.recipe, positive=cells.positive, grow=cells.grow, classes=cells.classes)
            record.note_cells(recipe.to_dict(), cells.threshold, cells.min_size)

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

    def _move(self, key: Hashable | None, **values: float) -> None:
        key = self._chosen if key is None else key
        cells = self.cells_of(key)
        if cells is None or all(getattr(cells, name) == value for name, value in values.items()):
            return
        self._cells[key] = replace(cells, **values)  # type: ignore[arg-type]
        self._note(key)
        self.sliders_changed.emit(key)


def _sliders_in(header: Mapping[str, Any], cells: Cells) -> tuple[float, int] | None:
    """Return the sliders that a journal names for cells of this model; None without any."""
    try:
        same = header["recipe"]["model"] == cells.segmented.recipe.model
        threshold, min_size = float(header["threshold"]), int(header["min_size"])
    except (KeyError, TypeError, ValueError):
        return None
    return (threshold, min_size) if same and 0 <= threshold <= 1 and min_size >= 0 else None
