"""Long work in a child process: started, listened to, cancelled, and settled when it ends."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

from psygnal import Signal
from qtpy.QtCore import QTimer

from ...imaging.progress import Progress
from ..shared.activity import Activity
from .child_process import ChildProcess, own_program

POLL_MS = 100
# Opening napari's activity dock takes longer than a click may.
ACTIVITY_AFTER_MS = 1500
# Asked to finish it saves and goes; one that then says nothing for so long is ended.
GRACE_S = 60.0


class ChildJob(ABC):
    """At most one child process at a time, and what is known of it. Everything here runs in the window's thread.

    A subclass hears what the child says and draws the conclusion when it has ended.

    Signals
    -------
    changed()
        Another phase began, or something is to be told.
    progressed()
    ended(outcome)
    """

    changed = Signal()
    progressed = Signal()
    ended = Signal(object)

    # How many of the child's reports are heard in one go.
    at_once = 200

    def __init__(self) -> None:
        self.kind: str = "idle"
        self.outcome: Any = None
        self.notes: list[str] = []
        self._child: ChildProcess | None = None
        self._activity: Activity | None = None
        self._last: dict[str, Any] = {}
        self._heard_at = 0.0
        self._timer = QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.poll)
        self._activity_timer = QTimer()
        self._activity_timer.setSingleShot(True)
        self._activity_timer.setInterval(ACTIVITY_AFTER_MS)
        self._activity_timer.timeout.connect(self._begin_activity)

    @property
    def running(self) -> bool:
        """Whether work is under way."""
        return self._child is not None

    @property
    def child(self) -> ChildProcess | None:
        """The process that works; None when none does."""
        return self._child

    def cancel(self) -> None:
        """Ask the work to stop and keep what it has; a second time ends it at once, which keeps what is on disk."""
        if self._child is None:
            return
        if self.kind == "stopping":
            self._child.kill()
            return
        self._heard_at = time.monotonic()
        self._child.stop()
        self._become("stopping")

    def close(self) -> None:
        """Let the work finish by itself, unheard; called when the window goes."""
        self._timer.stop()
        child, self._child = self._child, None
        if child is not None:
            child.stop()
        self._end_activity()
        self.kind = "idle"

    def poll(self) -> None:
        """Take in what the child said since the last time."""
        child = self._child
        if child is None:
            return
        # Asked first: what it said before it ended is then all there.
        ended = child.ended
        events = child.take(self.at_once)
        if events:
            self._heard_at = time.monotonic()
            moved = self._hear(events)
            if self._child is not child:
                # A slot of ours closed the job.
                return
            if moved:
                self.progressed.emit()
                self._show_activity()
        if self.kind == "stopping" and time.monotonic() - self._heard_at > GRACE_S:
            child.kill()
        if ended and not events:
            self._end(child)

    def _launch(self, own: list[str], words: list[str] | None) -> None:
        """Start our own command line with `own`; `words` stand in for all of it."""
        self._last = {}
        self._child = ChildProcess(words or own_program(*own, "--report", "jsonl", "--stop-on-eof"))
        self._activity_timer.start()
        self._heard_at = time.monotonic()
        self._child.start()
        self._timer.start()
        self._become("starting")

    @abstractmethod
    def _hear(self, events: list[dict[str, Any]]) -> bool:
        """Take in some reports, oldest first; say whether the work has moved on."""

    @abstractmethod
    def _part(self) -> float:
        """How much of the work is done, 0 to 1."""

    @abstractmethod
    def _title(self) -> str:
        """What the activity dock calls the work."""

    @abstractmethod
    def _conclude(self, child: ChildProcess, stopping: bool) -> Any:
        """Say what became of the work, now that the child has ended."""

    def _become(self, kind: str) -> None:
        # Whoever asked it to stop is told so until it has.
        if self.kind != "stopping":
            self.kind = kind
        self.changed.emit()

    def _end(self, child: ChildProcess) -> None:
        self._timer.stop()
        self._child = None
        self._end_activity()
        stopping = self.kind == "stopping"
        self.kind = "idle"
        self.outcome = self._conclude(child, stopping)
        self.changed.emit()
        self.ended.emit(self.outcome)

    def _begin_activity(self) -> None:
        if self._child is not None and self._activity is None:
            self._activity = Activity(self._title(), self.cancel)
            self._show_activity()

    def _show_activity(self) -> None:
        if self._activity is not None:
            self._activity.show(Progress(round(1000 * self._part()), 1000))

    def _end_activity(self) -> None:
        self._activity_timer.stop()
        activity, self._activity = self._activity, None
        if activity is not None:
            activity.close()
