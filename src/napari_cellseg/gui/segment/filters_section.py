"""More filters: largest size, circularity, solidity, brightness, and what counts at the edges of the image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QWidget

from ...instances.filters import (
    ALL,
    AREA,
    AT_LEAST,
    AT_MOST,
    CIRCULARITY,
    FRAME,
    INTENSITY,
    MEASURES,
    NONE,
    SOLIDITY,
    Filters,
    framed,
)
from ...instances.levels import threshold_level
from ...session import Cells
from ..shared.choosers import chooser
from ..shared.help import HelpButton
from ..shared.layout import in_column, in_row, label, one_line, tick
from ..shared.message import Message, errors_to
from ..shared.number_slider import NAME_WIDTH, NumberSlider
from ..shared.numbers import DecimalBox
from ..shared.workers import Latest
from ..viewer.bench import Bench
from ..viewer.following import Following
from ..viewer.section import Section
from ..viewer.sliders import span_of
from .calling import short
from .ghosts import Ghosts

LARGEST = 1e12
# At the slider's open end nothing is compared.
ANY = -LARGEST
# What each rule for edges counts, and what that means for the number of cells per area.
RULES = {
    ALL: ("count all cells", "Biased: cells that two fields share count in both, too many per area."),
    NONE: ("none that touch an edge", "Biased: too few cells per area, and large ones are lost most."),
    FRAME: ("counting frame", "Top and left edge count, bottom and right do not: the only unbiased rule."),
}
MOST_GUARD, GUARD_WIDTH = 9999, 90
WAIT = "Measuring all cells …"
FIRST = "Segment the image first."


class BoundSlider(NumberSlider):
    """A slider for one bound of a measurement, which is open at one end.

    Parameters
    ----------
    measure, sign : str
        As of `instances.filters.Filter`.
    decimals : int
    """

    def __init__(self, measure: str, sign: str, title: str, unit: str, tooltip: str, decimals: int) -> None:
        self.measure, self.sign = measure, sign
        self.span = (0.0, 1.0)
        super().__init__(
            f"filter_{measure}_{'least' if sign == AT_LEAST else 'most'}",
            title,
            unit,
            f"{tooltip}\nAt its {'left' if sign == AT_LEAST else 'right'} end all cells count.",
            decimals=decimals,
            maximum=LARGEST,
            step=1 if measure == AREA else 0.01,
            to_place=self._place_of,
            from_place=self._value_at,
        )
        self.number.setMinimum(ANY)
        self.number.setSpecialValueText("any")

    def asked(self) -> float | None:
        """Return the value that is asked for; None where all cells count."""
        value = self.value()
        if value <= ANY:
            return None
        # An arrow key goes from the open end to the nearest value there is.
        return value if value > ANY / 2 else self.span[self.sign == AT_MOST]

    def show_bound(self, value: float | None) -> None:
        """Show a value, or that there is none."""
        self.show_value(ANY if value is None else value)

    def set_span(self, low: float, high: float) -> None:
        """Set the values at both ends."""
        self.span = (low, high)
        if self.measure == INTENSITY and high > low:
            self.number.setSingleStep((high - low) / 100)

    def _place_of(self, value: float) -> float:
        low, high = self.span
        if value <= ANY or high <= low:
            return 0.0 if self.sign == AT_LEAST else 1.0
        place = min(max((value - low) / (high - low), 0.0), 1.0)
        return math.sqrt(place) if self.measure == AREA else place

    def _value_at(self, place: float) -> float:
        if place <= 0 if self.sign == AT_LEAST else place >= 1:
            return ANY
        low, high = self.span
        value = low + (high - low) * (place**2 if self.measure == AREA else place)
        return round(value) if self.measure == AREA else short(value, np.array(self.span))


class FiltersSection(Section):
    """What stands in the fold; it sleeps, and costs nothing, while the fold is closed."""

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self._ghosts = bench.part(Ghosts)
        self._awake = False
        self._measured: Any = None
        self._working = Latest(bench.failed, owner=self)
        self._build()
        session = bench.session
        self._bindings.bind_each(self._on_cells, session.chosen_changed, session.cells_changed, session.filters_changed)
        self._bindings.bind_each(self._on_sliders, session.sliders_changed, session.corrected)
        self._bindings.bind(self._ghosts.unwanted, lambda: self.ghosts.setChecked(False))
        self._on_cells()

    def wake(self, awake: bool) -> None:
        """Measure and show from now on, or no more; filters that are set stay."""
        self._awake = awake
        self._ghosts.wake(awake and self.ghosts.isChecked())
        self._on_cells()

    def _build(self) -> None:
        rows = (
            (AREA, AT_MOST, "Largest cell", "px", "Cells with a larger area, in pixels, do not count.", 0),
            (
                CIRCULARITY,
                AT_LEAST,
                "Circularity",
                "",
                "4π area / perimeter²: 1 is a disc, less is long or ragged. Cells with less do not count.",
                2,
            ),
            (
                SOLIDITY,
                AT_LEAST,
                "Solidity",
                "",
                "Share of its convex hull that a cell fills; dents make it less. Cells with less do not count.",
                2,
            ),
            (INTENSITY, AT_LEAST, "Brightness ≥", "", "Cells whose mean brightness is less do not count.", 1),
            (INTENSITY, AT_MOST, "Brightness ≤", "", "Cells whose mean brightness is more do not count.", 1),
        )
        self.sliders = tuple(BoundSlider(*row) for row in rows)
        following = self._bench.part(Following)
        for slider in self.sliders:
            slider.valueChanged.connect(lambda _, slider=slider: self._on_slider(slider))
            slider.pressed.connect(following.hold)
            slider.released.connect(following.release)
        words = [(text, rule) for rule, (text, _) in RULES.items()]
        self.edges = chooser("filter_edges", "Which cells at the edges of the image count.", words, self._on_edges)
        tip = (
            "How far the counting frame lies within the image. If that is as far as the largest cell is wide, all\n"
            "cells of the frame are seen whole, also over its corners. With 0 the frame is the edge of the image."
        )
        self.guard = DecimalBox(objectName="frame_guard", suffix=" px", keyboardTracking=False, toolTip=tip)
        self.guard.setDecimals(0)
        self.guard.setRange(0, MOST_GUARD)
        # The rule beside it needs the room.
        self.guard.setFixedWidth(GUARD_WIDTH)
        self.guard.valueChanged.connect(lambda _: self._on_edges())
        self.about_edges = Message(objectName="about_edges", rows=2)
        tip = "Outline the cells that do not count: those that a filter drops, and those that are too small."
        wake = lambda shown: self._ghosts.wake(shown and self._awake)  # noqa: E731
        self.ghosts = tick("show_ghosts", "show dropped", tip, wake)
        self.count = one_line("filtered_count")
        name = label("Edges")
        name.setFixedWidth(NAME_WIDTH)
        in_column(
            *self.sliders,
            in_row(name, (self.edges, 1), self.guard),
            self.about_edges,
            in_row((self.count, 1), self.ghosts, HelpButton("Filters")),
            into=self,
            spacing=2,
        )

    def _on_cells(self, _: object = None) -> None:
        """Show the filters, and how many cells they drop."""
        if not self._awake:
            return
        cells = self._bench.session.cells
        ready = cells is not None and cells.corrected.instances.traits is self._measured
        for slider in self.sliders:
            slider.setEnabled(ready)
        if cells is not None and not ready:
            self._measure(cells)
        filters = self._bench.session.filters
        for slider in self.sliders:
            slider.show_bound(filters.value(slider.measure, slider.sign))
        rule = filters.edges.partition(":")[0]
        self.edges.setCurrentIndex(self.edges.findData(rule))
        self.guard.setVisible(rule == FRAME)
        with QSignalBlocker(self.guard):
            self.guard.setValue(filters.guard)
        self.about_edges.report(RULES[rule][1])
        self.count.setText(FIRST if cells is None else _dropped_in_words(cells) if ready else WAIT)

    def _on_sliders(self, key: object, *_: object) -> None:
        if key == self._bench.session.chosen:
            self._on_cells()

    def _measure(self, cells: Cells) -> None:
        """Make the tables in a thread, so that no tick has to."""
        traits, level = cells.corrected.instances.traits, threshold_level(cells.threshold)

        def work() -> tuple[float, float]:
            brightness = [traits.values(measure)[level] for measure in MEASURES][-1]
            known = brightness[np.isfinite(brightness)]
            return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)

        def show(span: tuple[float, float]) -> None:
            self._measured = traits
            for slider in self.sliders:
                if slider.measure == INTENSITY:
                    slider.set_span(*span)
                elif slider.measure == AREA:
                    slider.set_span(1, span_of(cells))
            self._on_cells()

        self._working.ask(work, show)

    def _on_slider(self, slider: BoundSlider) -> None:
        filters = self._bench.session.filters
        self._set(lambda: filters.having(slider.measure, slider.sign, slider.asked()))

    def _on_edges(self, _: object = None) -> None:
        rule = self.edges.currentData()
        edges = framed(int(self.guard.value())) if rule == FRAME else rule
        self._set(lambda: Filters(self._bench.session.filters.bounds, edges))

    def _set(self, asked: Any) -> None:
        with errors_to(self._refuse):
            self._bench.session.set_filters(asked())

    def _refuse(self, sentence: str, failed: bool) -> None:
        self._bench.session.fail(None, sentence)
        self._on_cells()


def _dropped_in_words(cells: Cells) -> str:
    dropped = cells.n_filtered()
    return f"{dropped:,} cell{'' if dropped == 1 else 's'} dropped" if cells.filters else "no filter is set"
