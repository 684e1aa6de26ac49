"""What the Check widget shows while the user counts by clicking."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QLabel, QWidget

from ..shared.bindings import Bindings
from ..shared.colors import Colors, accent_button
from ..shared.layout import in_column, in_row, small_button
from .clicks import Clicking


class CountingSection(QWidget):
    """How many cells were clicked, and the buttons that end it; hidden while nothing is counted.

    Parameters
    ----------
    clicking : Clicking
    finish : callable
        Takes what was clicked as the count.
    """

    def __init__(self, clicking: Clicking, finish: Callable[[], object]) -> None:
        super().__init__()
        self._clicking = clicking
        self.clicked = QLabel(objectName="clicked")
        self.clicked.setStyleSheet("font-size: 15pt; font-weight: bold;")
        self.clicked.setToolTip("Cells that you clicked so far.")
        self.done = small_button("clicks_done", "Done", "Take this number as your count of the image.", slot=finish)
        tip = "Take the last click back. Any other: select it and delete it."
        self.back = small_button("clicks_back", "Undo", tip, slot=clicking.take_back)
        tip = "End without a count. Your clicks are there the next time."
        self.stop = small_button("clicks_stop", "Stop", tip, slot=clicking.stop)
        in_column(in_row(self.clicked, (self.done, 1), (self.back, 1), (self.stop, 1)), into=self)
        self._bindings = Bindings(self)
        self._bindings.bind(clicking.changed, self._on_changed)
        self._on_changed()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.done.setStyleSheet(accent_button(colors))

    def _on_changed(self) -> None:
        clicking = self._clicking
        self.setVisible(clicking.running)
        if clicking.running:
            self.clicked.setText(f"{clicking.n:,}")
            self.back.setEnabled(bool(clicking.n or clicking.n_outside))
