"""A circle of the size of a typical cell on the image, on request: one glance shows whether the size is right."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Points
from psygnal import Signal

from ..viewer.bench import Bench
from ..viewer.layer_image import placement
from ..viewer.layer_watch import LayerWatch, add_unselected

COLOR = "#ffb000"


class SizeCircle:
    """Shows the diameter of a typical cell of the chosen image, typed or estimated, in the middle of the view.

    Signals
    -------
    changed()
        The circle came, or went.
    """

    changed = Signal()

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._layer: Points | None = None
        session = bench.session
        for signal in (session.chosen_changed, session.cells_changed, session.choices.changed):
            signal.connect(self._follow)
        bench.viewer.layers.events.removed.connect(self._on_removed)

    @property
    def shown(self) -> bool:
        """Whether the circle is on the image."""
        return self._layer is not None

    def diameter(self) -> float | None:
        """Return the diameter in pixels that is typed, else the one that was estimated; None where neither is known."""
        session = self._bench.session
        chosen, cells = session.choices.for_image(session.chosen).diameter, session.cells
        if chosen is not None:
            return chosen or None
        made = None if cells is None else cells.segmented
        return None if made is None or made.recipe.diameter is not None else made.prediction.diameter

    def show(self, shown: bool) -> None:
        """Put the circle on the chosen image, or take it off."""
        image, diameter = self._bench.layer_of(self._bench.session.chosen), self.diameter()
        if self._layer is not None:
            layer, self._layer = self._layer, None
            self._bench.part(LayerWatch).take_out(layer)
        if shown and image is not None and diameter is not None:
            self._layer = Points(
                [_middle(image)],
                name=f"cell size {diameter:.0f} px",
                size=diameter,
                face_color="transparent",
                border_color=COLOR,
                border_width=max(0.02, 1.5 / diameter),
                **placement(image),
            )
            self._layer.editable = False
            add_unselected(self._bench.viewer, self._layer)
        self.changed.emit()

    def _follow(self, _: Any) -> None:
        if self.shown:
            self.show(True)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer = None
            self.changed.emit()


def _middle(image: ImageLayer) -> np.ndarray:
    """Return the row and column in the middle of what is visible of an image."""
    corners = (
        np.asarray(image.corner_pixels, dtype=float)[:, -2:]
        * np.asarray(image.downsample_factors[image.data_level])[-2:]
    )
    shape = np.asarray((image.data[0] if image.multiscale else image.data).shape)
    shape = shape[:-1] if image.rgb else shape
    middle = corners.mean(axis=0)
    return middle if np.all(corners[1] > corners[0]) else shape[-2:] / 2
