"""The two sliders of a viewer's cells, as Segment shows them with their plots and Correct without."""

from __future__ import annotations

import math
from collections.abc import Callable

from qtpy.QtGui import QShowEvent

from ...session import Cells
from ..shared.layout import in_column
from ..shared.number_slider import NumberSlider
from ..shared.plots import Plot
from .bench import Bench
from .following import Following
from .section import Section

LARGEST_TYPED = 10_000_000
# The slider of the smallest cell ends a little beyond the largest cell.
BEYOND, LEAST = 1.1, 50


def threshold_slider(name: str, plot: Plot | None = None) -> NumberSlider:
    """Return the slider of the threshold."""
    return NumberSlider(
        name,
        "Threshold",
        "",
        "Foreground probability (0 to 1) from which a pixel belongs to a cell.\n"
        "Raise it and cells shrink or drop out; lower it and they grow and come back.",
        decimals=3,
        maximum=1.0,
        step=0.01,
        to_place=lambda value: value,
        from_place=lambda place: place,
        plot=plot,
    )


def min_size_slider(name: str, largest: Callable[[], float], plot: Plot | None = None) -> NumberSlider:
    """Return the slider of the smallest cell; `largest` returns the area, in pixels, at its right end."""
    return NumberSlider(
        name,
        "Smallest cell",
        "px",
        "Cells with a smaller area, in pixels, are left out. It starts at the value of the model,\n"
        "or at a fifth of the area of a typical cell of this image where that is less.",
        decimals=0,
        maximum=LARGEST_TYPED,
        step=5,
        to_place=lambda area: math.sqrt(min(area / largest(), 1.0)),
        from_place=lambda place: round(largest() * place * place),
        plot=plot,
    )


def span_of(cells: Cells) -> int:
    """Return the area, in pixels, at the right end of the slider of the smallest cell."""
    largest = int(cells.segmented.instances.areas(0.0).max(initial=0))
    return max(round(largest * BEYOND), LEAST)


def connect_sliders(bench: Bench, threshold: NumberSlider, min_size: NumberSlider) -> None:
    """Let two sliders set the threshold and the smallest size of the session."""
    threshold.valueChanged.connect(bench.session.set_threshold)
    min_size.valueChanged.connect(bench.session.set_min_size)
    following = bench.part(Following)
    for slider in (threshold, min_size):
        slider.pressed.connect(following.hold)
        slider.released.connect(following.release)


class SliderPair(Section):
    """Both sliders in two rows, without plots; asleep until the chosen image was segmented."""

    def __init__(self, bench: Bench, prefix: str) -> None:
        super().__init__(bench)
        self._largest = LEAST
        self.threshold = threshold_slider(f"{prefix}_threshold")
        self.min_size = min_size_slider(f"{prefix}_min_size", lambda: self._largest)
        in_column(self.threshold, self.min_size, into=self, spacing=2)
        connect_sliders(bench, self.threshold, self.min_size)
        session = bench.session
        self._bindings.bind_each(self._on_cells, session.chosen_changed, session.cells_changed)
        self._bindings.bind(session.sliders_changed, self._on_sliders)
        self._on_cells()

    def _on_cells(self, _: object = None) -> None:
        cells = self._bench.session.cells
        self.setEnabled(cells is not None)
        if cells is not None:
            self._largest = span_of(cells)
            # Labels of another program have no probability.
            self.threshold.setEnabled(not cells.segmented.taken_from)
        self._show()

    def showEvent(self, event: QShowEvent) -> None:
        """Show where the sliders stand now."""
        super().showEvent(event)
        self._show()

    def _on_sliders(self, _: object) -> None:
        # While it is hidden a drag costs nothing here.
        if self.isVisible():
            self._show()

    def _show(self, _: object = None) -> None:
        if (cells := self._bench.session.cells) is not None:
            self.threshold.show_value(cells.threshold)
            self.min_size.show_value(cells.min_size)
