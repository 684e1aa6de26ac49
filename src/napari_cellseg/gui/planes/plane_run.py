"""All planes of a stack, one after the other: the one in view first, then the nearest."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...imaging.memory import free_bytes
from ...segmentation.differences import differences
from ...segmentation.recipe import Recipe
from ...session import PlaneKey
from ..viewer.bench import Bench
from ..viewer.one_by_one import OneByOne
from ..viewer.planes import Stack
from ..viewer.planes_in_view import PlanesInView

# What stays of a segmented plane, beside its values: probability, distance, basins, levels, and their tables.
KEPT_BYTES_PER_PIXEL = 18
# So many failures without one success are no matter of single planes.
GIVE_UP = 3


class PlaneRun(OneByOne):
    """Segments the planes of one stack that have no cells of the present recipe yet.

    The user works on the planes that are done meanwhile. Corrections are never touched.
    """

    what = "plane"

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._planes = bench.part(PlanesInView)
        self._stack: Stack | None = None
        self._recipe = Recipe()

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
        self._begin(left, f"Segmenting {stack.image.title}")
        return True

    def _is_done(self, key: PlaneKey, recipe: Recipe) -> bool:
        cells = self._bench.session.cells_of(key)
        return cells is not None and not differences(cells.segmented, recipe)

    def _next(self) -> Any:
        """Return the key of the plane in view, or of the one nearest to it."""
        stack = self._stack
        layer = None if stack is None else self._bench.layer_of(stack.layer)
        here = None if layer is None else self._bench.key_of(layer)
        if stack is None or not stack.has(here):
            return None
        return min(self._left, key=lambda one: (abs(stack.number(one) - stack.number(here)), stack.number(one)))

    def _is_hopeless(self) -> bool:
        return len(self._failed) >= GIVE_UP and not self._done

    def _recipe_of(self, key: Any) -> Recipe:
        return self._recipe

    def _cancelled(self) -> str:
        return f"Cancelled. {self._n_done()}; Segment goes on with the others."

    def _n_done(self) -> str:
        assert self._stack is not None
        return f"{len(self._planes.done(self._stack.layer)):,} of {self._stack.n_planes:,} planes are done"

    def _end(self) -> None:
        session, stack = self._bench.session, self._stack
        if self._failed and stack is not None:
            key, error = next(iter(self._failed.items()))
            session.fail(None, f"{self._n_done()}, {len(self._failed):,} failed. {stack.words(key)}: {error}")
        else:
            session.rest()


def _bytes_per_pixel(stack: Stack) -> int:
    return int(np.dtype(stack.image.data.dtype).itemsize) * (3 if stack.image.rgb else 1)
