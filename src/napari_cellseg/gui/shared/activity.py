"""A line in napari's activity dock for the running work."""

from __future__ import annotations

from collections.abc import Callable

from napari.utils import cancelable_progress

from ...imaging.progress import Progress

STEPS = 100


class Activity:
    """Progress in napari's activity dock, with its own Cancel button there.

    Parameters
    ----------
    title : str
    cancel : callable
        What its Cancel button does.
    """

    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        self._bar = cancelable_progress(total=STEPS, desc=title, cancel_callback=cancel)

    def show(self, progress: Progress) -> None:
        """Move the bar."""
        step = round(progress.fraction * STEPS)
        # napari handles events while it draws this, so the work may have ended in between.
        if step > self._bar.n:
            self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Remove the line."""
        self._bar.close()
