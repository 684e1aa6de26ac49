"""The number of the cell under the mouse is always drawn."""

from __future__ import annotations

from typing import Any

from superqt.utils import qthrottled

from .bench import Bench

INTERVAL_MS = 80


class Pointed:
    """Tells the numbered points of the chosen image which cell the mouse is on."""

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
