"""Layers over the cells of the chosen image that show what cells are called, while the user looks at them."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from superqt.utils import qthrottled

from ..viewer.bench import Bench
from ..viewer.layer_image import placement
from ..viewer.layer_watch import LayerWatch, add_unselected

OPACITY = 0.6
# The cells' own colours stand back meanwhile.
PALER = 0.2
INTERVAL_MS = 30


class Overlay:
    """Its layers come and go with a part that is awake or not, and has the signals ``changed`` and ``woken``.

    A subclass names them in `kinds`, and shows them in `show`. They are inserted `offset` places above the cells, whose
    opacity is multiplied by `paler` meanwhile.
    """

    kinds: tuple[str, ...] = ()
    offset, paler = 1, PALER

    def __init__(self, bench: Bench, part: Any) -> None:
        self._bench = bench
        self._layers: dict[str, Labels] = {}
        self._behind: Labels | None = None
        self._unwanted = False
        # Drawn a moment later: the number must not wait for the picture.
        self._later = qthrottled(self.show, timeout=INTERVAL_MS, leading=False)
        part.changed.connect(self._later)
        part.woken.connect(self._on_woken)
        bench.viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Show nothing any more."""
        self._later.cancel()

    def shown(self, kind: str) -> Labels | None:
        """Return the layer of a kind, while it is there."""
        return self._layers.get(kind)

    def show(self) -> None:
        """Show what is known now of the chosen image."""
        raise NotImplementedError

    def _is_over(self, awake: bool) -> bool:
        """Whether there is something to lie over; the layers over another image are taken away."""
        layers = self._bench.layers.get(self._bench.session.chosen)
        if not awake or layers is None or self._unwanted:
            self._hide()
            return False
        if self._behind is not layers.labels:
            self._hide()
        return True

    def _lie_over(self) -> None:
        """Let the cells' own colours stand back."""
        if self._behind is None:
            self._behind = self._bench.layers[self._bench.session.chosen].labels
            self._behind.opacity *= self.paler

    def _add(self, data: np.ndarray, kind: str, colormap: Any) -> Labels:
        assert self._behind is not None
        viewer, behind = self._bench.viewer, self._behind
        more = {} if colormap is None else {"colormap": colormap}
        layer = Labels(data, name=f"{behind.name} {kind}", opacity=OPACITY, **more, **placement(behind))
        layer.editable = False
        add_unselected(viewer, layer, viewer.layers.index(behind) + self.offset)
        self._layers[kind] = layer
        return layer

    def _hide(self) -> None:
        for kind in self.kinds:
            self._take_out(kind)
        behind, self._behind = self._behind, None
        if behind is not None:
            behind.opacity = min(behind.opacity / self.paler, 1.0)

    def _take_out(self, kind: str) -> None:
        if (layer := self._layers.pop(kind, None)) is not None:
            self._bench.part(LayerWatch).take_out(layer)

    def _on_woken(self, awake: bool) -> None:
        self._unwanted = False
        self._later()

    def _on_removed(self, event: Any) -> None:
        """Hide the layers that the user removed until the fold is opened again."""
        for kind, layer in list(self._layers.items()):
            if event.value is layer:
                del self._layers[kind]
                self._unwanted = True
                self._later()
