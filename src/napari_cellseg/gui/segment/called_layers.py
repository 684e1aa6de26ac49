"""Layers that show which cells are positive, and how far nuclei are grown."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from superqt.utils import qthrottled

from ..viewer.bench import Bench
from ..viewer.layer_image import placement
from ..viewer.layer_watch import LayerWatch
from .calling import Calling, Measured

POSITIVE, NEGATIVE = 1, 2
# Colour-blind eyes tell them apart by brightness, too.
POSITIVE_COLOR, NEGATIVE_COLOR = "#ff4fd8", "#5f7fa8"
OPACITY = 0.6
# The cells' own colours stand back meanwhile.
PALER = 0.2
INTERVAL_MS = 30


class CalledLayers:
    """One layer over the cells of the chosen image with two colours, and one with the outlines of grown nuclei.

    Attributes
    ----------
    place : int
        Of the marker that is shown, in the list of markers.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench, self._calling = bench, bench.part(Calling)
        self.place = 0
        self._called: Labels | None = None
        self._grown: Labels | None = None
        self._behind: Labels | None = None
        self._drawn: tuple[Measured, np.ndarray] | None = None
        self._unwanted = False
        # Drawn a moment later: the number must not wait for the picture.
        self._later = qthrottled(self.show, timeout=INTERVAL_MS, leading=False)
        self._calling.changed.connect(self._later)
        self._calling.woken.connect(self._on_woken)
        bench.viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Show nothing any more."""
        self._later.cancel()

    def show(self) -> None:
        """Show what is known now of the chosen image."""
        session, measured = self._bench.session, self._calling.fresh()
        layers = self._bench.layers.get(session.chosen)
        if not self._calling.awake or layers is None or self._unwanted:
            self._hide()
            return
        if self._behind is not layers.labels:
            self._hide()
        if measured is None:
            return
        calls = self._calling.calls(session.positive[self.place]) if self.place < len(session.positive) else None
        if calls is None and measured.grown is None:
            self._hide()
            return
        self._behind_is(layers.labels)
        self._show_grown(measured)
        self._show_called(measured, calls)

    def _show_called(self, measured: Measured, calls: np.ndarray | None) -> None:
        if calls is None:
            self._take_out("_called")
            return
        states = np.where(calls, np.uint8(POSITIVE), np.uint8(NEGATIVE))
        if self._called is None or self._called.data.shape != measured.labels.shape:
            self._take_out("_called")
            colors = {None: "transparent", 0: "transparent", POSITIVE: POSITIVE_COLOR, NEGATIVE: NEGATIVE_COLOR}
            data, self._drawn = np.zeros(measured.labels.shape, dtype=np.uint8), None
            self._called = self._add(data, "positive", DirectLabelColormap(color_dict=colors))
        data = self._called.data
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
        self._called.refresh(thumbnail=False, highlight=False, extent=False)

    def _show_grown(self, measured: Measured) -> None:
        grown = measured.grown
        if grown is None:
            self._take_out("_grown")
        elif self._grown is None:
            self._grown = self._add(grown.copy(), "grown", None)
            self._grown.contour = 1
        elif self._grown.metadata.get("of") is not measured.labels:
            self._grown.data = grown.copy()
        if self._grown is not None:
            self._grown.metadata = {"of": measured.labels}

    def _add(self, data: np.ndarray, what: str, colormap: Any) -> Labels:
        assert self._behind is not None
        viewer, behind = self._bench.viewer, self._behind
        more = {} if colormap is None else {"colormap": colormap}
        layer = Labels(data, name=f"{behind.name} {what}", opacity=OPACITY, **more, **placement(behind))
        layer.editable = False
        active = viewer.layers.selection.active
        viewer.layers.insert(viewer.layers.index(behind) + 1, layer)
        viewer.layers.selection.active = active
        return layer

    def _behind_is(self, labels: Labels) -> None:
        if self._behind is None:
            self._behind = labels
            labels.opacity *= PALER

    def _hide(self) -> None:
        self._take_out("_called")
        self._take_out("_grown")
        behind, self._behind, self._drawn = self._behind, None, None
        if behind is not None:
            behind.opacity = min(behind.opacity / PALER, 1.0)

    def _take_out(self, name: str) -> None:
        layer = getattr(self, name)
        setattr(self, name, None)
        if layer is not None:
            self._bench.part(LayerWatch).take_out(layer)

    def _on_woken(self, awake: bool) -> None:
        self._unwanted = False
        self._later()

    def _on_removed(self, event: Any) -> None:
        """What the user took away stays away until the fold is opened again."""
        for name in ("_called", "_grown"):
            if event.value is getattr(self, name):
                setattr(self, name, None)
                self._unwanted = True
                self._later()
