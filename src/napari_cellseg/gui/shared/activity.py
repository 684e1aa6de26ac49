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

    def show_one(self, progress: Progress, what: str, n_before: int, total: int) -> Progress:
        """Move the bar by how far one of several is; return how far all are.

        Parameters
        ----------
        progress : Progress
            Of the one that is being done.
        what : str
            Such as ``plane``.
        n_before, total : int
            How many are done, and all.
        """
        message = f"{what} {min(n_before + 1, total):,} of {total:,}: {progress.message}"
        of_all = Progress(round(1000 * (n_before + progress.fraction)), 1000 * total, message)
        self.show(of_all)
        return of_all

    def close(self) -> None:
        """Remove the line."""
        self._bar.close()
