"""All planes of a stack, one after the other: the one in view first, then the nearest."""

from __future__ import annotations

from typing import Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from ...imaging.errors import CellsegError
from ...imaging.memory import free_bytes
from ...imaging.progress import Progress
from ...segmentation.differences import differences
from ...segmentation.recipe import Recipe
from ...session import PlaneKey
from ..shared.activity import Activity
from ..viewer.bench import Bench
from ..viewer.planes import Stack
from ..viewer.planes_in_view import PlanesInView

# What stays of a segmented plane, beside its values: probability, distance, basins, levels, and their tables.
KEPT_BYTES_PER_PIXEL = 18
# So many failures without one success are no matter of single planes.
GIVE_UP = 3


class PlaneRun:
    """Segments the planes of one stack that have no cells of the present recipe yet.

    Every plane is a request of its own: what is done is kept whatever becomes of the others, and the user works on
    the planes that are done meanwhile. Corrections are never touched.

    Signals
    -------
    changed()
        It began, went on to another plane, or ended.
    """

    changed = Signal()

    def __init__(self, bench: Bench) -> None:
        self._bench, self._planes = bench, bench.part(PlanesInView)
        self._stack: Stack | None = None
        self._recipe: Recipe | None = None
        self._left: set[PlaneKey] = set()
        self._total = 0
        self._failed: dict[PlaneKey, str] = {}
        self.activity: Activity | None = None
        bench.session.state_changed.connect(self._on_state)
        bench.answered.connect(self._on_answered)
        bench.request_failed.connect(self._on_failed)
        bench.cancelled.connect(self._on_cancelled)

    @property
    def busy(self) -> bool:
        """Whether planes are left to do."""
        return self._stack is not None

    def segment_chosen(self) -> None:
        """Segment the chosen image, or of a stack all planes where the user chose so."""
        bench, chosen = self._bench, self._bench.session.chosen
        stack = bench.stack_of(chosen) if isinstance(chosen, PlaneKey) else None
        if stack is not None and bench.session.choices.viewer.all_planes:
            self.start(stack, bench.session.recipe_asked())
        else:
            bench.segment(bench.layer_to_segment(), bench.session.recipe_asked())

    def start(self, stack: Stack, recipe: Recipe) -> bool:
        """Segment all planes that have no cells of this recipe; all of them again where none is left."""
        session = self._bench.session
        if session.running is not None or self.busy:
            return False
        keys = list(stack.plane_keys())
        left = [key for key in keys if not self._is_done(key, recipe)] or keys
        need = len(left) * (KEPT_BYTES_PER_PIXEL + _bytes_per_pixel(stack)) * int(np.prod(stack.image.shape_yx))
        if need > (free := free_bytes()):
            session.fail(
                None,
                f"The cells of {len(left):,} planes would take about {need / 1e9:,.1f} GB of memory, and "
                f"{free / 1e9:,.1f} GB are free. Segment single planes here, or run the file in the Batch widget with "
                "one stack for all planes: it holds one at a time. Or zoom in, and choose 'What is visible' in "
                "the menu beside Segment.",
            )
            return False
        self._stack, self._recipe = stack, recipe
        self._left, self._total, self._failed = set(left), len(left), {}
        self.activity = Activity(f"Segmenting {stack.image.title}", self._bench.cancel)
        self._advance()
        return True

    def _on_cancelled(self) -> None:
        """Do no more planes."""
        stack = self._stack
        if stack is None:
            return
        self._close()
        n_done = len(self._planes.done(stack.layer))
        self.changed.emit()
        self._bench.session.note(
            f"Cancelled. {n_done:,} of {stack.n_planes:,} planes are done; Segment goes on with the others."
        )

    def _on_answered(self, key: Any) -> None:
        self._left.discard(key)

    def _on_failed(self, key: Any, error: BaseException) -> None:
        """Note that a plane could not be segmented; the others are done all the same."""
        if self.busy and key in self._left:
            self._left.discard(key)
            self._failed[key] = str(error) or type(error).__name__

    def _progress_of_all(self, progress: Progress) -> Progress:
        """Return how far all planes are, given how far one is."""
        if self.activity is None:
            return progress
        return self.activity.show_one(progress, "plane", self._total - len(self._left), self._total)

    def _close(self) -> None:
        self._stack = None
        self._left.clear()
        activity, self.activity = self.activity, None
        if activity is not None:
            activity.close()

    def _is_done(self, key: PlaneKey, recipe: Recipe) -> bool:
        cells = self._bench.session.cells_of(key)
        return cells is not None and not differences(cells.segmented, recipe)

    def _on_state(self, state: Any) -> None:
        # Not at once: the answer is still being shown.
        if self.busy and state.kind != "running":
            QTimer.singleShot(0, self._advance)

    def _advance(self) -> None:
        """Go on to the plane in view, or the one nearest to it; report the outcome at the end."""
        stack, recipe, bench = self._stack, self._recipe, self._bench
        if stack is None or recipe is None or bench.session.running is not None:
            return
        layer = bench.layer_of(stack.layer)
        if layer is None:
            self._close()
            return
        n_done = self._total - len(self._left) - len(self._failed)
        if not self._left or (len(self._failed) >= GIVE_UP and not n_done):
            self._end(stack)
            return
        here = bench.key_of(layer)
        if not stack.has(here):
            self._close()
            return
        key = min(self._left, key=lambda one: (abs(stack.number(one) - stack.number(here)), stack.number(one)))
        try:
            request = bench.start(
                key, stack.plane(key), recipe, activity=self.activity, progress_of=self._progress_of_all
            )
        except CellsegError as error:
            self._on_failed(key, error)
            QTimer.singleShot(0, self._advance)
            return
        if request is not None:
            self.changed.emit()

    def _end(self, stack: Stack) -> None:
        self._close()
        session, n_done = self._bench.session, len(self._planes.done(stack.layer))
        if self._failed:
            key, error = next(iter(self._failed.items()))
            session.fail(
                None,
                f"{n_done:,} of {stack.n_planes:,} planes are done, {len(self._failed):,} failed. "
                f"{stack.words(key)}: {error}",
            )
        else:
            session.rest()
        self.changed.emit()


def _bytes_per_pixel(stack: Stack) -> int:
    return int(np.dtype(stack.image.data.dtype).itemsize) * (3 if stack.image.rgb else 1)
