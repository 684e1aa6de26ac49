"""Work on the cells of the chosen image, in the background and only while the user looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from psygnal import Signal
from superqt.utils import qdebounced

from ...imaging.errors import ImageError, ParamsError
from ...segmentation.counting import grown_nuclei
from ...session import Cells
from ..shared.workers import Latest
from ..viewer.bench import Bench

REST_MS = 250


@dataclass(frozen=True, eq=False)
class OfCells:
    """What is known of the cells of one image, at one place of the sliders.

    Attributes
    ----------
    cells : Cells
    labels : ndarray
        (Y, X).
    ids : ndarray
        Of the cells, ascending.
    """

    cells: Cells
    labels: np.ndarray
    ids: np.ndarray

    def is_of(self, cells: Cells | None) -> bool:
        """Whether these are the cells as they are now, whatever was called by hand since."""
        if cells is None:
            return False
        first, second = ((one.corrected, one.threshold, one.min_size, one.grow) for one in (self.cells, cells))
        return first == second


Known = TypeVar("Known", bound=OfCells)


class Awake(Generic[Known]):
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
        self.known: Known | None = None
        self._latest = Latest(bench.failed)
        self._later = qdebounced(self._work, timeout=REST_MS)
        session = bench.session
        for signal in (session.chosen_changed, session.cells_changed, session.sliders_changed, session.corrected):
            signal.connect(self._on_cells)
        session.counting_changed.connect(self._on_counting)

    def fresh(self) -> Known | None:
        """Return what is known of the cells as they are now; None while that is nothing."""
        return self.known if self.known is not None and self.known.is_of(self._bench.session.cells) else None

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


def grown_of(cells: Cells, labels: np.ndarray) -> tuple[np.ndarray | None, str]:
    """Return grown nuclei, or None and why they are not grown; the reason is empty where that was not asked for."""
    try:
        return (None if cells.grow is None else grown_nuclei(cells.segmented.image, labels, cells.grow)), ""
    except (ImageError, ParamsError) as error:
        return None, str(error)
