"""The one observable state per viewer: which image, what was asked, what came back, where the sliders stand.

A small spreadsheet: image, then recipe, then prediction, then sliders, then labels and counts. Setting one clears what
lies to its right. It knows neither Qt nor napari, and torch only while a request is answered.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from psygnal import Signal

from .batch.recipe import Recipe
from .imaging.errors import ParamsError
from .imaging.image import Image
from .imaging.progress import Progress
from .instances.live import stable_stretch

if TYPE_CHECKING:
    from .batch.segment import Segmented, SegmentResult

THRESHOLD_DIGITS = 4
OPEN_AN_IMAGE = "Open an image, or drop a file here."
PRESS_SEGMENT = "Press Segment. The cells appear here, then drag the two sliders."
DRAG = "Drag the sliders until the outlines fit, then save."
CANCELLED = "Cancelled, nothing was changed. Press Segment to run again."


@dataclass(frozen=True)
class State:
    """What the session is doing, and one plain sentence on what to do next."""

    kind: Literal["idle", "running", "failed"]
    sentence: str


@dataclass(frozen=True, eq=False)
class Request:
    """One press of Segment: everything that the answer needs, fixed when it was pressed.

    `number` rises with every request of a session, and `key` says which image of the viewer is meant.
    """

    number: int
    key: Hashable
    image: Image
    recipe: Recipe


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one image as the sliders stand.

    Attributes
    ----------
    segmented : Segmented
    threshold : float
        Foreground probability, 0 to 1.
    min_size : int
        Smallest area in pixels.
    edited : ndarray, optional
        ``(Y, X)`` labels as a person has changed them by hand; None while they are those of the sliders.
    """

    segmented: Segmented
    threshold: float
    min_size: int
    edited: np.ndarray | None = None

    def count(self) -> int:
        """Number of cells that is on the screen."""
        if self.edited is not None:
            return len(self.areas())
        return self.segmented.instances.count(self.threshold, self.min_size)

    def areas(self) -> np.ndarray:
        """Areas in pixels, int64: of all cells that the threshold leaves, or of those edited by hand."""
        if self.edited is not None:
            areas = np.bincount(self.edited.ravel())[1:]
        else:
            areas = self.segmented.instances.areas(self.threshold)
        return areas[areas > 0]

    def counted_areas(self) -> np.ndarray:
        """Areas in pixels of the cells that are counted: `min_size` drops none that a person edited."""
        areas = self.areas()
        return areas if self.edited is not None else areas[areas >= max(self.min_size, 1)]

    def count_curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Thresholds, and the count at each of them for the present `min_size`."""
        return self.segmented.instances.count_curve(self.min_size)

    def stable_stretch(self) -> tuple[float, float]:
        """Widest stretch of thresholds over which the count hardly changes; NaN where nothing is counted."""
        return stable_stretch(*self.count_curve())

    def median_diameter(self) -> float:
        """Median diameter in pixels (of circles of equal area) of the counted cells; NaN without any."""
        counted = self.counted_areas()
        return float(np.sqrt(np.median(counted) * 4 / np.pi)) if counted.size else float("nan")

    def covered(self) -> float:
        """Part of the image that the counted cells cover, 0 to 1."""
        height, width = self.segmented.instances.shape
        return float(self.counted_areas().sum() / max(height * width, 1))

    def result(self) -> SegmentResult:
        """Labels, count, table and provenance of what is on the screen; takes up to a second on large images."""
        result = self.segmented.result(self.threshold, self.min_size)
        if self.edited is None:
            return result
        labels = self.edited.copy()
        table = self.segmented.table(labels)
        count = len(table["index"])
        metadata = {**result.metadata, "count": count, "edited_by_hand": True}
        return replace(result, labels=labels, table=table, count=count, metadata=metadata)


class Session:
    """State of one viewer. Every change is announced; nothing here draws or waits.

    Signals
    -------
    chosen_changed(key)
        Another image was chosen, or none.
    cells_changed(key)
        A segmentation arrived for an image, or its result went away.
    sliders_changed(key)
        Threshold, min_size or hand edits of an image changed.
    state_changed(State)
    progress_changed(Progress)
    """

    chosen_changed = Signal(object)
    cells_changed = Signal(object)
    sliders_changed = Signal(object)
    state_changed = Signal(State)
    progress_changed = Signal(Progress)

    def __init__(self) -> None:
        self._cells: dict[Hashable, Cells] = {}
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

    def choose(self, key: Hashable | None) -> None:
        """Let the sliders act on another image; every image keeps its own result."""
        if key == self._chosen:
            return
        self._chosen = key
        self.chosen_changed.emit(key)
        self.rest()

    def request(self, key: Hashable, image: Image, recipe: Recipe) -> Request | None:
        """Note that an image is to be segmented, unless something is running already.

        A second run of one model on one image keeps the sliders where the person left them.
        Returns None when another request is still running; else what `iter_answer` answers.
        """
        if self._running is not None:
            return None
        before = self.cells_of(key)
        if before is not None and before.segmented.recipe.model == recipe.model and recipe.threshold is None:
            recipe = replace(recipe, threshold=before.threshold, min_size=before.min_size)
        self._n_requests += 1
        self._running = Request(self._n_requests, key, image, recipe)
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
        self._cells[request.key] = Cells(segmented, segmented.threshold, segmented.min_size)
        self.cells_changed.emit(request.key)
        self.rest()
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

    def set_edited(self, key: Hashable, labels: np.ndarray) -> None:
        """Note that a person changed the labels by hand: count and table follow them until a slider moves."""
        cells = self.cells_of(key)
        if cells is not None:
            self._cells[key] = replace(cells, edited=labels)
            self.sliders_changed.emit(key)

    def _move(self, key: Hashable | None, **values: float) -> None:
        key = self._chosen if key is None else key
        cells = self.cells_of(key)
        if cells is None or all(getattr(cells, name) == value for name, value in values.items()):
            return
        self._cells[key] = replace(cells, edited=None, **values)  # type: ignore[arg-type]
        self.sliders_changed.emit(key)

    def _is_current(self, request: Request) -> bool:
        return self._running is not None and self._running.number == request.number

    def rest(self) -> None:
        """Say what can be done next, unless something is running."""
        if self._running is not None:
            return
        cells = self.cells
        if self._chosen is None:
            sentence = OPEN_AN_IMAGE
        elif cells is None:
            sentence = PRESS_SEGMENT
        else:
            sentence = " ".join([*cells.segmented.prediction.notes, DRAG])
        self._set_state("idle", sentence)

    def _set_state(self, kind: Literal["idle", "running", "failed"], sentence: str) -> None:
        state = State(kind, sentence)
        if state != self._state:
            self._state = state
            self.state_changed.emit(state)
