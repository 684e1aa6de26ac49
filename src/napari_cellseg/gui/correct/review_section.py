"""The guided walk through the most doubtful cells."""

from __future__ import annotations

from typing import Any

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QProgressBar, QSizePolicy, QWidget

from ..shared.colors import Colors
from ..shared.help import titled
from ..shared.layout import in_column, in_row, sentence, small_button
from ..viewer.bench import Bench
from ..viewer.doubting import Doubting
from ..viewer.section import Section
from .review import Review


class ReviewSection(Section):
    """Next most doubtful, three answers by one key each, and how far the walk is."""

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self._review, self._doubting = bench.part(Review), bench.part(Doubting)
        self._build()
        session = bench.session
        self._bindings.bind_each(self._on_cells, session.chosen_changed, session.cells_changed, session.corrected)
        self._bindings.bind_each(self._on_cells, self._review.changed, self._doubting.changed)
        self._bindings.bind_at_rest(session.sliders_changed, self._on_cells)
        self._on_cells()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.why.setStyleSheet(f"color: {colors.faint.name()};")

    def showEvent(self, event: QShowEvent) -> None:
        """Have the doubt worked out as long as the user may ask for the next cell."""
        super().showEvent(event)
        self._doubting.want("review")

    def _build(self) -> None:
        review = self._review
        tip = (
            "Go to the cell that is most likely wrong and was not looked at yet (key G in the image);\n"
            "after the cells come places where one may have been missed.\n"
            "The table has the doubt of every cell as a column: click its head to sort."
        )
        self.next = small_button("next_doubtful", "Next most doubtful   G", tip, slot=review.next)
        self.progress = QProgressBar(objectName="review_progress")
        self.progress.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.progress.setToolTip("Counted cells that you looked at here, or that are yours.")
        tip = "This cell is right: it becomes yours, and the next one comes (key Y in the image)."
        self.right = small_button("review_right", "Right   Y", tip, slot=review.accept)
        tip = "Take the brush for this cell (key C in the image). Then go on with Next."
        self.fix = small_button("review_fix", "Fix   C", tip, slot=review.correct)
        tip = "This is no cell: erase it, and the next one comes (key N in the image)."
        self.wrong = small_button("review_wrong", "No cell   N", tip, slot=review.delete)
        self.why = sentence("review_reason")
        # The buttons below stay where they are, whether the reason takes one line or two.
        self.why.setMinimumHeight(2 * self.why.fontMetrics().lineSpacing() + 2)
        going_on = in_row((self.next, 1), (self.progress, 1), spacing=6)
        answers = in_row((self.right, 1), (self.fix, 1), (self.wrong, 1), spacing=6)
        in_column(titled("Review"), going_on, self.why, answers, into=self, spacing=5)

    def _on_cells(self, key: Any = None) -> None:
        bench = self._bench
        chosen, cells = bench.session.chosen, bench.session.cells
        self.setEnabled(cells is not None)
        looked, total = self._review.progress(chosen)
        self.progress.setRange(0, max(total, 1))
        self.progress.setValue(looked)
        self.progress.setFormat(f"looked at {looked:,} of {total:,}" if cells is not None else "")
        going = self._review.current(chosen) is not None or self._review.missed(chosen) is not None
        for button in (self.right, self.fix, self.wrong):
            button.setEnabled(going)
        if going:
            self.why.setText(self._review.reason(chosen))
        elif cells is None:
            self.why.setText("")
        elif self._doubting.doubt_of(chosen) is None:
            self.why.setText("Working out how doubtful each cell is …")
        else:
            self.why.setText("The likeliest errors come first.")
