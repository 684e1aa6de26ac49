"""Work on the cells of the chosen image, in the background and only while somebody looks at it."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from superqt.utils import qdebounced

from ..shared.workers import Latest
from ..viewer.bench import Bench

REST_MS = 250


class Awake:
    """Works once the cells have rested for a moment, while it is awake.

    A subclass defines the work in `_work`, which asks `_latest`.

    Signals
    -------
    changed()
        Something else is known, or is not known any more.
    woken(awake)
    """

    changed = Signal()
    woken = Signal(bool)

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.awake = False
        self._latest = Latest(bench.failed)
        self._later = qdebounced(self._work, timeout=REST_MS)
        session = bench.session
        for signal in (session.chosen_changed, session.cells_changed, session.sliders_changed, session.corrected):
            signal.connect(self._on_cells)
        session.counting_changed.connect(self._on_counting)

    def wake(self, awake: bool) -> None:
        """Work from now on, or no more."""
        self.awake = awake
        self.woken.emit(awake)
        if awake:
            self._on_cells()

    def close(self) -> None:
        """Work no more."""
        self._later.cancel()
        self._latest.close()

    def _on_cells(self, *_: Any) -> None:
        if self.awake:
            self.changed.emit()
            self._later()

    def _on_counting(self) -> None:
        raise NotImplementedError

    def _work(self) -> None:
        raise NotImplementedError
