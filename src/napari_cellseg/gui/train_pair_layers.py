"""An image and its cells as layers, to be looked at: of a dataset, or of what a new model was checked on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels, Layer
from napari.utils.colormaps import DirectLabelColormap

from ..training.sample import Sample
from .workbench import Workbench

# As in the report: what is true, and what was found.
COLORS = {"truth": "#78ff3c", "found": "#00c8ff"}


class PairLayers:
    """The layers of one image at a time; the next one takes their place."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._layers: list[Layer] = []

    @property
    def shown(self) -> bool:
        """Whether an image is being looked at."""
        return any(layer in self._bench.viewer.layers for layer in self._layers)

    def show(self, sample: Sample, found: np.ndarray | None = None) -> None:
        """Show an image with its cells; with those found by a model too, both are outlines."""
        outlines: Mapping[str, np.ndarray] = {} if found is None else {"truth": sample.labels, "found": found}
        what = "to learn from" if found is None else "held out"
        layers: list[Layer] = [ImageLayer(sample.image, name=f"{sample.name} ({what})", rgb=sample.image.ndim == 3)]
        if found is None:
            layers.append(Labels(sample.labels, name=f"{sample.name} masks", opacity=0.5))
        for name, labels in outlines.items():
            layer = Labels(labels, name=f"{sample.name} {name}", opacity=1.0, colormap=_one_color(COLORS[name]))
            layer.contour = 1
            layers.append(layer)
        self._put(layers)

    def show_picture(self, picture: np.ndarray, name: str) -> None:
        """Show a picture in colours."""
        self._put([ImageLayer(picture, name=name, rgb=True)])

    def clear(self) -> None:
        """Take the layers away."""
        layers = self._bench.viewer.layers
        for layer in self._layers:
            if layer in layers:
                layers.remove(layer)
        self._layers = []

    def _put(self, new: list[Layer]) -> None:
        viewer, chosen = self._bench.viewer, self._bench.session.chosen
        self.clear()
        for layer in viewer.layers:
            # What lies above would cover it; the person shows it again in the layer list.
            layer.visible = False
        for layer in new:
            viewer.add_layer(layer)
        self._layers = new
        if chosen is not None:
            # A look does not change which image is being worked on.
            self._bench.session.choose(chosen)
        try:
            viewer.reset_view(layers=new)
        except TypeError:
            # Older versions of napari only fit everything.
            viewer.reset_view()


def _one_color(color: str) -> DirectLabelColormap:
    return DirectLabelColormap(color_dict={None: color, 0: "transparent"})
