"""What to do first, in the empty panel."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QWidget

from ..shared.layout import button, heading, in_column, in_row

STEPS = (
    "1.  Open an image: the button above, or drop a file here.",
    "2.  Press Segment. The cells appear after some seconds.",
    "3.  Drag the two sliders until the outlines fit.",
    "4.  Save results: labels, table and count.",
)


class FirstSteps(QWidget):
    """A short checklist with *Try a sample*; shown while no image is open.

    Signals
    -------
    sample_asked()
    """

    sample_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("first_steps")
        tip = "Open an image of fluorescent nuclei that comes with the plugin. File › Open Sample has more."
        self.sample = button("try_sample", "Try a sample", tip, self.sample_asked.emit)
        steps = [QLabel(step) for step in STEPS]
        for step in steps:
            step.setWordWrap(True)
        row = in_row(self.sample, None)
        in_column(heading("How to count cells"), steps[0], row, *steps[1:], into=self, spacing=8)
