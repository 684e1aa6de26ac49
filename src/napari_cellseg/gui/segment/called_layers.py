"""Layers that show which cells are positive, and how far nuclei are grown."""

from __future__ import annotations

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from ..viewer.bench import Bench
from .calling import Calling, Measured
from .overlay import Overlay

POSITIVE, NEGATIVE = 1, 2
# Colour-blind eyes distinguish them by brightness, too.
POSITIVE_COLOR, NEGATIVE_COLOR = "#ff4fd8", "#5f7fa8"
CALLED, GROWN = "positive", "grown"


class CalledLayers(Overlay):
    """One layer over the cells of the chosen image with two colours, and one with the outlines of grown nuclei.

    Attributes
    ----------
    place : int
        Of the marker that is shown, in the list of markers.
    """

    kinds = (CALLED, GROWN)

    def __init__(self, bench: Bench) -> None:
        self._calling = bench.part(Calling)
        self.place = 0
        self._drawn: tuple[Measured, np.ndarray] | None = None
        super().__init__(bench, self._calling)

    def show(self) -> None:
        """Show what is known now of the chosen image."""
        session, measured = self._bench.session, self._calling.fresh()
        if not self._is_over(self._calling.awake) or measured is None:
            return
        calls = self._calling.calls(session.positive[self.place]) if self.place < len(session.positive) else None
        if calls is None and measured.grown is None:
            self._hide()
            return
        self._lie_over()
        self._show_grown(measured)
        self._show_called(measured, calls)

    def _show_called(self, measured: Measured, calls: np.ndarray | None) -> None:
        if calls is None:
            self._take_out(CALLED)
            return
        states = np.where(calls, np.uint8(POSITIVE), np.uint8(NEGATIVE))
        layer = self._layers.get(CALLED)
        if layer is None or layer.data.shape != measured.labels.shape:
            self._take_out(CALLED)
            colors = {None: "transparent", 0: "transparent", POSITIVE: POSITIVE_COLOR, NEGATIVE: NEGATIVE_COLOR}
            data, self._drawn = np.zeros(measured.labels.shape, dtype=np.uint8), None
            layer = self._add(data, CALLED, DirectLabelColormap(color_dict=colors))
        data = layer.data
        before = self._drawn
        self._drawn = (measured, states)
        if before is not None and before[0].labels is measured.labels:
            # Of a slider tick only the cells that change are drawn.
            changed = np.flatnonzero(before[1] != states)
            if not len(changed):
                return
            part = measured.pixels[changed]
            data.reshape(-1)[part.indices] = np.repeat(states[changed], np.diff(part.indptr))
        else:
            data[:] = 0
            data.reshape(-1)[measured.pixels.indices] = np.repeat(states, np.diff(measured.pixels.indptr))
        layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _show_grown(self, measured: Measured) -> None:
        grown, layer = measured.grown, self._layers.get(GROWN)
        if grown is None:
            self._take_out(GROWN)
            return
        if layer is None:
            layer = self._add(grown.copy(), GROWN, None)
            layer.contour = 1
        elif layer.metadata.get("of") is not measured.labels:
            layer.data = grown.copy()
        layer.metadata = {"of": measured.labels}

    def _hide(self) -> None:
        super()._hide()
        self._drawn = None
