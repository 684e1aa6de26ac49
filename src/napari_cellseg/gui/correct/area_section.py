"""What was reviewed, and so is learned from."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QWidget

from ..shared.help import titled
from ..shared.layout import in_column, in_row, small_button, tick
from ..viewer.bench import Bench
from ..viewer.section import Section
from .reviewed_layer import ReviewedLayers


class AreaSection(Section):
    """Mark the whole image, rectangles, or with a brush; show exactly what would be learned from."""

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self._reviewed = bench.part(ReviewedLayers)
        self._build()
        session = bench.session
        self._bindings.bind_each(self._on_change, session.chosen_changed, session.cells_changed, session.corrected)
        self._bindings.bind(self._reviewed.changed, self._on_change)
        self._on_change()

    def _build(self) -> None:
        reviewed = self._reviewed
        tip = "Everything in this image is right: cells and background. One undo step."
        self.whole = small_button("reviewed_whole", "Whole image", tip, slot=self._on_whole)
        tip = "Draw rectangles in which all is right. With Shift held they are taken away."
        rectangles = lambda on: reviewed.mark_by("rectangle" if on else "")  # noqa: E731
        self.rectangles = small_button("reviewed_rectangles", "Rectangles", tip, True, rectangles)
        tip = "Paint where all is right; the eraser (1) takes away, [ and ] change its size."
        brush = lambda on: reviewed.mark_by("brush" if on else "")  # noqa: E731
        self.brush = small_button("reviewed_brush", "Brush", tip, True, brush)
        tip = "Take all marks away. Corrected cells stay reviewed, with a margin around them."
        self.nothing = small_button("reviewed_none", "None", tip, slot=lambda: reviewed.mark_all(False))
        tip = (
            "Green: marked as reviewed. Orange: the margin of 8 px around the cells that you corrected.\n"
            "Only there a new model is taught; everything else is left open."
        )
        self.show_area = tick("show_reviewed", "show what would be learned from", tip, reviewed.show)
        row = in_row((self.whole, 11), (self.rectangles, 10), (self.brush, 7), (self.nothing, 7))
        in_column(titled("Reviewed area"), row, self.show_area, into=self, spacing=5)

    def _on_whole(self) -> None:
        self._reviewed.show(True)
        self._reviewed.mark_all(True)

    def _on_change(self, key: Any = None) -> None:
        reviewed, cells = self._reviewed, self._bench.session.cells
        self.setEnabled(cells is not None)
        self.nothing.setEnabled(cells is not None and cells.corrected.corrections.has_marks)
        for control, on in (
            (self.show_area, reviewed.shown),
            (self.rectangles, reviewed.way == "rectangle"),
            (self.brush, reviewed.way == "brush"),
        ):
            with QSignalBlocker(control):
                control.setChecked(on)
