"""How doubtful each cell is, computed in a background thread while it is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from psygnal import Signal
from superqt.utils import qdebounced

from ...corrections.doubt import Doubt, doubt
from ...session import Cells
from ..shared.workers import Latest
from .bench import Bench

DEBOUNCE_MS = 500


class Doubting:
    """Doubt about the cells of the chosen image, computed again when the sliders rest, while it is shown somewhere.

    Signals
    -------
    changed(key)
        Doubt about an image's cells has arrived.
    """

    changed = Signal(object)

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._wanted: set[str] = set()
        self._known: dict[Any, tuple[tuple[object, ...], Doubt]] = {}
        self._working = Latest(bench.failed)
        self._debounced = qdebounced(self._ask, timeout=DEBOUNCE_MS)
        for signal in (bench.session.cells_changed, bench.session.sliders_changed, bench.session.chosen_changed):
            signal.connect(self._on_cells)

    def want(self, who: str, wanted: bool = True) -> None:
        """Register who shows the doubt, or no longer does."""
        (self._wanted.add if wanted else self._wanted.discard)(who)
        self._on_cells()

    def doubt_of(self, key: Any) -> Doubt | None:
        """Return the doubt about the cells of an image as they are shown; None while it is not known."""
        cells, known = self._bench.session.cells_of(key), self._known.get(key)
        return known[1] if cells is not None and known is not None and known[0] == _asked(cells) else None

    def column(self, key: Any, ids: np.ndarray) -> np.ndarray | None:
        """Return the doubt about some cells, 0 for those edited manually; None while it is not known."""
        found, cells = self.doubt_of(key), self._bench.session.cells_of(key)
        if found is None or cells is None:
            return None
        return np.where(cells.corrected.is_owned(ids), 0.0, found.column(ids))

    def close(self) -> None:
        """Stop working."""
        self._debounced.cancel()
        self._working.close()

    def _on_cells(self, key: Any = None) -> None:
        chosen = self._bench.session.chosen
        for gone in [known for known in self._known if self._bench.session.cells_of(known) is None]:
            del self._known[gone]
        if self._wanted and self._bench.session.cells is not None and self.doubt_of(chosen) is None:
            self._debounced()

    def _ask(self) -> None:
        key, cells = self._bench.session.chosen, self._bench.session.cells
        if cells is None or self.doubt_of(key) is not None or not self._wanted:
            return
        asked, segmented = _asked(cells), cells.segmented

        def work() -> Doubt:
            model = getattr(segmented, "model", None)
            split = getattr(model, "split", None)
            return doubt(cells.corrected, segmented.prediction, split, cells.threshold, cells.min_size)

        def show(found: Doubt) -> None:
            self._known[key] = (asked, found)
            self.changed.emit(key)

        self._working.ask(work, show)


def _asked(cells: Cells) -> tuple[object, ...]:
    """Return what the doubt depends on; corrections only take cells out of it."""
    return cells.corrected, cells.threshold, cells.min_size
