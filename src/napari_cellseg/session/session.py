"""The one observable state per viewer: which image, what was asked, what came back, where the sliders stand.

A small spreadsheet: image, then recipe, then prediction, then sliders, then labels and counts. Setting one clears what
lies to its right. It knows neither Qt nor napari, and torch only while a request is answered.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Literal

from psygnal import Signal

from ..imaging.errors import CellsegError
from ..imaging.image import Image
from ..imaging.progress import Progress
from ..segmentation.cells import Cells
from ..segmentation.differences import differences
from ..segmentation.recipe import Recipe
from ..segmentation.segmented import Segmented
from .cells_by_image import CellsByImage
from .choices import Choices, ViewerChoices
from .state import CANCELLED, Request, State

OPEN_AN_IMAGE = "Open an image, or drop a file here."
PRESS_SEGMENT = "Press Segment. The cells appear here, then drag the two sliders."
PRESS_AGAIN = "Press Segment to count anew."
DRAG = "Drag the sliders until the outlines fit, then save."
OF_ANOTHER_CHANNEL = "Your corrections of the other channel are kept, and come back with it."
REVIEW_AGAIN = "Some reviewed cells changed: they are not marked any more. Look at them again."


class Session(CellsByImage):
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
    state_changed(State)
    progress_changed(Progress)
    models_changed()
        Other models are installed, or one has other defaults.
    """

    chosen_changed = Signal(object)
    state_changed = Signal(State)
    progress_changed = Signal(Progress)
    models_changed = Signal()

    def __init__(self, choices: ViewerChoices | None = None) -> None:
        super().__init__()
        self.choices = Choices(choices)
        self._running: Request | None = None
        self._n_requests = 0
        self._state = State("idle", OPEN_AN_IMAGE)
        self.troubled.connect(self._on_trouble)
        self.choices.changed.connect(self._on_choices)

    @property
    def state(self) -> State:
        """State of the session, in words."""
        return self._state

    @property
    def running(self) -> Request | None:
        """Request that is being answered."""
        return self._running

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
        recipe = self.choices.recipe(self._chosen, cells is None or cells.segmented.recipe.model != model)
        called = replace(recipe, positive=self.positive, grow=self.grow, classes=self.classes)
        return replace(called, filters=self.filters.bounds, edges=self.filters.edges)

    def recipe_of_panel(self) -> Recipe:
        """Return all that the Segment panel shows now: `recipe_asked`, with the sliders that Segment would keep."""
        return self._with_sliders(self.recipe_asked(), self.cells)

    def differences(self, key: Hashable | None) -> tuple[str, ...]:
        """Return in words by which settings the cells of an image are not those that Segment would find now."""
        cells = self.cells_of(key)
        return () if cells is None else differences(cells.segmented, self.choices.recipe(key, False))

    def recipe_shown(self) -> Recipe:
        """Return the recipe that gives what is on the screen: model and sliders of the cells, on the chosen device.

        Of an image without cells, or with labels that were taken as cells, it is the one that would be asked for.
        Checked and complete only after its
        :meth:`~napari_cellseg.segmentation.recipe.Recipe.resolved`.
        """
        cells = self.cells
        if cells is None or cells.segmented.taken_from:
            return self.recipe_asked()
        sha256 = cells.segmented.model.sha256
        return replace(cells.recipe, model_sha256=sha256)

    def use_recipe(self, recipe: Recipe, device: str | None = None, key: Hashable | None = None) -> None:
        """Use a complete recipe from now on: its model, device, channel, axes and markers, and its sliders at first.

        Parameters
        ----------
        recipe : Recipe
        device : str, optional
            By default the device that is chosen.
        key : hashable, optional
            The image; by default the chosen one.
        """
        device, key = device or self.choices.viewer.device, self._chosen if key is None else key
        self.set_counting(recipe.positive, recipe.grow)
        self.set_filters(recipe.sieve)
        self.set_classes(recipe.classes)
        self.choices.choose(model=recipe.model, device=device, accurate=recipe.accurate, loaded=recipe)
        if key is None:
            return
        given = {name: value for name in ("axes", "channel") if (value := getattr(recipe, name)) is not None}
        self.choices.choose_for(key, diameter=recipe.diameter, normalizer=None, **given)
        cells = self.cells_of(key)
        if cells is not None and cells.segmented.recipe.model == recipe.model:
            wanted = replace(cells.segmented, recipe=recipe)
            self.set_threshold(wanted.threshold, key)
            self.set_min_size(wanted.min_size, key)

    def request(self, key: Hashable, image: Image, recipe: Recipe) -> Request | None:
        """Start a request for an image, unless another is running.

        A second run of one model on one image keeps the sliders where the user left them.
        Returns None when another request is still running; else what `iter_answer` answers.
        """
        if self._running is not None:
            return None
        before = self.cells_of(key)
        sliders = None
        if before is not None and before.segmented.recipe.model == recipe.model:
            sliders = before.threshold, before.min_size
        recipe = self._with_sliders(recipe, before)
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
        self._take_in(request.key, segmented, self._sliders_for(request, segmented), DRAG)
        return True

    def take(self, key: Hashable, segmented: Segmented, sentence: str) -> None:
        """Take labels as the cells of an image, without running the network.

        Parameters
        ----------
        key : hashable
        segmented : Segmented
            Of `segmentation.taking.take_labels`.
        sentence : str
            Sentence that the user sees next.

        Raises
        ------
        CellsegError
            Something is being segmented.
        """
        if self._running is not None:
            raise CellsegError("Something is being segmented. Wait for it, then take the labels.")
        self._take_in(key, segmented, (segmented.threshold, segmented.min_size), sentence)

    def _take_in(self, key: Hashable, segmented: Segmented, sliders: tuple[float, int], sentence: str) -> None:
        image = segmented.image
        aside = self._records.get(key)
        self._remember(key)
        content = (segmented.image_sha256, segmented.instances.shape, segmented.channels)
        record = self._records.take_up(key, content, image.name, image.source)
        self._show(key, segmented, *sliders, record)
        self.cells_changed.emit(key)
        if self._review_again(key, record):
            sentence = REVIEW_AGAIN
        elif aside is not None and aside.is_of_another_channel(content):
            sentence = OF_ANOTHER_CHANNEL
        self.rest(sentence)

    def fail(self, request: Request | None, error: BaseException | str) -> bool:
        """Show why something failed; what was there before stays. With None it was not about a request."""
        if request is not None and not self._is_current(request):
            return False
        if request is not None:
            self._running = None
        self._set_state("failed" if self._running is None else "running", str(error) or type(error).__name__)
        return True

    def note(self, sentence: str) -> None:
        """Show a sentence that the user should read, unless something is running."""
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

    @staticmethod
    def _with_sliders(recipe: Recipe, before: Cells | None) -> Recipe:
        """Put in the sliders of cells that the same model found before, where the recipe leaves them open."""
        if before is None or recipe.threshold is not None or before.segmented.recipe.model != recipe.model:
            return recipe
        return recipe.with_sliders_of(before.recipe)

    def _sliders_for(self, request: Request, segmented: Segmented) -> tuple[float, int]:
        """Sliders of the new cells: where the user moved them meanwhile, else those of the answer."""
        now = self.cells_of(request.key)
        if now is not None and request.sliders not in (None, (now.threshold, now.min_size)):
            return now.threshold, now.min_size
        return segmented.threshold, segmented.min_size

    def _on_trouble(self, sentence: str) -> None:
        self.fail(None, sentence)

    def _on_choices(self, _: object) -> None:
        """Ask for Segment where the cells are not those of the choices any more, and no more where they are again."""
        resting = self._state.sentence in (DRAG, PRESS_AGAIN)
        if self.cells is not None and (resting or self.differences(self._chosen)):
            self.rest()

    def _is_current(self, request: Request) -> bool:
        return self._running is not None and self._running.number == request.number

    def rest(self, sentence: str = DRAG) -> None:
        """Show what can be done next (`sentence`, where there are cells), unless something is running."""
        if self._running is not None:
            return
        if self._chosen is None:
            shown = OPEN_AN_IMAGE
        elif self.cells is None:
            shown = PRESS_SEGMENT
        else:
            shown = PRESS_AGAIN if sentence == DRAG and self.differences(self._chosen) else sentence
        self._set_state("idle", shown)

    def _set_state(self, kind: Literal["idle", "running", "failed"], sentence: str) -> None:
        state = State(kind, sentence)
        if state != self._state:
            self._state = state
            self.state_changed.emit(state)
