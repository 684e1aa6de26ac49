"""An image of a dataset and its cells, or those that a new model finds, as layers to look at."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels, Layer
from napari.utils.colormaps import DirectLabelColormap

from ...training.data.sample import Sample
from ..viewer.bench import Bench

# As in the report: true cells, and those that were found.
COLORS = {"truth": "#78ff3c", "found": "#00c8ff"}


class PairLayers:
    """The layers of one image at a time; the next one reuses them, and layers that it does not need are hidden.

    They are not removed: napari 0.9 on a software renderer crashes when an image and labels were removed, and an image
    in colours is drawn then.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._layers: dict[str, Layer] = {}

    @property
    def shown(self) -> bool:
        """Whether an image is being looked at."""
        return any(layer.visible and layer in self._bench.viewer.layers for layer in self._layers.values())

    def show(self, sample: Sample, found: np.ndarray | None = None) -> None:
        """Show an image with its cells; with those found by a model too, both are outlines."""
        chosen, what = self._bench.session.chosen, "to learn from" if found is None else "held out"
        put = [self._image(sample.image, f"{sample.name} ({what})")]
        if found is None:
            put.append(self._labels("masks", sample.labels, sample.name))
        else:
            put += [self._labels(kind, labels, sample.name) for kind, labels in
                    (("truth", sample.labels), ("found", found))]  # fmt: skip
        look_at(self._bench, put, chosen)

    def show_picture(self, picture: np.ndarray, name: str) -> None:
        """Show a picture in colours."""
        chosen = self._bench.session.chosen
        look_at(self._bench, [self._image(picture, name)], chosen)

    def hide(self) -> None:
        """Hide all of these layers."""
        for layer in self._layers.values():
            layer.visible = False

    def _image(self, data: np.ndarray, name: str) -> Layer:
        rgb = data.ndim == 3
        layer = self._layer("colours" if rgb else "grey", data, name, lambda: ImageLayer(data, name=name, rgb=rgb))
        if not rgb:
            layer.reset_contrast_limits()
        return layer

    def _labels(self, kind: str, data: np.ndarray, of: str) -> Layer:
        def make() -> Layer:
            if kind == "masks":
                return Labels(data, opacity=0.5)
            layer = Labels(data, colormap=DirectLabelColormap(color_dict={None: COLORS[kind], 0: "transparent"}))
            layer.opacity, layer.contour = 1.0, 1
            return layer

        layer = self._layer(kind, data, f"{of} {kind}", make)
        # Only to be looked at: what is painted here would be lost.
        layer.editable = False
        return layer

    def _layer(self, kind: str, data: np.ndarray, name: str, make: Callable[[], Layer]) -> Layer:
        """Return the layer of a kind with other data; a new one if the user has removed it."""
        viewer, layer = self._bench.viewer, self._layers.get(kind)
        if layer is None or layer not in viewer.layers:
            layer = self._layers[kind] = viewer.add_layer(make())
        else:
            layer.data = data
        layer.name = name
        return layer


def look_at(bench: Bench, wanted: Sequence[Layer], chosen: Hashable | None) -> None:
    """Show these layers alone, with the last one selected, and choose the image that was chosen before."""
    viewer = bench.viewer
    for layer in viewer.layers:
        # Layers above would cover them; the user can show those again in the layer list.
        layer.visible = layer in wanted
    viewer.layers.selection.active = wanted[-1]
    if chosen is not None:
        bench.session.choose(chosen)
    try:
        viewer.reset_view(layers=wanted)
    except TypeError:
        # Older versions of napari only fit everything.
        viewer.reset_view()
