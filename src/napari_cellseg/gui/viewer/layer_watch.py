"""What image and result layers of a viewer do when layers come, change and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image as ImageLayer
from napari.layers import Layer
from qtpy.QtCore import QTimer

from ...imaging.errors import CellsegError
from ...session import layer_id
from .bench import Bench
from .canvas import draw_in_canvas
from .cells_labels import CellsLabels
from .channels import channel_layers
from .count_points import CountPoints
from .layer_image import PLACEMENT

if TYPE_CHECKING:
    from napari import Viewer


def add_unselected(viewer: Viewer, layer: Layer, place: int | None = None) -> None:
    """Add a layer at a place in the layer list, by default on top, while the selected layer stays selected."""
    active = viewer.layers.selection.active
    if place is None:
        viewer.add_layer(layer)
    else:
        viewer.layers.insert(place, layer)
    viewer.layers.selection.active = active


class LayerWatch:
    """Keeps the bench up to date with the layers of its viewer."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._removing = False
        layers = bench.viewer.layers
        layers.events.inserted.connect(self._on_inserted)
        layers.events.removing.connect(self._on_removing)
        # Napari before 0.7 removes one by one.
        if "end_batch" in layers.events:
            layers.events.end_batch.connect(self._on_removing)
        layers.events.removed.connect(self._on_removed)
        for layer in layers:
            self._watch(layer)

    def take_out(self, layer: Layer) -> None:
        """Remove a layer; a moment later while napari removes others, of which this may be the next."""
        if self._removing:
            QTimer.singleShot(0, lambda: self._take_out(layer))
        else:
            self._take_out(layer)

    def _take_out(self, layer: Layer) -> None:
        try:
            layers = self._bench.viewer.layers
        except CellsegError:
            return  # the window was closed meanwhile
        if layer in layers:
            layers.remove(layer)

    def _watch(self, layer: Layer) -> None:
        if isinstance(layer, ImageLayer):
            layer.events.data.connect(self._on_data)
            layer.events.scale.connect(self._on_scale)
            layer.events.name.connect(self._on_renamed)
            for moved in PLACEMENT:
                getattr(layer.events, moved).connect(self._on_placed)

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)

    def _on_data(self, event: Any) -> None:
        """Forget what was found in an image layer that was given other data."""
        self._bench.let_go(event.source)
        if layer_id(self._bench.session.chosen) == event.source.unique_id:
            self._bench.choose(event.source)
        self._bench.image_changed.emit(event.source.unique_id)

    def _on_renamed(self, event: Any) -> None:
        self._bench.image_renamed.emit(event.source.unique_id)

    def _on_scale(self, event: Any) -> None:
        self._bench.image_changed.emit(event.source.unique_id)

    def _on_placed(self, event: Any) -> None:
        """Let the cells lie where their image lies in the world."""
        for channel in channel_layers(self._bench.viewer, event.source):
            setattr(channel, event.type, getattr(event.source, event.type))
        if (layers := self._bench.layers.of_image(event.source.unique_id)) is not None:
            layers.place(event.source, event.type)

    def _on_removing(self, event: Any) -> None:
        draw_in_canvas(self._bench.viewer)

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        if not self._removing:
            self._removing = True
            QTimer.singleShot(0, self._on_all_removed)
        if isinstance(layer, ImageLayer):
            self._bench.let_go(layer)
            return
        if isinstance(layer, CellsLabels):
            self._on_cells_removed(layer)

    def _on_cells_removed(self, labels: CellsLabels) -> None:
        """Forget the cells of a labels layer, and take its numbers out, whose image may be gone already."""
        results = self._bench.layers
        owner = layer_id(results.key_of(labels)) or results.owner_asleep(labels)
        if owner is not None:
            self._bench.forget(owner)
        for points in self._bench.viewer.layers:
            if isinstance(points, CountPoints) and points.numbers_of is labels:
                self.take_out(points)

    def _on_all_removed(self) -> None:
        self._removing = False
