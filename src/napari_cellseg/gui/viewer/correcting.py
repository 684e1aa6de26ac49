"""How the user corrects the cells of a viewer's images: strokes, tools, undo, and the message about each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
from psygnal import Signal

from ...corrections import tools as edits
from ...corrections.tools import CellView
from ...imaging.errors import CellsegError
from ...imaging.regions import Region, grown, whole, within
from .bench import Bench
from .cells_labels import CellsLabels

AGAIN = "Ctrl+Shift+Z does it again."
BACK = "Ctrl+Z takes it back."
NO_CELLS = "Segment an image first, or open one that was corrected before."


class Correcting:
    """Passes the user's strokes and tools to the session, and reports the outcome.

    Signals
    -------
    reported(sentence, failed)
        What was done just now, or why it could not be done.
    """

    reported = Signal(str, bool)

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        bench.layers_made.connect(self._on_layers_made)

    def _on_layers_made(self, key: Any) -> None:
        """Take the strokes and the undo keys of a cells layer, for the image or plane that it shows then."""
        labels, key_of = self._bench.layers[key].labels, self._bench.layers.key_of
        labels.painted.connect(lambda region, after: self._on_painted(key_of(labels), labels, region, after))
        labels.replaced.connect(lambda after: self._on_replaced(key_of(labels), labels, after))
        labels.undo_asked.connect(lambda: self.undo(key_of(labels)))
        labels.redo_asked.connect(lambda: self.redo(key_of(labels)))
        labels.fresh_asked.connect(lambda: self.choose_fresh(key_of(labels), labels))

    def edit(self, key: Any, tool: Callable[..., Any], *arguments: Any, done: str = "", **options: Any) -> bool:
        """Make one edit, which is one undo step; emits `done`, or why there was nothing to do (and returns False)."""
        try:
            self._bench.session.edit(key, tool, *arguments, **options)
        except CellsegError as error:
            self.reported.emit(str(error), True)
            return False
        if done:
            self.reported.emit(f"{done} {BACK}", False)
        return True

    def undo(self, key: Any) -> None:
        """Take back the last edit of an image."""
        self._step(key, "undo", "Taken back", AGAIN, "There is nothing to take back.")

    def redo(self, key: Any) -> None:
        """Make the edit again that was taken back last."""
        self._step(key, "redo", "Done again", BACK, "There is nothing to do again.")

    def choose_fresh(self, key: Any, labels: CellsLabels) -> None:
        """Choose an id that no cell has, so that the next stroke draws a new cell."""
        if (cells := self._bench.session.cells_of(key)) is not None:
            labels.choose_label(cells.corrected.fresh_id())

    def _step(self, key: Any, direction: str, word: str, back: str, nothing: str) -> None:
        cells = self._bench.session.cells_of(key)
        if cells is None:
            self.reported.emit(NO_CELLS, True)
            return
        name = getattr(cells.corrected.corrections, f"{direction}_name")
        try:
            region = getattr(self._bench.session, direction)(key)
        except CellsegError as error:
            self.reported.emit(str(error), True)
            return
        self.reported.emit(nothing if region is None else f"{word}: {name}. {back}", False)

    def _on_replaced(self, key: Any, labels: CellsLabels, after: np.ndarray) -> None:
        """Take labels in that a script or another plugin put into a cells layer, if they can be its cells."""
        view = self._bench.session.view_of(key)
        if view is None:
            labels.let_go()
            return
        shown = view.labels()
        # A copy: what is drawn later must not be written into the array of the caller.
        labels.take(shown)
        if after.shape != view.shape:
            size, wanted = (" x ".join(map(str, shape)) for shape in (after.shape, view.shape))
            self.reported.emit(
                f"{labels.name}: labels of {size} pixels cannot be cells of an image of {wanted}; the cells are shown "
                "as they were. Add such labels as a layer of their own.",
                True,
            )
        elif not np.array_equal(after, shown):
            self.edit(key, edits.painted, whole(view.shape), after, done="Labels taken over as corrections.")

    def _on_painted(self, key: Any, labels: CellsLabels, region: Region, after: np.ndarray) -> None:
        """Take a stroke in; where nothing comes of it, the picture is what it was."""
        view = self._bench.session.view_of(key)
        if view is None:
            return
        chosen = int(labels.selected_label)
        after, painted = apart_is_new(view, region, after, chosen)
        if not self.edit(key, edits.painted, region, after):
            labels.redraw(region, view.labels(region))
            return
        if chosen:
            labels.choose_label(int(view.corrected.corrections.renamed.get(painted, painted)))


def apart_is_new(view: CellView, region: Region, after: np.ndarray, chosen: int) -> tuple[np.ndarray, int]:
    """Give pixels that were painted apart from the chosen cell an id of their own: a cell is one piece.

    Returns
    -------
    after : numpy.ndarray
        The labels of the region, with the fresh id where the stroke touches the chosen cell nowhere.
    painted : int
        The id that was painted with.
    """
    new = (after == chosen) & (view.labels(region) != chosen)
    if not chosen or not new.any() or view.box(chosen) is None:
        return after, chosen
    around = grown(region, 1, view.shape)
    near = scipy.ndimage.binary_dilation(view.labels(around) == chosen, np.ones((3, 3), dtype=bool))
    if (near[within(region, around)] & new).any():
        return after, chosen
    fresh = view.corrected.fresh_id()
    after = after.astype(np.int64)
    after[new] = fresh
    return after, fresh
