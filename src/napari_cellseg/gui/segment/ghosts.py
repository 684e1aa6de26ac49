"""Outlines of the cells that do not count, on request."""

from __future__ import annotations

from typing import Any

from napari.utils.colormaps import DirectLabelColormap
from psygnal import Signal

from ..viewer.bench import Bench
from .overlay import Overlay

COLOR = "#ffb347"
OPACITY = 0.8
KIND = "dropped"


class Ghosts(Overlay):
    """One layer under the cells of the chosen image, while it is asked for.

    Signals
    -------
    changed(), woken(awake)
        See `Overlay`.
    unwanted()
        The user took the layer away.
    """

    kinds, offset, paler = (KIND,), 0, 1.0
    changed = Signal()
    woken = Signal(bool)
    unwanted = Signal()

    def __init__(self, bench: Bench) -> None:
        self.awake = False
        super().__init__(bench, self)
        session = bench.session
        for signal in (session.chosen_changed, session.cells_changed, session.sliders_changed, session.corrected):
            signal.connect(self._on_cells)
        bench.layers_made.connect(self._on_cells)

    def wake(self, awake: bool) -> None:
        """Show them from now on, or no more."""
        if awake != self.awake:
            self.awake = awake
            self.woken.emit(awake)

    def show(self) -> None:
        """Show which cells of the chosen image do not count now."""
        cells = self._bench.session.cells
        if not self._is_over(self.awake) or cells is None:
            return
        self._lie_over()
        dropped, layer = cells.dropped(), self._layers.get(KIND)
        if layer is not None and layer.data.shape == dropped.shape:
            layer.data = dropped
        else:
            self._take_out(KIND)
            layer = self._add(dropped, KIND, DirectLabelColormap(color_dict={None: COLOR, 0: "transparent"}))
            layer.contour, layer.opacity = 1, OPACITY

    def _on_cells(self, *_: Any) -> None:
        if self.awake:
            self._later()

    def _on_removed(self, event: Any) -> None:
        super()._on_removed(event)
        if self._unwanted:
            self.unwanted.emit()
