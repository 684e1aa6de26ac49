"""Linked planes: the slices of a volume become 3D cells, the frames of a film become tracks, in layers of their own."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels, Tracks
from psygnal import Signal
from superqt.utils import qdebounced

from ...imaging.errors import CellsegError
from ...imaging.memory import check_room
from ...session import Cells, PlaneKey
from ..shared.workers import Latest
from ..viewer.bench import Bench
from ..viewer.following import Following
from ..viewer.layer_image import METADATA_KEY
from ..viewer.layer_watch import add_unselected
from ..viewer.planes import Stack
from ..viewer.planes_in_view import PlanesInView
from .linked_planes import Linked, link_planes
from .plane_layers import PlaneLayout

DEBOUNCE_MS = 400
CONTOUR, OPACITY = 2, 0.9
_LINKED_BYTES = 4


class PlaneLinks:
    """Linked cells of the stacks of a viewer, once they were asked for; they follow sliders and corrections.

    Signals
    -------
    changed(layer)
        Cells were linked, or are no longer; the id of the image layer.
    """

    changed = Signal(object)

    def __init__(self, bench: Bench) -> None:
        self._bench, self._planes, self._following = bench, bench.part(PlanesInView), bench.part(Following)
        self._linked: dict[Any, Linked] = {}
        self._layers: dict[Any, tuple[Labels, Tracks | None]] = {}
        self._sliders: dict[Any, tuple[object, ...]] = {}
        self._emptied: set[Any] = set()
        self._working = Latest(bench.failed, self._on_ended)
        self._debounced = qdebounced(self._follow, timeout=DEBOUNCE_MS)
        self._planes.changed.connect(self._on_stack)
        bench.session.corrected.connect(self._on_corrected)
        bench.viewer.layers.events.removed.connect(self._on_removed)

    @property
    def busy(self) -> bool:
        """Whether planes are being linked."""
        return self._working.busy

    def linked(self, layer: Any) -> Linked | None:
        """Return the linked cells of an image layer; None before they were asked for."""
        return self._linked.get(layer)

    def words(self, layer: Any) -> str:
        """Describe how many there are; empty before they were asked for."""
        linked = self.linked(layer)
        if linked is None:
            return ""
        what = "3D cell" if linked.tracks is None else "track"
        return f"{linked.count:,} {what}" + ("" if linked.count == 1 else "s")

    def link(self, stack: Stack, keep: bool = False) -> None:
        """Link the planes of a stack in a background thread, and show the result.

        Parameters
        ----------
        stack : Stack
        keep : bool
            Keep what belongs together where no plane has changed, whatever the threshold is now; else it is found
            anew at the threshold of now, as on the command line.
        """
        session, planes = self._bench.session, self._planes.planes(stack)
        layer = self._bench.layer_of(stack.layer)
        if layer is None:
            return
        try:
            if len(planes) < stack.n_planes:
                raise CellsegError(
                    f"{len(planes):,} of {stack.n_planes:,} planes are segmented, and planes are linked when all are. "
                    "Choose All planes and press Segment."
                )
            shape = (stack.n_planes, *stack.image.shape_yx)
            check_room(_LINKED_BYTES * math.prod(shape), f"{stack.image.title}: its linked cells", shape)
        except CellsegError as error:
            session.fail(None, error)
            return
        known = self._linked.get(stack.layer) if keep else None
        asked = _sliders(planes)

        def show(linked: Linked) -> None:
            if self._bench.layer_of(stack.layer) is layer and all(session.cells_of(key) for key, _ in planes):
                first = stack.layer not in self._linked
                self._linked[stack.layer], self._sliders[stack.layer] = linked, asked
                self._show(stack, layer, linked, planes[0][1])
                # Before the first time there is no note of what changed while planes were linked.
                self._debounced()
                if first:
                    session.note(f"{self.words(stack.layer)} over {stack.in_words()}, in a layer of their own.")
                self.changed.emit(stack.layer)

        self._working.ask(lambda: link_planes(stack, planes, None if known is None else known.links), show)
        self.changed.emit(stack.layer)

    def close(self) -> None:
        """Stop working."""
        self._debounced.cancel()
        self._working.close()

    def _show(self, stack: Stack, image: ImageLayer, linked: Linked, cells: Cells) -> None:
        viewer, letters = self._bench.viewer, [axis for axis, _ in stack.lengths]
        layout = PlaneLayout(stack, image)
        data, where = layout.lay(linked.labels), layout.placement
        recipe = replace(cells.segmented.recipe, threshold=cells.threshold, min_size=cells.min_size)
        metadata = {METADATA_KEY: {"recipe": recipe.to_dict(), "count": linked.count, "linked": "".join(letters)}}
        labels, tracks = self._layers.get(stack.layer, (None, None))
        if labels is None:
            labels = Labels(data, name=f"{image.name} cells linked", opacity=OPACITY, metadata=metadata, **where)
            # Outlines: the cells of the plane in view, which are corrected, are seen inside them.
            labels.contour, labels.editable = CONTOUR, False
            add_unselected(viewer, labels)
        else:
            labels.data, labels.metadata = data, metadata
        if linked.tracks is not None and len(linked.tracks.rows):
            rows = np.zeros((len(linked.tracks.rows), 1 + layout.n_axes))
            rows[:, [0, *(1 + place for place in layout.places)]] = linked.tracks.rows
            if tracks is None:
                tracks = Tracks(rows, graph=linked.tracks.graph, name=f"{image.name} tracks", **where)
                add_unselected(viewer, tracks)
            else:
                tracks.graph = {}
                tracks.data = rows
                tracks.graph = linked.tracks.graph
            tracks.visible = tracks.visible or stack.layer in self._emptied
            self._emptied.discard(stack.layer)
        elif linked.tracks is not None and tracks is not None and tracks.visible:
            # A layer of tracks cannot be empty.
            tracks.visible = False
            self._emptied.add(stack.layer)
        self._layers[stack.layer] = (labels, tracks)

    def _on_stack(self, layer: Any) -> None:
        if layer in self._linked:
            if not self._planes.done(layer):
                self._forget(layer)
            else:
                self._debounced()

    def _on_corrected(self, key: Any, region: object) -> None:
        if isinstance(key, PlaneKey) and key.layer in self._linked:
            self._debounced()

    def _follow(self) -> None:
        """Link again what has changed since."""
        for layer in list(self._linked):
            stack = self._bench.stack_of(layer)
            if stack is None:
                self._forget(layer)
                continue
            planes = self._planes.planes(stack)
            if len(planes) == stack.n_planes and _sliders(planes) != self._sliders[layer]:
                if self.busy or self._following.dragging:
                    self._debounced()
                else:
                    self.link(stack, keep=True)

    def _on_ended(self) -> None:
        for layer in self._linked:
            self.changed.emit(layer)

    def _on_removed(self, event: Any) -> None:
        for layer, pair in list(self._layers.items()):
            if event.value is pair[0]:
                self._forget(layer)
            elif event.value is pair[1]:
                self._layers[layer] = (pair[0], None)

    def _forget(self, layer: Any) -> None:
        """Follow no more; the layers stay in the viewer."""
        for known in (self._linked, self._layers, self._sliders):
            known.pop(layer, None)
        self.changed.emit(layer)


def _sliders(planes: list[tuple[PlaneKey, Cells]]) -> tuple[object, ...]:
    return tuple((cells.corrected, cells.revision, cells.threshold, cells.min_size) for _, cells in planes)
