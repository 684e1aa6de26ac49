"""Values of the markers in the chosen image, measured in the background while the user looks at them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from psygnal import Signal
from scipy.sparse import coo_array, csr_array

from ...corrections.calling import call_cells
from ...imaging.errors import CellsegError, ImageError, ParamsError
from ...instances.measure import number_ids
from ...segmentation.counting import called, marker_values, numbers_of, start_of_cells, start_of_control
from ...segmentation.marker import Marker
from ...session import Cells
from ..shared.workers import Latest
from ..viewer.bench import Bench
from ..viewer.correcting import Correcting
from .awake import Awake, OfCells, grown_of

DIGITS = 3
Measure = tuple[str, str, float | None]


@dataclass(frozen=True, eq=False)
class Measured(OfCells):
    """What was measured of the cells of one image.

    Attributes
    ----------
    grown : ndarray or None
        (Y, X); None where nuclei are not grown.
    pixels : csr_array
        Row i holds as column indices the flat pixels of cell i.
    values : dict
        By what a marker measures: its values, or why there are none.
    note : str
        Why nuclei are not grown.
    """

    grown: np.ndarray | None
    pixels: csr_array
    values: dict[Measure, np.ndarray | str]
    note: str = ""


class Calling(Awake[Measured]):
    """Measures the markers of the chosen image while it is awake, and calls cells by hand.

    Signals
    -------
    changed()
        Other values are known, or other cells are positive.
    taken(place)
        A marker that was asked for is there.
    woken(awake)
    """

    taken = Signal(int)

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        # Apart from `_latest`, because of each only the last question counts.
        self._starting = Latest(bench.failed)

    def close(self) -> None:
        """Measure nothing any more."""
        super().close()
        self._starting.close()

    def values(self, marker: Marker) -> np.ndarray | str | None:
        """Return a marker's values, or why there are none; None while they are not known."""
        measured = self.fresh()
        return None if measured is None else measured.values.get(marker.measured)

    def calls(self, marker: Marker) -> np.ndarray | None:
        """Return which of the measured cells are positive, bool; None where that is not known."""
        values, cells = self.values(marker), self._bench.session.cells
        if not isinstance(values, np.ndarray) or self.known is None or cells is None:
            return None
        return called(values, marker, self.known.ids, cells.by_hand)

    def numbers(self) -> dict[str, int]:
        """Return how many cells are positive by each marker, and by all together; see `Counted.numbers`."""
        calls = {marker.name: self.calls(marker) for marker in self._bench.session.positive}
        return numbers_of({name: positive for name, positive in calls.items() if positive is not None})

    def put(self, marker: Marker, place: int) -> None:
        """Let a marker be the one at a place of the list, behind the last one a further one; it starts by Otsu's rule.

        It is taken once its values are known, for its threshold depends on them.
        """
        cells = self._bench.session.cells
        if cells is None:
            return

        def take(measured: Measured) -> None:
            values, markers = measured.values[marker.measured], list(self._bench.session.positive)
            if isinstance(values, str):
                self._bench.session.fail(None, values)
                self.changed.emit()
                return
            start = start_of_cells(values)
            start = 0.0 if np.isnan(start) else short(start, values)
            markers[place : place + 1] = [replace(marker, threshold=start)]
            self._take_in(measured)
            self._set(markers)
            self.taken.emit(min(place, len(markers) - 1))

        self._starting.ask(lambda: _measured(cells, (*_kept(cells, place), marker), self.fresh()), take)

    def start_from(self, place: int, control: Any) -> None:
        """Start a marker anew: by Otsu's rule over the cells of this image (None), or by a negative control's cells."""
        session = self._bench.session
        marker = session.positive[place]
        cells = session.cells if control is None else session.cells_of(control)
        if cells is None:
            return

        def start(measured: Measured) -> None:
            values, markers = measured.values[marker.measured], list(session.positive)
            try:
                if isinstance(values, str):
                    raise ImageError(values)
                at = start_of_cells(values) if control is None else start_of_control(values)
            except CellsegError as error:
                session.fail(None, error)
                return
            if place < len(markers) and markers[place].measured == marker.measured and not np.isnan(at):
                markers[place] = replace(marker, threshold=short(at, values))
                self._set(markers)

        self._starting.ask(lambda: _measured(cells, (marker,)), start)

    def set_threshold(self, place: int, threshold: float) -> None:
        """Move the threshold of a marker."""
        markers = list(self._bench.session.positive)
        markers[place] = replace(markers[place], threshold=threshold)
        self._set(markers)

    def drop(self, place: int) -> None:
        """Take a marker away."""
        markers = list(self._bench.session.positive)
        self._set([*markers[:place], *markers[place + 1 :]])

    def flip(self, place: int, id_: int) -> None:
        """Call a cell by hand what it is not called now."""
        session = self._bench.session
        marker, key, calls = session.positive[place], session.chosen, self.calls(session.positive[place])
        found = None if calls is None or self.known is None else np.flatnonzero(self.known.ids == id_)
        if calls is None or found is None or not len(found):
            return
        positive = not calls[found[0]]
        done = f"No. {id_} is called {marker.name}{'+' if positive else '−'} by you."
        self._bench.part(Correcting).edit(key, call_cells, id_, marker.name, positive, done=done)

    def _set(self, markers: Sequence[Marker]) -> None:
        try:
            self._bench.session.set_counting(markers, self._bench.session.grow)
        except ParamsError as error:
            self._bench.session.fail(None, error)
            self.changed.emit()

    def _on_counting(self) -> None:
        if self.awake:
            self.changed.emit()
            self._measure_missing()

    def _measure_missing(self) -> None:
        measured = self.fresh()
        if measured is None or any(one.measured not in measured.values for one in self._bench.session.positive):
            self._later()

    def _work(self) -> None:
        cells, before = self._bench.session.cells, self.known
        if self.awake and cells is not None:
            same = None if before is None or before.cells.revision != cells.revision else self.fresh()
            self._latest.ask(lambda: _measured(cells, cells.positive, same), self._take_in)

    def _take_in(self, measured: Measured) -> None:
        if not measured.is_of(self._bench.session.cells):
            return
        before = self.fresh()
        if before is not None and before.cells.revision == measured.cells.revision:
            # Something else was measured of the same cells meanwhile.
            measured = replace(before, values={**before.values, **measured.values})
        self.known = measured
        self.changed.emit()
        if self.awake:
            self._measure_missing()


def short(value: float, values: np.ndarray) -> float:
    """Return a threshold with no more digits than the eye can choose on the axis of these values."""
    known = values[np.isfinite(values)]
    span = float(np.ptp(known)) if len(known) else 0.0
    return round(value, max(0, DIGITS - math.floor(math.log10(span)))) if span > 0 else value


def _kept(cells: Cells, place: int) -> tuple[Marker, ...]:
    return tuple(marker for i, marker in enumerate(cells.positive) if i != place)


def _measured(cells: Cells, markers: Sequence[Marker], known: Measured | None = None) -> Measured:
    """Measure markers; what is `known` of the very same cells is not measured again."""
    image = cells.segmented.image
    if known is None:
        labels = cells.corrected.labels(cells.threshold, cells.min_size)
        grown, note = grown_of(cells, labels)
        inside = np.flatnonzero(labels)
        ids, rows = number_ids(labels.ravel()[inside])
        ones = np.ones(len(inside), dtype=np.bool_)
        pixels = coo_array((ones, (rows, inside)), shape=(len(ids), labels.size)).tocsr()
        known = Measured(cells, labels, ids, grown, pixels, {}, note)
    values = dict(known.values)
    for marker in markers:
        if marker.measured not in values:
            try:
                values[marker.measured] = marker_values(image, known.labels, known.grown, known.ids, marker)
            except (ImageError, ParamsError) as error:
                values[marker.measured] = str(error)
    return replace(known, cells=cells, values=values)
