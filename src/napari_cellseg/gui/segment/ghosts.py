"""Outlines of the cells that do not count, on request."""

from __future__ import annotations

from typing import Any

from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from psygnal import Signal
from superqt.utils import qthrottled

from ..viewer.bench import Bench
from ..viewer.layer_image import placement
from ..viewer.layer_watch import LayerWatch, add_unselected

COLOR = "#ffb347"
OPACITY = 0.8
INTERVAL_MS = 60


class Ghosts:
    """One layer under the cells of the chosen image, while it is asked for.

    Signals
    -------
    unwanted()
        The user took the layer away.
    """

    unwanted = Signal()

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.awake = False
        self._layer: Labels | None = None
        self._of: Labels | None = None
        # The number and the cells come first.
        self._later = qthrottled(self._show, timeout=INTERVAL_MS, leading=False)
        session = bench.session
        for signal in (session.chosen_changed, session.cells_changed, session.sliders_changed, session.corrected):
            signal.connect(self._on_cells)
        bench.layers_made.connect(self._on_cells)
        bench.viewer.layers.events.removed.connect(self._on_removed)

    def wake(self, awake: bool) -> None:
        """Show them from now on, or no more."""
        if awake != self.awake:
            self.awake = awake
            self._later()

    def close(self) -> None:
        """Show nothing any more."""
        self._later.cancel()

    def _on_cells(self, *_: Any) -> None:
        if self.awake:
            self._later()

    def _show(self) -> None:
        cells, layers = self._bench.session.cells, self._bench.layers.get(self._bench.session.chosen)
        labels = None if layers is None else layers.labels
        if not self.awake or cells is None or labels is None or labels is not self._of:
            self._take_out()
        if not self.awake or cells is None or labels is None:
            return
        dropped = cells.dropped()
        if self._layer is None or self._layer.data.shape != dropped.shape:
            self._take_out()
            colors = DirectLabelColormap(color_dict={None: COLOR, 0: "transparent"})
            name = f"{labels.name} dropped"
            self._layer = Labels(dropped, name=name, opacity=OPACITY, colormap=colors, **placement(labels))
            self._layer.contour, self._layer.editable, self._of = 1, False, labels
            add_unselected(self._bench.viewer, self._layer, self._bench.viewer.layers.index(labels))
        else:
            self._layer.data = dropped

    def _take_out(self) -> None:
        layer, self._layer, self._of = self._layer, None, None
        if layer is not None:
            self._bench.part(LayerWatch).take_out(layer)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer = self._of = None
            self.unwanted.emit()
