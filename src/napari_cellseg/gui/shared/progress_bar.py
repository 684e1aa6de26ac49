"""A progress bar that costs next to nothing while the time left is not known, and the time left."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from qtpy.QtCore import QTimer
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QProgressBar, QWidget

# Every step repaints the whole window if it holds a canvas; Qt's own animation does so 25 times a second, which
# without a graphics card takes a core away from the work itself.
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
        """Show that something is under way whose duration is not known."""
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
        """Stop filling."""
        super().hideEvent(event)
        self._clock.stop()

    def _step(self) -> None:
        step = round(self.value() * N_STEPS / _PARTS)
        self.setValue(_PARTS * ((step + 1) % (N_STEPS + 1)) // N_STEPS)


@dataclass
class Pace:
    """Estimates how long a run will still take from its speed so far."""

    _first: tuple[float, float] | None = field(default=None, init=False)

    def seconds_left(self, fraction: float, now: float | None = None) -> float | None:
        """Return the seconds until `fraction` (0 to 1) reaches 1; None until that can be estimated."""
        now = time.monotonic() if now is None else now
        if not 0 < fraction <= 1:
            self._first = (now, 0.0) if self._first is None or fraction <= 0 else self._first
            return None
        if self._first is None:
            self._first = (now, fraction)
        start, before = self._first
        if now <= start or fraction <= before:
            return None
        return (1 - fraction) * (now - start) / (fraction - before)


def in_words(seconds: float) -> str:
    """Return a time as text: seconds below a minute and a half, else minutes."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min"
