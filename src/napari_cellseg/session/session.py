"""The one observable state per viewer: which image, what was asked, what came back, where the sliders stand.

A small spreadsheet: image, then recipe, then prediction, then sliders, then labels and counts. Setting one clears what
lies to its right. It knows neither Qt nor napari, and torch only while a request is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from psygnal import Signal

from ..corrections.corrected import CorrectedInstances
from ..corrections.record import CorrectionsRecord, CorrectionsRecords, Saved
from ..corrections.recovery import JournalInfo, dismiss
from ..corrections.run_lengths import Patch, Runs
from ..corrections.tools import EditError, mark_reviewed, review_again
from ..corrections.view import CellView
from ..imaging.errors import CellsegError, ParamsError
from ..imaging.image import Image
from ..imaging.progress import Progress
from ..imaging.regions import Region, union, whole
from ..segmentation.cells import Cells
from ..segmentation.recipe import Recipe
from ..segmentation.segmented import Segmented
from .choices import Choices, ViewerChoices
from .state import CANCELLED, Request, State

THRESHOLD_DIGITS = 4
OPEN_AN_IMAGE = "Open an image, or drop a file here."
PRESS_SEGMENT = "Press Segment. The cells appear here, then drag the two sliders."
DRAG = "Drag the sliders until the outlines fit, then save."
OF_ANOTHER_CHANNEL = "Your corrections of the other channel are kept, and come back with it."
REVIEW_AGAIN = "Some reviewed cells changed: they are not marked any more. Look at them again."


class Session:
    """State of one viewer. Every change is announced; nothing here draws or waits.

    Parameters
    ----------
    choices : ViewerChoices, optional
        Model and device to start with.

    Attributes
    ----------
    choices : Choices
        What the user chose.

    Signals
    -------
    chosen_changed(key)
        Another image was chosen, or none.
    cells_changed(key)
        A segmentation arrived for an image, or its result went away.
    sliders_changed(key)
        Threshold or min_size of an image changed; corrections are announced by `corrected`.
    corrected(key, region)
        An edit, undo or redo of the user changed an image's cells within a region.
    state_changed(State)
    progress_changed(Progress)
    models_changed()
        Other models are installed, or one has other defaults.
    """

    chosen_changed = Signal(object)
    cells_changed = Signal(object)
    sliders_changed = Signal(object)
    corrected = Signal(object, object)
    state_changed = Signal(State)
    progress_changed = Signal(Progress)
    models_changed = Signal()

    def __init__(self, choices: ViewerChoices | None = None) -> None:
        self.choices = Choices(choices)
        self._cells: dict[Hashable, Cells] = {}
        self._records = CorrectionsRecords()
        self._chosen: Hashable | None = None
        self._running: Request | None = None
        self._n_requests = 0
        self._state = State("idle", OPEN_AN_IMAGE)

    @property
    def state(self) -> State:
        """What is going on, in words."""
        return self._state

    @property
    def running(self) -> Request | None:
        """Request that is being answered."""
        return self._running

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

    def choose(self, key: Hashable | None) -> None:
        """Let the sliders act on another image; every image keeps its own result."""
        if key == self._chosen:
            return
        self._chosen = key
        self.chosen_changed.emit(key)
        self.rest()

    def choose_model(self, name: str) -> None:
        """Choose the model, by its name or folder, for the next press of Segment."""
        self.choices.choose(model=name)

    def recipe_asked(self) -> Recipe:
        """Return the recipe with which the chosen image would be segmented now."""
        cells, model = self.cells, self.choices.viewer.model
        return self.choices.recipe(self._chosen, cells is None or cells.segmented.recipe.model != model)

    def recipe_shown(self) -> Recipe:
        """Return the recipe that gives what is on the screen: model and sliders of the cells, on the chosen device.

        Of an image without cells it is the one that would be asked for. Checked and complete only after its
        :meth:`~napari_cellseg.segmentation.recipe.Recipe.resolved`.
        """
        cells = self.cells
        if cells is None:
            return self.recipe_asked()
        sha256 = cells.segmented.model.sha256
        return replace(cells.recipe, model_sha256=sha256)

    def use_recipe(self, recipe: Recipe, device: str = "auto") -> None:
        """Use a complete recipe from now on: its model, device, channel and axes, and its sliders at first."""
        self.choices.choose(model=recipe.model, device=device, accurate=recipe.accurate, loaded=recipe)
        if self._chosen is None:
            return
        given = {name: value for name in ("axes", "channel") if (value := getattr(recipe, name)) is not None}
        self.choices.choose_for(self._chosen, diameter=recipe.diameter, **given)
        cells = self.cells
        if cells is not None and cells.segmented.recipe.model == recipe.model:
            wanted = replace(cells.segmented, recipe=recipe)
            self.set_threshold(wanted.threshold)
            self.set_min_size(wanted.min_size)

    def request(self, key: Hashable, image: Image, recipe: Recipe) -> Request | None:
        """Note that an image is to be segmented, unless something is running already.

        A second run of one model on one image keeps the sliders where the person left them.
        Returns None when another request is still running; else what `iter_answer` answers.
        """
        if self._running is not None:
            return None
        before = self.cells_of(key)
        sliders = None
        if before is not None and before.segmented.recipe.model == recipe.model:
            sliders = before.threshold, before.min_size
            if recipe.threshold is None:
                recipe = recipe.with_sliders_of(before.recipe)
        self._n_requests += 1
        self._running = Request(self._n_requests, key, image, recipe, self.choices.viewer.device, sliders)
        self._set_state("running", f"Segmenting {image.title} …")
        return self._running

    def report(self, request: Request, progress: Progress) -> None:
        """Pass on progress; that of an old request is dropped."""
        if self._is_current(request):
            self.progress_changed.emit(progress)

    def accept(self, request: Request, segmented: Segmented) -> bool:
        """Take an answer in, or (False) drop one to an old request or for an image that went away."""
        if not self._is_current(request):
            return False
        self._running = None
        image = segmented.image
        aside = self._records.of(request.key)
        self._remember(request.key)
        content = (segmented.image_sha256, segmented.instances.shape, segmented.channels)
        record = self._records.take_up(request.key, content, image.name, image.source)
        self._show(request.key, segmented, *self._sliders_for(request, segmented), record)
        self.cells_changed.emit(request.key)
        said = DRAG
        if self._review_again(request.key, record):
            said = REVIEW_AGAIN
        elif aside is not None and aside.is_of_another_channel(content):
            said = OF_ANOTHER_CHANNEL
        self.rest(said)
        return True

    def fail(self, request: Request | None, error: BaseException | str) -> bool:
        """Note in words why something failed; what was there before stays. None: it was not about a request."""
        if request is not None and not self._is_current(request):
            return False
        if request is not None:
            self._running = None
        self._set_state("failed" if self._running is None else "running", str(error) or type(error).__name__)
        return True

    def note(self, sentence: str) -> None:
        """Say something that the person should know, unless something is running."""
        if self._running is None:
            self._set_state("idle", sentence)

    def cancel(self) -> None:
        """Drop the running request: its answer will not be taken."""
        if self._running is not None:
            self._running = None
            self._set_state("idle", CANCELLED)

    def forget(self, key: Hashable) -> None:
        """Drop the result of an image that was removed or replaced, and its running request."""
        dropped = self._running is not None and self._running.key == key
        if dropped:
            self._running = None
        self._remember(key)
        self._records.put_aside(key)
        if self._cells.pop(key, None) is not None:
            self.cells_changed.emit(key)
        if dropped or key == self._chosen:
            self.rest()

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
        """Say what of a region the person has reviewed; see `corrections.tools.mark_reviewed`."""
        return self.edit(key, mark_reviewed, region, marks)

    def view_of(self, key: Hashable | None) -> CellView | None:
        """What a tool would act on now; None before the image was segmented."""
        cells = self.cells_of(key)
        return None if cells is None else cells.view

    def saved(self, key: Hashable) -> Saved | None:
        """How safe the corrections of an image are on the disk; None where there are none to save."""
        record = self._records.of(key)
        return None if record is None else record.saved()

    def journals(self) -> set[Path]:
        """Journals of this session: what is in them is here already."""
        return self._records.journals()

    def recoverable(self, key: Hashable) -> JournalInfo | None:
        """Newest journal of another session about this very image that was neither taken over nor declined."""
        record = self._records.of(key)
        return None if record is None else record.recoverable()

    def recover(self, key: Hashable, info: JournalInfo, replace: bool = False) -> tuple[str, ...]:
        """Take over the corrections of a journal; a new one goes on from it, and it stays on the disk.

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
        self._show(key, cells.segmented, cells.threshold, cells.min_size, recovered)
        self.cells_changed.emit(key)
        self.corrected.emit(key, whole(recovered.corrections.shape))
        return notes

    def dismiss(self, key: Hashable, info: JournalInfo) -> None:
        """Do not offer a journal again; it stays on the disk."""
        dismiss(info.path)

    def close(self) -> None:
        """Put all corrections on the disk; called when the window goes."""
        self._records.close()

    def _corrected(self, key: Hashable) -> tuple[Cells, CorrectionsRecord]:
        cells, record = self.cells_of(key), self._records.of(key)
        if cells is None or record is None:
            raise CellsegError("This image has no cells to correct yet. Press Segment first.")
        return cells, record

    def _announce(self, key: Hashable, record: CorrectionsRecord) -> Region:
        cells = self._cells[key]
        region = union(cells.corrected.last_region, record.corrections.last_region)
        self._cells[key] = replace(cells, revision=record.corrections.revision)
        self.corrected.emit(key, region)
        if record.has_new_problem():
            self.fail(None, record.problem)
        return region

    def _show(
        self, key: Hashable, segmented: Segmented, threshold: float, min_size: int, record: CorrectionsRecord
    ) -> None:
        corrected = CorrectedInstances(segmented.instances, record.corrections)
        if corrected.instances is not segmented.instances:
            segmented = replace(segmented, instances=corrected.instances)
        record.note_cells(segmented.recipe.to_dict(), threshold, min_size)
        self._cells[key] = Cells(segmented, threshold, min_size, corrected, record.corrections.revision)

    def _sliders_for(self, request: Request, segmented: Segmented) -> tuple[float, int]:
        """Where the sliders are to stand: where the person moved them while the answer was made, else where it says."""
        now = self.cells_of(request.key)
        if now is not None and request.sliders not in (None, (now.threshold, now.min_size)):
            return now.threshold, now.min_size
        return segmented.threshold, segmented.min_size

    def _remember(self, key: Hashable) -> None:
        """Note what an image shows while parts of it are marked as reviewed: another answer is compared with that."""
        cells, record = self._cells.get(key), self._records.of(key)
        if cells is not None and record is not None and record.corrections.has_marks:
            record.shown = Runs.of(whole(record.corrections.shape), cells.view.labels())

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
        self.sliders_changed.emit(key)

    def _is_current(self, request: Request) -> bool:
        return self._running is not None and self._running.number == request.number

    def rest(self, said: str = DRAG) -> None:
        """Say what can be done next (`said`, where there are cells), unless something is running."""
        if self._running is not None:
            return
        cells = self.cells
        if self._chosen is None:
            sentence = OPEN_AN_IMAGE
        elif cells is None:
            sentence = PRESS_SEGMENT
        else:
            sentence = " ".join([*cells.segmented.prediction.notes, said])
        self._set_state("idle", sentence)

    def _set_state(self, kind: Literal["idle", "running", "failed"], sentence: str) -> None:
        state = State(kind, sentence)
        if state != self._state:
            self._state = state
            self.state_changed.emit(state)
