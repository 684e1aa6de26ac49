"""Result layers are marked while their cells are of other settings than those that are chosen now."""

from __future__ import annotations

from typing import Any

from .bench import Bench


class Outdated:
    """Marks the result layers of a viewer, and takes the mark off, as choices and cells change."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        for signal in (bench.session.choices.changed, bench.session.cells_changed, bench.layers_made):
            signal.connect(self._mark)

    def _mark(self, _: Any) -> None:
        for key, layers in self._bench.layers.items():
            layers.set_outdated(bool(self._bench.session.differences(key)))
