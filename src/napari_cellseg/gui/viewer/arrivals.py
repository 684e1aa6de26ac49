"""What napari's own menu, or a drop on the canvas, opens follows the same rules as what is opened here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Image as ImageLayer
from napari.layers import Layer
from qtpy.QtCore import QTimer

from ...imaging.errors import CellsegError
from ...imaging.image import Image
from ...imaging.read.formats import format_of
from ...imaging.read.read import read_image
from ...imaging.read.scenes import file_of
from ...results.reopening import saved_cells
from .bench import Bench
from .channels import is_split
from .layer_image import ARRIVED, METADATA_KEY, layer_path
from .layer_watch import LayerWatch
from .opening import add_image
from .taking import Taking


class Arrivals:
    """Shows a file that napari opened as the chosen image: saved cells with their image, channels in their colours."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._taking, self._watch = bench.part(Taking), bench.part(LayerWatch)
        layers = bench.viewer.layers
        layers.events.inserted.connect(self._on_inserted)
        for layer in layers:
            self._look_later(layer)

    def _on_inserted(self, event: Any) -> None:
        self._look_later(event.value)

    def _look_later(self, layer: Layer) -> None:
        """Look at a layer of a file once napari is done with it."""
        path = layer_path(layer)
        if path is not None and (METADATA_KEY not in layer.metadata or ARRIVED in _about(layer)):
            QTimer.singleShot(0, lambda: self._look(layer, Path(path)))

    def _look(self, layer: Layer, path: Path) -> None:
        try:
            present = layer in self._bench.viewer.layers
        except CellsegError:
            return  # the window was closed meanwhile
        if not present:
            return
        saved = saved_cells(path)
        if saved is not None:
            self._watch.take_out(layer)
            self._taking.reopen(saved)
        elif isinstance(layer, ImageLayer):
            known = {name: value for name, value in _about(layer).items() if name != ARRIVED}
            layer.metadata = {**layer.metadata, METADATA_KEY: {**known, "opened": True}}
            if layer.ndim == 3 and not (layer.rgb or layer.multiscale) and format_of(file_of(path)):
                self._read_again(layer, path)
            self._show(layer)

    def _read_again(self, layer: ImageLayer, path: Path) -> None:
        """Show channels as such: napari's own reader does not know that they are."""

        def show(image: Image | None) -> None:
            if image is None or layer not in self._bench.viewer.layers or image.data.shape != layer.data.shape:
                return
            self._watch.take_out(layer)
            self._show(add_image(self._bench.viewer, image))

        self._bench.in_background(lambda: _channels_of(path), show)

    def _show(self, layer: Layer) -> None:
        assert isinstance(layer, ImageLayer)
        self._bench.choose(layer)
        self._bench.show_image(layer)


def _about(layer: Layer) -> dict[str, Any]:
    """Return what is known of a layer's image."""
    return dict(layer.metadata.get(METADATA_KEY, {}))


def _channels_of(path: Path) -> Image | None:
    try:
        image = read_image(path)
    except CellsegError:
        return None
    return image if is_split(image, None) else None
