"""The overlay that shows what would be learned from, and in which the user marks what was reviewed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from psygnal import Signal
from superqt.utils import qdebounced

from ...imaging.errors import CellsegError
from ...imaging.regions import Region, grown, is_empty, shape_of, whole
from ...session import PlaneKey, layer_id
from ..shared.workers import Latest
from ..viewer.bench import Bench
from ..viewer.cells_labels import CellsLabels
from ..viewer.correcting import Correcting
from ..viewer.layer_image import placement
from ..viewer.layer_watch import LayerWatch, add_unselected
from ..viewer.planes_in_view import PlanesInView
from .strokes import rectangle

MARKED, NEAR = 1, 2
MARGIN = 8
OPACITY = 0.3
DEBOUNCE_MS = 250
BRUSH_SIZE = 40
# Pixels; a larger area is computed in a background thread.
MAX_AT_ONCE = 1_000_000
LEFT = 1


class ReviewedLayers:
    """Overlay layers of a viewer's images: 1 where the user marked, 2 around corrected cells, 0 elsewhere.

    Signals
    -------
    changed()
        It was shown, hidden, or another way to mark was chosen.
    """

    changed = Signal()

    def __init__(self, bench: Bench) -> None:
        self._bench, self._correcting = bench, bench.part(Correcting)
        self._layers: dict[Any, CellsLabels] = {}
        self._drawn: dict[Any, tuple[object, ...]] = {}
        self._pictures: WeakKeyDictionary[CellsLabels, np.ndarray] = WeakKeyDictionary()
        # Overlays of planes that were not segmented yet, by the id of their image layer: hidden until they are needed.
        self._asleep: dict[Any, CellsLabels] = {}
        self.shown = False
        self._dragging = False
        self.way = ""
        self._working = Latest(bench.failed)
        self._debounced = qdebounced(self._draw_all, timeout=DEBOUNCE_MS)
        bench.part(PlanesInView).plane_shown.connect(self._on_plane_shown)
        bench.session.corrected.connect(self._on_corrected)
        for signal in (bench.session.sliders_changed, bench.session.cells_changed, bench.session.chosen_changed):
            signal.connect(self._on_cells)
        bench.session.chosen_changed.connect(self._on_chosen)
        bench.viewer.layers.events.removed.connect(self._on_removed)

    def show(self, shown: bool) -> None:
        """Show or hide the overlay."""
        self.shown = shown
        key = self._bench.session.chosen
        if (layer := self._layers.get(key)) is not None:
            layer.visible = shown
        if shown:
            self._make(key)
            self._catch_up()
        else:
            self.mark_by("")
        self.changed.emit()

    def mark_by(self, way: str) -> None:
        """Mark with the mouse from now on: "rectangle", "brush", or not any more ("")."""
        if way:
            self.shown = True
            self._make(self._bench.session.chosen)
            self._catch_up()
        layer = self._layers.get(self._bench.session.chosen)
        self.way = way if layer is not None else ""
        layers = self._bench.layers.get(self._bench.session.chosen)
        if layer is not None and way:
            layer.visible = True
            self._bench.viewer.layers.selection.active = layer
            layer.selected_label = MARKED
            layer.mode = "paint" if way == "brush" else "pick"
        elif layer is not None and layers is not None and self._bench.viewer.layers.selection.active is layer:
            layer.mode = "pan_zoom"
            self._bench.viewer.layers.selection.active = layers.labels
        self.changed.emit()

    def mark_all(self, marked: bool) -> None:
        """Mark the whole image, or nothing of it, as reviewed."""
        key, cells = self._bench.session.chosen, self._bench.session.cells
        if cells is not None:
            self._mark(key, whole(cells.corrected.shape), MARKED if marked else 0)

    def close(self) -> None:
        """Stop working."""
        self._debounced.cancel()
        self._working.close()

    def _on_plane_shown(self, before: PlaneKey | None, key: PlaneKey) -> None:
        """Let the overlay of one plane of an image be that of another."""
        if before is None:
            return
        if before in self._layers:
            self._layers[before].finish_stroke()
        layer = self._layers.pop(before, None) or self._asleep.pop(key.layer, None)
        self._drawn.pop(before, None)
        if layer is None:
            return
        if self._bench.session.cells_of(key) is None:
            self._asleep[key.layer] = layer
            layer.visible = False
            return
        self._layers[key] = layer
        # What was marked elsewhere must not be seen here, not even for a moment.
        layer.data[:] = 0
        layer.visible = self.shown
        self._note_drawn(layer)
        layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _mark(self, key: Any, region: Region, marks: np.ndarray | int) -> None:
        try:
            self._bench.session.mark_reviewed(key, region, np.asarray(marks) != 0)
        except CellsegError:
            # It is marked so already: the picture is what it was.
            self._draw(key, region)

    def _make(self, key: Any) -> None:
        """Make the overlay of an image, below its cells, unless there is one."""
        layers, cells = self._bench.layers.get(key), self._bench.session.cells_of(key)
        if layers is None or cells is None or key in self._layers:
            return
        if (asleep := self._asleep.pop(layer_id(key), None)) is not None:
            self._layers[key] = asleep
            asleep.visible = self.shown
            self._debounced()
            return
        viewer = self._bench.viewer
        layer = CellsLabels(
            np.zeros(cells.corrected.shape, dtype=np.uint8),
            name=f"{layers.labels.name} learned from",
            opacity=OPACITY,
            colormap=DirectLabelColormap(
                color_dict={None: "transparent", 0: "transparent", MARKED: "#35c2b0", NEAR: "#ffb000"}
            ),
            **placement(layers.labels),
        )
        layer.brush_size = BRUSH_SIZE
        key_of, correcting = self._key_of, self._correcting
        layer.painted.connect(lambda region, after: self._on_painted(layer, region, after))
        self._note_drawn(layer)
        layer.undo_asked.connect(lambda: correcting.undo(key_of(layer)))
        layer.redo_asked.connect(lambda: correcting.redo(key_of(layer)))
        layer.mouse_drag_callbacks.append(self._on_drag)
        layer.events.mode.connect(self._on_mode)
        self._layers[key] = layer
        add_unselected(viewer, layer, viewer.layers.index(layers.labels))
        self._debounced()

    def _on_drag(self, layer: CellsLabels, event: Any) -> Iterator[None]:
        """Mark a rectangle from where the mouse goes down to where it comes up; with Shift take it away."""
        key = self._key_of(layer)
        if self.way != "rectangle" or key is None or event.button != LEFT:
            return
        value = 0 if "Shift" in event.modifiers else MARKED
        start = np.asarray(layer.world_to_data(event.position))
        drawn: Region | None = None
        self._dragging = True
        yield
        while event.type == "mouse_move":
            if drawn is not None:
                self._draw(key, drawn)
            drawn = rectangle(start, np.asarray(layer.world_to_data(event.position)), layer.data.shape)
            layer.redraw(drawn, np.array(value, dtype=np.uint8))
            yield
        self._dragging = False
        if drawn is not None and not is_empty(drawn):
            self._mark(key, drawn, value)

    def _on_painted(self, layer: CellsLabels, region: Region, after: np.ndarray) -> None:
        """Mark what a stroke changed: what the overlay shows besides may be older than the marks."""
        key, drawn = self._key_of(layer), self._pictures[layer][region]
        if (cells := self._bench.session.cells_of(key)) is not None:
            marks = cells.corrected.corrections.marks(region)
            self._mark(key, region, np.where(after != drawn, after == MARKED, marks))

    def _note_drawn(self, layer: CellsLabels) -> None:
        """Remember what an overlay shows, to know what a stroke changes."""
        self._pictures[layer] = layer.data.copy()

    def _key_of(self, layer: CellsLabels) -> Any:
        return next((key for key, other in self._layers.items() if other is layer), None)

    def _on_mode(self, event: Any) -> None:
        mode = str(event.source.mode)
        if (self.way == "rectangle" and mode != "pick") or (self.way == "brush" and mode == "pan_zoom"):
            self.way = ""
            self.changed.emit()

    def _on_removed(self, event: Any) -> None:
        self._asleep = {id_: layer for id_, layer in self._asleep.items() if layer is not event.value}
        for key, layer in list(self._layers.items()):
            if layer is event.value:
                del self._layers[key]
                self._drawn.pop(key, None)
                layer.let_go()
                if key == self._bench.session.chosen:
                    self.shown, self.way = False, ""
                    self.changed.emit()

    def _on_chosen(self, chosen: Any) -> None:
        """Hide the overlays of the other images: they would lie over the one that is seen."""
        for key, layer in self._layers.items():
            layer.visible = self.shown and layer_id(key) == layer_id(chosen)

    def _on_cells(self, key: Any = None) -> None:
        for known in [known for known in self._layers if self._bench.session.cells_of(known) is None]:
            self._bench.part(LayerWatch).take_out(self._layers[known])
        self._catch_up()

    def _catch_up(self) -> None:
        """Draw the overlay of the chosen image anew, unless it is up to date; corrections are drawn where they are."""
        cells = self._bench.session.cells
        if self.shown and cells is not None and self._drawn.get(self._bench.session.chosen) != _asked(cells):
            self._debounced()

    def _on_corrected(self, key: Any, region: Region) -> None:
        layer = self._layers.get(key)
        if layer is None or not self.shown:
            # It is drawn anew when it is shown again.
            self._drawn.pop(key, None)
            return
        if math.prod(shape_of(region)) > MAX_AT_ONCE:
            self._drawn.pop(key, None)
            self._debounced()
            return
        self._draw(key, grown(region, MARGIN + 1, layer.data.shape))

    def _draw(self, key: Any, region: Region) -> None:
        layer, cells = self._layers.get(key), self._bench.session.cells_of(key)
        if layer is not None and cells is not None:
            learned_from = _learned_from(cells, region)
            self._pictures[layer][region] = learned_from
            layer.redraw(region, learned_from)

    def _draw_all(self) -> None:
        """Draw the overlay of the chosen image anew; sliders change which automatic cells the margin leaves out."""
        key, cells = self._bench.session.chosen, self._bench.session.cells
        if cells is None or not self.shown:
            return
        self._make(key)
        layer = self._layers.get(key)
        if layer is None:
            return

        def show(learned_from: np.ndarray) -> None:
            if self._layers.get(key) is not layer:
                return
            if self._bench.session.cells_of(key) is not cells or layer.in_stroke or self._dragging:
                self._debounced()
                return
            self._drawn[key] = _asked(cells)
            if layer.data.shape == learned_from.shape:
                layer.data[:] = learned_from
                layer.refresh(thumbnail=False, highlight=False, extent=False)
            else:
                layer.take(learned_from)
            self._note_drawn(layer)

        self._working.ask(lambda: _learned_from(cells, None), show)


def _asked(cells: Any) -> tuple[object, ...]:
    return cells.corrected, cells.threshold, cells.min_size


def _learned_from(cells: Any, region: Region | None) -> np.ndarray:
    """Return the values of the overlay: exactly the area that is learned from, and in it what was marked."""
    corrected = cells.corrected
    area = corrected.reviewed_area(cells.threshold, cells.min_size, region, MARGIN)
    marked = corrected.corrections.marks(region) > 0
    return np.where(area, np.where(marked, np.uint8(MARKED), np.uint8(NEAR)), np.uint8(0))
