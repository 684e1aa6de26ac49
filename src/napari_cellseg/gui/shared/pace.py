"""How long a run will still take."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Pace:
    """How long a run will still take, from how fast it has been."""

    _first: tuple[float, float] | None = field(default=None, init=False)

    def seconds_left(self, fraction: float, now: float | None = None) -> float | None:
        """Seconds until `fraction` (0 to 1) reaches 1; None until there is something to go by."""
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
    """Return seconds as a person says them."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min"
