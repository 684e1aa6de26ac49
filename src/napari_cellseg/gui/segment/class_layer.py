"""A layer that shows of which class each cell is."""

from __future__ import annotations

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from ..viewer.bench import Bench
from .classing import Classing, Looked
from .overlay import Overlay

# Those of Okabe and Ito, which colour-blind eyes distinguish; one for each class that there can be.
COLORS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2", "#ffffff")
KIND = "classes"


class ClassLayer(Overlay):
    """One layer over the cells of the chosen image, with a colour for each class."""

    kinds = (KIND,)

    def __init__(self, bench: Bench) -> None:
        self._classing = bench.part(Classing)
        self._drawn: Looked | None = None
        super().__init__(bench, self._classing)

    def show(self) -> None:
        """Show what is known now of the chosen image."""
        looked = self._classing.fresh()
        if not self._is_over(self._classing.awake) or looked is None or looked is self._drawn:
            return
        if looked.found is None:
            self._hide()
            return
        self._lie_over()
        states = np.zeros(int(looked.ids.max(initial=0)) + 1, np.uint8)
        for i, name in enumerate(looked.classes.names):
            states[looked.ids[looked.found.names == name]] = i + 1
        data, layer = states[looked.labels], self._layers.get(KIND)
        if layer is not None and layer.data.shape != data.shape:
            self._take_out(KIND)
            layer = None
        if layer is None:
            colors: dict[int | None, str] = {None: "transparent", **dict(enumerate(("transparent", *COLORS)))}
            self._add(data, KIND, DirectLabelColormap(color_dict=colors))
        else:
            layer.data = data
        self._drawn = looked

    def _hide(self) -> None:
        super()._hide()
        self._drawn = None
