"""A progress bar that costs next to nothing while nobody knows how long it will take."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QProgressBar, QWidget

# Every step paints the whole window anew where there is a canvas in it; Qt's own animation does so 25 times a second,
# which without a graphics card takes a core away from what is waited for.
STEP_MS, N_STEPS = 500, 5
_PARTS = 1000


class ProgressBar(QProgressBar):
    """Shows which part is done, or fills and empties slowly while that is not known."""

    def __init__(self, parent: QWidget | None = None, objectName: str = "") -> None:
        super().__init__(parent, objectName=objectName)
        self.setRange(0, _PARTS)
        self.setValue(0)
        self.setFormat("")
        self.is_busy = False
        self._clock = QTimer(self)
        self._clock.setInterval(STEP_MS)
        self._clock.timeout.connect(self._step)

    def show_busy(self) -> None:
        """Something is under way, and nobody knows how long it takes."""
        if self.is_busy:
            return
        self.is_busy = True
        self.setFormat("")
        self._step()
        if self.isVisible():
            self._clock.start()

    def show_part(self, part: float, words: str = "") -> None:
        """Show a part, 0 to 1, with some words on the bar."""
        self.is_busy = False
        self._clock.stop()
        self.setValue(round(_PARTS * part))
        self.setFormat(words)

    def showEvent(self, event: QShowEvent) -> None:
        """Go on filling."""
        super().showEvent(event)
        if self.is_busy:
            self._clock.start()

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody looks."""
        super().hideEvent(event)
        self._clock.stop()

    def _step(self) -> None:
        step = round(self.value() * N_STEPS / _PARTS)
        self.setValue(_PARTS * ((step + 1) % (N_STEPS + 1)) // N_STEPS)
