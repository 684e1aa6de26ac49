"""What result layers show of the moment: that their cells are of other settings, and the number under the mouse."""

from __future__ import annotations

from typing import Any

from superqt.utils import qthrottled

from .bench import Bench

INTERVAL_MS = 80


class Outdated:
    """Marks the result layers of a viewer, and takes the mark off, as choices and cells change."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        for signal in (bench.session.choices.changed, bench.session.cells_changed, bench.layers_made):
            signal.connect(self._mark)

    def _mark(self, _: Any) -> None:
        for key, layers in self._bench.layers.items():
            layers.set_outdated(bool(self._bench.session.differences(key)))


class Pointed:
    """Draws the number of the cell of the chosen image that the mouse is on, whether there is room or not."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._later = qthrottled(self._show, timeout=INTERVAL_MS)
        bench.viewer.mouse_move_callbacks.append(self._on_move)

    def close(self) -> None:
        """Follow the mouse no more."""
        self._later.cancel()

    def _on_move(self, viewer: Any, event: Any) -> None:
        if not event.is_dragging:
            self._later()

    def _show(self) -> None:
        layers = self._bench.layers.get(self._bench.session.chosen)
        if layers is None or not (layers.points.visible and layers.labels.visible):
            return
        labels = layers.labels
        place = labels.world_to_data(self._bench.viewer.cursor.position)[-2:]
        y, x = (round(float(value)) for value in place)
        height, width = labels.data.shape
        layers.points.point_at(int(labels.data[y, x]) if 0 <= y < height and 0 <= x < width else 0)
