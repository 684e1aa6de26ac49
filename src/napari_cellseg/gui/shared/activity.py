"""A line in napari's activity dock for the running work."""

from __future__ import annotations

from collections.abc import Callable

from napari.utils import cancelable_progress
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QLabel, QMainWindow

from ...imaging.progress import Progress

STEPS = 100
# Of napari's sign of running work, in the status bar. Every picture of it repaints the whole window with its canvas, so
# that at its own speed, without a graphics card, it takes a core away from the work: 2 a second, not 33.
SIGN_PERCENT = 6
# Work that is done sooner needs no line, and opening one takes longer than a click may.
AFTER_MS = 500


class _Line(cancelable_progress):
    """napari's own asks whether it was cancelled only where it is iterated over: this reports it at once."""

    def cancel(self) -> None:
        super().cancel()
        self.cancel_callback()


class Activity:
    """Progress in napari's activity dock, with its own Cancel button there.

    napari handles events while it draws the line, so the work may end in the midst of that: the line is drawn by a
    timer of its own, never from within the work, and removed once it is drawn.

    Parameters
    ----------
    title : str
    cancel : callable
        What its Cancel button does.
    after_ms : int
        How long the work must have lasted before there is a line.
    """

    def __init__(self, title: str, cancel: Callable[[], None], after_ms: int = AFTER_MS) -> None:
        self._title, self._cancel = title, cancel
        self._step, self._closed, self._drawing = 0, False, False
        self._bar: _Line | None = None
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._draw)
        self._timer.start(after_ms)

    def show(self, progress: Progress) -> None:
        """Move the bar."""
        self._step = max(self._step, round(progress.fraction * STEPS))
        if self._bar is not None and self._step > self._bar.n and not self._closed and not self._timer.isActive():
            self._timer.start(0)

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
        self._closed = True
        self._timer.stop()
        if self._bar is not None and not self._drawing:
            self._bar.close()

    def _draw(self) -> None:
        if self._drawing:
            # Within napari's own handling of events: what is new is drawn after that.
            return
        self._drawing = True
        if self._bar is None:
            self._bar = _Line(total=STEPS, desc=self._title, cancel_callback=self._cancel)
            slow_signs()
        while self._step > self._bar.n and not self._closed:
            self._bar.update(self._step - self._bar.n)
        self._drawing = False
        if self._closed:
            self._bar.close()


def slow_signs() -> None:
    """Let napari's signs of running work move slowly."""
    for window in QApplication.topLevelWidgets():
        labels = window.statusBar().findChildren(QLabel) if isinstance(window, QMainWindow) else []
        for movie in filter(None, (label.movie() for label in labels)):
            movie.setSpeed(SIGN_PERCENT)
