"""Image layers of several planes: the plane in view is the one that everything else acts on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from psygnal import Signal
from qtpy.QtCore import QTimer

from ...segmentation.recipe import Recipe
from ...session import Cells, PlaneKey, layer_id
from .bench import Bench
from .planes import Stack, point_of

# Planes out of view follow the sliders in slices of this many seconds: the window never waits for them.
SLICE_S = 0.008
SPREAD_MS = 60


class PlanesInView:
    """Which plane of each stack is in view, and its one pair of result layers, which shows the cells of that plane.

    All planes of a stack stand at the same sliders: those of the plane in view. The others follow in the background.

    Signals
    -------
    changed(layer)
        Another plane came into view, or the cells of some plane of this image layer changed; the id of the layer.
    plane_shown(before, key)
        The result layers of a stack show another plane now; `before` is None for the first.
    """

    changed = Signal(object)
    plane_shown = Signal(object, object)

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._shown: dict[Any, PlaneKey] = {}
        self._sliders: dict[Any, tuple[float, int]] = {}
        self._counts: dict[PlaneKey, tuple[tuple[object, ...], int]] = {}
        self._behind: deque[PlaneKey] = deque()
        self._clock = QTimer()
        self._clock.setSingleShot(True)
        self._clock.timeout.connect(self._spread)
        bench.completions.append(self._complete)
        bench.forgotten.connect(self._on_forgotten)
        bench.viewer.dims.events.current_step.connect(self._on_step)
        bench.session.sliders_changed.connect(self._on_sliders)
        bench.session.cells_changed.connect(self._on_cells)

    def done(self, layer: Any) -> list[PlaneKey]:
        """Return the keys of the planes of an image layer that were segmented."""
        keys = self._bench.session.keys()
        return [key for key in keys if isinstance(key, PlaneKey) and key.layer == layer]

    def _complete(self, key: Any, recipe: Recipe) -> Recipe:
        """Put in threshold and min_size of the other planes, once the same model has segmented one."""
        if not isinstance(key, PlaneKey) or key.layer not in self._sliders:
            return recipe
        if not self._any_by(recipe.model, self.done(key.layer)):
            return recipe
        threshold, min_size = self._sliders[key.layer]
        return replace(recipe, threshold=threshold, min_size=min_size)

    def _any_by(self, model: str, keys: Iterable[PlaneKey]) -> bool:
        """Whether a model has segmented any of these planes."""
        cells = (self._bench.session.cells_of(key) for key in keys)
        return any(one is not None and one.segmented.recipe.model == model for one in cells)

    def cells_of(self, key: PlaneKey) -> Cells | None:
        """Return the cells of a plane at the sliders of its stack."""
        self._catch_up(key)
        return self._bench.session.cells_of(key)

    def counts(self, stack: Stack) -> np.ndarray:
        """Return how many cells each plane has with the sliders of the stack, time before slice; -1: not segmented."""
        counts = np.full(stack.n_planes, -1, dtype=np.int64)
        threshold, min_size = self._sliders.get(stack.layer, (0.0, 0))
        for key in self.done(stack.layer):
            cells = self._bench.session.cells_of(key)
            if cells is not None and stack.has(key):
                counts[stack.number(key)] = self._count(key, cells, threshold, min_size)
        return counts

    def _count(self, key: PlaneKey, cells: Cells, threshold: float, min_size: int) -> int:
        asked = (cells.corrected, cells.corrected.corrections.revision, threshold, min_size)
        known = self._counts.get(key)
        if known is None or known[0] != asked:
            known = self._counts[key] = (asked, cells.corrected.count(threshold, min_size))
        return known[1]

    def words(self, key: Any) -> str:
        """Name the plane of a key; empty for an image of one plane."""
        stack = self._bench.stack_of(key) if isinstance(key, PlaneKey) else None
        return "" if stack is None or not stack.has(key) else stack.words(key)

    def planes(self, stack: Stack) -> list[tuple[PlaneKey, Cells]]:
        """Return the planes of a stack that were segmented, in order, with their cells at the sliders of the stack."""
        cells = ((key, self.cells_of(key)) for key in stack.plane_keys())
        return [(key, one) for key, one in cells if one is not None]

    def go_to(self, key: PlaneKey) -> None:
        """Bring a plane into view."""
        stack, layer, viewer = self._bench.stack_of(key), self._bench.layer_of(key), self._bench.viewer
        if stack is None or layer is None or not stack.has(key):
            return
        place, point = point_of(stack, layer, key, viewer.dims.point), list(viewer.dims.point)
        for axis, _ in key.index:
            i = stack.image.axes.index(axis) - layer.ndim
            point[i] = float(place[i])
        viewer.dims.point = tuple(point)

    def follow(self, layer: ImageLayer) -> None:
        """Let the result layers of a stack, and the session where it is the chosen image, follow the plane in view."""
        bench, id_ = self._bench, layer.unique_id
        key, before = bench.key_of(layer), self._shown.get(id_)
        if isinstance(key, PlaneKey) and key != before:
            self._move(layer, before, key)
        if layer_id(bench.session.chosen) == id_ and bench.session.chosen != key:
            bench.session.choose(key)
        self.changed.emit(id_)

    def close(self) -> None:
        """Stop working."""
        self._clock.stop()
        self._behind.clear()

    def _move(self, layer: ImageLayer, before: PlaneKey | None, key: PlaneKey) -> None:
        """Let the result layers that showed one plane show another."""
        results, id_ = self._bench.layers, layer.unique_id
        pair = results.of_image(id_)
        if pair is not None:
            # What is being painted belongs to the plane that goes out of view.
            pair.labels.finish_stroke()
        results.forget(id_)
        self._shown[id_] = key
        cells = self.cells_of(key)
        if pair is None:
            if cells is not None:
                self._bench.show_cells(key, layer, cells)
        elif cells is None:
            results.put_to_sleep(id_, pair)
        else:
            results[key] = pair
            pair.show_plane(cells)
            pair.wake()
        self.plane_shown.emit(before, key)

    def _on_step(self, event: Any = None) -> None:
        for id_ in {*self._shown, layer_id(self._bench.session.chosen)}:
            layer = self._bench.layer_of(id_)
            if layer is not None and layer.ndim > 2:
                self.follow(layer)

    def _on_cells(self, key: Any) -> None:
        if not isinstance(key, PlaneKey):
            return
        if (cells := self._bench.session.cells_of(key)) is not None:
            if self._bench.is_in_view(key):
                self._shown[key.layer] = key
            others = [other for other in self.done(key.layer) if other != key]
            # The sliders may have moved on another plane while this one was segmented.
            behind = self._any_by(cells.segmented.recipe.model, others)
            # Of labels that were taken none is too small, wherever the sliders stood for other cells.
            unseen = key != self._bench.session.chosen and not cells.segmented.taken_from
            if key.layer in self._sliders and (behind or unseen):
                self._catch_up(key)
            else:
                self._set_sliders(key, cells)
        self.changed.emit(key.layer)

    def _on_forgotten(self, layer: Any) -> None:
        self._counts = {key: count for key, count in self._counts.items() if key.layer != layer}
        for known in (self._shown, self._sliders):
            known.pop(layer, None)
        self._behind = deque(key for key in self._behind if key.layer != layer)

    def _on_sliders(self, key: Any) -> None:
        cells = self._bench.session.cells_of(key) if isinstance(key, PlaneKey) else None
        if cells is None or key in self._behind:
            return
        if key == self._shown.get(key.layer):
            self._set_sliders(key, cells)
            self.changed.emit(key.layer)

    def _set_sliders(self, key: PlaneKey, cells: Cells) -> None:
        wanted = (cells.threshold, cells.min_size)
        if self._sliders.get(key.layer) == wanted:
            return
        self._sliders[key.layer] = wanted
        others = [other for other in self.done(key.layer) if other != key]
        self._behind = deque([*(other for other in self._behind if other.layer != key.layer), *others])
        if self._behind:
            self._clock.start(SPREAD_MS)

    def _spread(self) -> None:
        """Let planes out of view follow the sliders, as many as there is time for now."""
        began = time.monotonic()
        while self._behind and time.monotonic() - began < SLICE_S:
            self._catch_up(self._behind[0])
            self._behind.popleft()
        if self._behind:
            self._clock.start(1)

    def _catch_up(self, key: PlaneKey) -> None:
        sliders, session = self._sliders.get(key.layer), self._bench.session
        if sliders is not None and session.cells_of(key) is not None:
            session.set_threshold(sliders[0], key)
            session.set_min_size(sliders[1], key)
