"""Positive cells: a channel, where to measure, and a threshold under the histogram of all cells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from qtpy.QtWidgets import QWidget

from ...instances.compartments import NUCLEUS
from ...segmentation.marker import Marker
from ..shared.choosers import chooser, fill
from ..shared.layout import SMALL, button, in_column, in_row, one_line
from ..shared.message import Message, errors_to
from ..shared.number_slider import NumberSlider
from ..shared.plots import ValueHistogram
from ..viewer.bench import Bench
from ..viewer.section import Section
from .called_layers import CalledLayers
from .calling import Calling, short
from .cell_pick import KEY, CellPick
from .marker_choices import LARGEST, MarkerChoices

OTSU = "Otsu"
ASK = "Choose a channel: the values of all cells appear here."
WAIT = "Measuring …"
FIRST = "Segment the image first."
POINT_AT = f"Point at a cell in the image, then press {KEY}."


class PositiveSection(Section):
    """What stands in the fold; it sleeps, and costs nothing, while the fold is closed."""

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self._calling, self._layers = bench.part(Calling), bench.part(CalledLayers)
        self._place = 0
        self._values: Any = None
        self._choices: Any = None
        self._build()
        self._picks = CellPick(bench, self, self.click, self._flip, POINT_AT)
        self._bindings.bind(self._calling.changed, self._on_changed)
        self._bindings.bind(self._calling.taken, self._on_shown)
        self._on_changed()

    def wake(self, awake: bool) -> None:
        """Measure from now on, or no more."""
        self._picks.wake(awake)
        self._calling.wake(awake)

    @property
    def marker(self) -> Marker | None:
        """The marker that is shown."""
        markers = self._bench.session.positive
        return markers[self._place] if self._place < len(markers) else None

    def _flip(self, id_: int) -> bool:
        """Call a cell what it is not called now; return whether there is a marker to call it by."""
        if self.marker is not None:
            self._calling.flip(self._place, id_)
        return self.marker is not None

    def _build(self) -> None:
        self.start = chooser(
            "marker_start",
            "Put the threshold where it parts the cells best in two (Otsu), or where 99 % of the cells of a negative "
            "control, another image, do not reach it.",
            (),
            self._on_start,
        )
        tip = (
            f"While it is down, a click on a cell makes it negative or positive by hand. Key {KEY} flips the one under "
            "the mouse pointer.\nThat is a correction: the threshold never changes it, and Ctrl+Z takes it back."
        )
        self.click = button("flip_by_click", "Flip cells", tip, checkable=True, style=SMALL)
        self.choices = MarkerChoices(self.start)
        self.choices.asked.connect(self._on_asked)
        self.choices.shown.connect(self._on_shown)
        self.choices.further.connect(self._on_further)
        self.choices.dropped.connect(lambda: self._calling.drop(self._place))
        self.choices.grow_asked.connect(self._on_growth)
        tip = "How many cells have which value. Grey ones are negative.\nClick or drag to cut."
        self.histogram = ValueHistogram("value_histogram", tip)
        self.threshold = NumberSlider(
            "marker_threshold",
            "Positive above",
            "",
            "Cells with a larger value are positive.",
            decimals=1,
            maximum=LARGEST,
            step=1,
            to_place=self.histogram.place,
            from_place=self._value_at,
            plot=self.histogram,
        )
        self.threshold.number.setMinimum(-LARGEST)
        self.threshold.valueChanged.connect(self._on_threshold)
        self.count = one_line("positive_count", bold=True)
        self.combined = Message(objectName="positive_combined", hides=True)
        in_column(
            self.choices, in_row((self.count, 1), self.click), self.combined, self.threshold, into=self, spacing=3
        )

    def _value_at(self, place: float) -> float:
        low, high = self.histogram.span
        return short(low + place * (high - low), np.array(self.histogram.span))

    def _on_changed(self) -> None:
        """Show the markers, and what is known of the chosen one."""
        session = self._bench.session
        markers, cells = session.positive, session.cells
        self._place = self._layers.place = max(min(self._place, len(markers) - 1), 0)
        self._show_choices()
        marker = self.marker
        values = None if marker is None else self._calling.values(marker)
        for part in (self.threshold, self.click, self.start):
            part.setEnabled(isinstance(values, np.ndarray))
        if isinstance(values, np.ndarray) and values is not self._values:
            self.histogram.set_values(values)
            # So that the arrow keys go as far as the eye can see.
            self.threshold.number.setSingleStep((self.histogram.span[1] - self.histogram.span[0]) / 100)
        self._values = values
        if marker is not None:
            self.histogram.set_threshold(marker.threshold)
            self.threshold.show_value(marker.threshold)
        if marker is None or not isinstance(values, np.ndarray):
            why = values if isinstance(values, str) else WAIT
            self.count.setText(FIRST if cells is None else ASK if marker is None else why)
            self.combined.report("")
        else:
            self._show_count(marker)

    def _show_choices(self) -> None:
        """Show what can be chosen, if that is something else than before: a slider's tick must cost nothing here."""
        session = self._bench.session
        image = None if session.cells is None else session.cells.segmented.image
        others = [(key, self._bench.layer_of(key)) for key in session.keys() if key != session.chosen]  # noqa: SIM118
        controls = [(f"99 % of {layer.name}", key) for key, layer in others if layer is not None]
        shown = ([one.measured for one in session.positive], self._place, session.grow, image, controls)
        if shown != self._choices:
            self._choices = shown
            self.choices.show_markers(session.positive, self._place, session.grow, image)
            fill(self.start, [("start at …", None), ("Otsu over cells", OTSU), *controls], None)

    def _show_count(self, marker: Marker) -> None:
        cells, numbers = self._bench.session.cells, self._calling.numbers()
        assert cells is not None
        n, positive = cells.count(), numbers.get(f"{marker.name}_pos", 0)
        share = f" ({100 * positive / n:.1f} %)" if n else ""
        self.count.setText(f"{n:,} cell{'' if n == 1 else 's'}, {positive:,} {marker.name}+{share}")
        names = [one.name for one in self._bench.session.positive if f"{one.name}_pos" in numbers]
        alone = {f"{name}_pos" for name in names}
        both = "; ".join(f"{in_signs(key, names)} {k:,}" for key, k in numbers.items() if key not in alone)
        note = self._calling.known.note if self._calling.known is not None else ""
        self.combined.report(note or both, bool(note))

    def _on_shown(self, place: int) -> None:
        self._place = self._layers.place = place
        self._calling.changed.emit()

    def _on_further(self, channel: str) -> None:
        self._calling.put(Marker(channel, 0.0), len(self._bench.session.positive))

    def _on_asked(self, marker: Marker) -> None:
        """Measure another channel, elsewhere or otherwise; the threshold starts anew."""
        session = self._bench.session
        with errors_to(self._refuse):
            if marker.place != NUCLEUS and session.grow is None:
                session.set_counting(session.positive, self.choices.usual_growth())
            self.count.setText(WAIT)
            self._calling.put(marker, self._place)

    def _on_growth(self, grow: str | None) -> None:
        session, markers = self._bench.session, self._bench.session.positive
        if grow is None:
            # Without growing there is no ring to measure in.
            markers = tuple(replace(marker, place=NUCLEUS) for marker in markers)
        with errors_to(self._refuse):
            session.set_counting(markers, grow)

    def _on_threshold(self, threshold: float) -> None:
        if self.marker is not None:
            with errors_to(self._refuse):
                self._calling.set_threshold(self._place, float(threshold))

    def _on_start(self, index: int) -> None:
        control = self.start.itemData(index)
        fill(self.start, [(self.start.itemText(i), self.start.itemData(i)) for i in range(self.start.count())], None)
        if control is not None and self.marker is not None:
            self._calling.start_from(self._place, None if control == OTSU else control)

    def _refuse(self, sentence: str, failed: bool) -> None:
        self._bench.session.fail(None, sentence)
        self._choices = None
        self._on_changed()


def in_signs(key: str, names: list[str]) -> str:
    """Return a combination such as ``GFP_pos_RFP_neg`` of markers of these names as ``GFP+ RFP−``."""
    parts = []
    for name in names:
        key = key[len(name) + 1 :]
        parts.append(f"{name}{'+' if key.startswith('pos') else '−'}")
        key = key[4:]
    return " ".join(parts)
