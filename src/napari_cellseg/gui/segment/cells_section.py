"""How many cells, and the two sliders with their plots."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget
from superqt.utils import qdebounced

from ...network.versions import ModelVersion
from ...segmentation.notices import still_true
from ...session import PRESS_AGAIN, Cells, PlaneKey
from ..check.known import Agreements
from ..check.words import interval_in_words, worth_in_words
from ..shared.colors import Colors
from ..shared.help import HelpButton
from ..shared.layout import in_column, in_row
from ..shared.message import Message
from ..shared.plots import AreaHistogram, CountCurve
from ..shared.workers import Latest
from ..viewer.bench import Bench
from ..viewer.section import Section
from ..viewer.sliders import connect_sliders, min_size_slider, span_of, threshold_slider

FEW = 20
DETAILS_TIP = "How many cells you corrected; median diameter of the counted cells, and how much they cover."
COUNT_TIP = "Cells counted with these two sliders; the same number as in the saved table."
WORTH_MS = 150
NO_PROBABILITY = (
    "These labels were taken as cells: no model found them, and without a probability there is no threshold."
)


class CellsSection(Section):
    """Count, threshold and smallest cell of the chosen image; asleep until it was segmented."""

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self._agreements = bench.part(Agreements)
        self._room_needed = False
        self._colors: Colors | None = None
        self._shown: Cells | None = None
        self._stretch = (math.nan, math.nan)
        self._worth_later = qdebounced(self._show_worth, timeout=WORTH_MS)
        self._measuring = Latest(bench.failed, owner=self)
        self._build()
        session = bench.session
        self.destroyed.connect(self._worth_later.cancel)
        self._bindings.bind(session.chosen_changed, self._on_cells)
        self._bindings.bind(session.cells_changed, self._on_cells)
        self._bindings.bind(session.choices.changed, self._show_note)
        self._bindings.bind_each(self._on_sliders, session.sliders_changed, session.corrected)
        self._bindings.bind(self._agreements.changed, self._show_worth)
        connect_sliders(bench, self.threshold, self.min_size)
        self._on_cells()

    def set_model(self, model: ModelVersion | None) -> None:
        """Show where this model's sliders will start, while there is no result."""
        if model is not None and self._bench.session.cells is None:
            self.threshold.show_value(model.threshold)
            self.min_size.show_value(model.min_size)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self._show_note()
        small = f"color: {colors.faint.name()};"
        self.details.setStyleSheet(small)
        self.interval.setStyleSheet(small)

    def _build(self) -> None:
        self.count = QLabel("–", objectName="count")
        self.count.setToolTip(COUNT_TIP)
        font = self.count.font()
        font.setPointSizeF(font.pointSizeF() * 1.9)
        font.setBold(True)
        self.count.setFont(font)
        self.note = Message(objectName="count_note", rows=2)
        self.interval = QLabel(objectName="interval")
        self.interval.hide()
        self.details = QLabel(objectName="details")
        self.details.setToolTip(DETAILS_TIP)
        self.details.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.details.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        tip = (
            "How many cells each threshold would give. Where it is flat (shaded) the count hardly depends on it.\n"
            "Click or drag to set the threshold."
        )
        self.curve = CountCurve("count_curve", tip)
        tip = "How many cells are how large, small ones on the left. Grey ones fall out.\nClick or drag to cut."
        self.histogram = AreaHistogram("area_histogram", tip)
        self.threshold = threshold_slider("threshold", self.curve)
        self.min_size = min_size_slider("min_size", lambda: self.histogram.largest, self.histogram)
        top = in_row(self.count, self.interval, (self.details, 1), HelpButton("Count and sliders"), spacing=2)
        in_column(top, self.note, self.threshold, self.min_size, into=self, spacing=6)

    def make_room(self, needed: bool) -> None:
        """Be lower while something else needs the room."""
        self._room_needed = needed
        self._set_heights()

    def _set_heights(self) -> None:
        # The plot of all planes needs room too.
        low = self._room_needed or isinstance(self._bench.session.chosen, PlaneKey)
        for plot in (self.curve, self.histogram):
            plot.set_low(low)

    def _on_cells(self, key: object = None) -> None:
        """Show the chosen image's cells from scratch."""
        cells = self._bench.session.cells
        self.setEnabled(cells is not None)
        self._shown = None
        self._set_heights()
        if cells is None:
            self.count.setText("– cells")
            # As high as it will be.
            self.details.setText("\n")
            self.threshold.set_hint("")
            self.min_size.set_hint("")
            self._show_worth()
            self._show_note()
            return
        self.histogram.largest = span_of(cells)
        self.threshold.show_value(cells.threshold)
        self.min_size.show_value(cells.min_size)
        self._show(cells)

    def _on_sliders(self, key: object) -> None:
        cells = self._bench.session.cells
        if cells is not None and key == self._bench.session.chosen:
            self.threshold.show_value(cells.threshold)
            self.min_size.show_value(cells.min_size)
            self._show(cells)

    def _show(self, cells: Cells) -> None:
        before, self._shown = self._shown, cells
        # An old interval beside a new count would be wrong; it comes when the sliders rest.
        self.interval.hide()
        self._worth_later()
        count = cells.count()
        self.count.setText(f"{count:,} cell" + ("" if count == 1 else "s"))
        edited = before is not None and before.revision != cells.revision
        if before is None or edited or (before.min_size, before.filters) != (cells.min_size, cells.filters):
            self._show_curve(cells)
        # Of a few cells, or of cells of a wrong size, a flat curve means nothing.
        taken = cells.segmented.taken_from
        meaningful = count >= FEW and cells.segmented.prediction.certain and not taken
        self.curve.stretch = self._stretch if meaningful else (math.nan, math.nan)
        self.threshold.setEnabled(not taken)
        self.threshold.set_hint(*(("no probability", NO_PROBABILITY) if taken else _flat_in_words(self.curve.stretch)))
        self.curve.set_point(cells.threshold, count)
        if before is None or edited or before.threshold != cells.threshold:
            self.histogram.set_areas(cells.areas(), self.histogram.largest)
        self.histogram.set_min_size(cells.min_size)
        self._show_details(cells)
        self._show_note()

    def _show_curve(self, cells: Cells) -> None:
        instances = cells.corrected.instances
        if instances.traits.knows(instances.filters):
            self._stretch = cells.stable_stretch()
            self.curve.set_curve(*cells.count_curve(), self._stretch)
        else:
            # A slider must not wait until the cells are measured at every threshold.
            self._measuring.ask(lambda: instances.count_curve(0), lambda _: self._on_cells())

    def _show_note(self, _: object = None) -> None:
        """Show of which other settings the count is, if it is; else what is doubtful about it."""
        session = self._bench.session
        cells, other = session.cells, session.differences(session.chosen)
        notes = [] if cells is None else still_true(cells.segmented.prediction.notes, cells.count())
        note = f"Counted with {', '.join(other)}. {PRESS_AGAIN}" if other else " ".join(notes)
        if cells is not None and cells.segmented.taken_from:
            note = f"Labels of {cells.segmented.taken_from}. Segment finds cells with the model in their place."
        self.note.report(note, warning=True)
        # A style sheet's font size wins over the widget's own, so it is set there as well.
        faint = f"color: {self._colors.faint.name()};" if other and self._colors is not None else ""
        size = round(self.count.font().pointSizeF())
        style = f"font-size: {size}pt; font-weight: bold; {faint}"
        if style != self.count.styleSheet():
            self.count.setStyleSheet(style)

    def _show_worth(self) -> None:
        """Show how far the count can be trusted, where the user counted some images."""
        cells = self._bench.session.cells
        worth = None if cells is None else self._agreements.worth(cells)
        self.interval.setText(interval_in_words(worth))
        self.interval.setVisible(bool(self.interval.text()))
        tip = "\n".join(
            [COUNT_TIP, *worth_in_words(worth, cells is not None and bool(cells.n_changed or cells.n_erased))]
        )
        self.count.setToolTip(tip)
        self.interval.setToolTip(tip)
        if cells is not None:
            self._show_details(cells)

    def _show_details(self, cells: Cells) -> None:
        size = cells.segmented.image.pixel_size
        diameter = cells.median_diameter()
        microns = f" = {diameter * math.sqrt(size[0] * size[1]):.1f} µm" if size else ""
        # Beside ten thousand cells there is no room for more words.
        lines = [f"⌀ {diameter:.0f} px{microns}"] if not math.isnan(diameter) else []
        if not self.interval.isHidden():
            # There is little room beside it.
            self.details.setText(f"⌀ {diameter:.0f} px" + (f"\n{microns[1:]}" if size else "") if lines else "")
            self._show_dropped(cells)
            return
        if cells.n_changed or cells.n_erased:
            lines.insert(0, f"{cells.n_changed + cells.n_erased:,} corrected")
        else:
            lines.append(f"{100 * cells.covered():.1f} % covered")
        self.details.setText("\n".join(lines))
        by_you = f"{cells.n_changed:,} changed, {cells.n_erased:,} erased by you. "
        self.details.setToolTip(by_you + DETAILS_TIP)
        self._show_dropped(cells)

    def _show_dropped(self, cells: Cells) -> None:
        size = cells.segmented.image.pixel_size
        dropped = cells.n_left_out()
        area = f"{cells.min_size * size[0] * size[1]:.3g} µm², " if size else ""
        tip = f"{dropped:,} smaller cells are not counted; cells that you corrected always are."
        self.min_size.set_hint(f"{area}{dropped:,} smaller" if dropped else f"{area}none is smaller", tip)


def _flat_in_words(stretch: tuple[float, float]) -> tuple[str, str]:
    low, high = stretch
    if math.isnan(low):
        return "", ""
    return (
        f"flat {low:.2f} to {high:.2f}",
        f"Between the thresholds {low:.2f} and {high:.2f} (shaded) the count changes by 2 % at most: there it hardly\n"
        "depends on them. Whether the cells were found well is another question; look at the outlines.",
    )
