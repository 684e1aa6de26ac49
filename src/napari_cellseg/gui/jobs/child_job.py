"""Long work in a child process: started, listened to, cancelled, and concluded when it ends."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any, Self

from psygnal import Signal
from qtpy.QtCore import QTimer

from ...imaging.progress import Progress
from ..shared.activity import Activity
from ..viewer.bench import Bench
from .child_process import ChildProcess, own_program

POLL_MS = 100
# Opening napari's activity dock takes longer than a click may.
ACTIVITY_AFTER_MS = 1500
# A child that is asked to finish saves and ends; one that then reports nothing for so long is ended.
GRACE_S = 60.0


class ChildJob(ABC):
    """At most one child process at a time, and the state of its work. Everything here runs in the main thread.

    It is idle, starting, running or stopping (or in another phase of a subclass). A subclass returns the command line
    of a request, takes in what the child reports, and concludes what became of it.

    Signals
    -------
    changed()
        Another phase began, or there is something to show.
    progressed()
    ended(outcome)
    """

    changed = Signal()
    progressed = Signal()
    ended = Signal(object)

    # How many of the child's reports are taken in at once.
    at_once = 200
    starting_sentence = "Starting: reading the images …"
    stopping_sentence = "Stopping …"

    def __init__(self) -> None:
        self.kind: str = "idle"
        self.request: Any = None
        self.outcome: Any = None
        self.notes: list[str] = []
        self._done = 0.0
        # The process that works; None when none does.
        self.child: ChildProcess | None = None
        self._activity: Activity | None = None
        self._last: dict[str, Any] = {}
        self._received_at = 0.0
        self._timer = QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.poll)

    @classmethod
    def for_bench(cls, bench: Bench) -> Self:
        """Return the one job of this kind that a viewer has, which goes on when the widget's dock is closed."""
        return bench.part(cls, lambda _: cls())

    @property
    def running(self) -> bool:
        """Whether work is under way."""
        return self.child is not None

    @property
    def done(self) -> float:
        """How much of the work is done, 0 to 1."""
        return self._done

    @property
    def part(self) -> float | None:
        """How much of the present phase is done, 0 to 1; None where that is not known."""
        return None if self.kind == "starting" else self.done

    def in_words(self) -> str:
        """Return how far it is, for a progress bar."""
        return ""

    def sentence(self) -> str:
        """Return how far it is, or what became of it, in a sentence."""
        if self.kind == "idle":
            return "" if self.outcome is None else str(self.outcome.sentence)
        fixed = {"starting": self.starting_sentence, "stopping": self.stopping_sentence}
        return fixed.get(self.kind) or self._sentence()

    def start(self, request: Any, words: list[str] | None = None) -> bool:
        """Start the work, and return whether it was started: none is while other work is under way.

        Parameters
        ----------
        request
            What is to be done, as the subclass takes it.
        words : list of str, optional
            A program with its arguments that stands in for the package's own command line.

        Raises
        ------
        OSError or OutputError
            If a file that the child reads cannot be written.
        """
        if self.child is not None:
            return False
        own = self._begin(request)
        self.request, self.outcome, self.notes, self._done = request, None, [], 0.0
        self._last = {}
        self.child = ChildProcess(words or own_program(*own, "--report", "jsonl", "--stop-on-eof"))
        self._activity = Activity(self._title(), self.cancel, ACTIVITY_AFTER_MS)
        self._received_at = time.monotonic()
        self.child.start()
        self._timer.start()
        self._become("starting")
        return True

    def cancel(self) -> None:
        """Ask the work to stop and keep its results so far; a second call ends it at once and keeps what is on disk."""
        if self.child is None:
            return
        if self.kind == "stopping":
            self.child.kill()
            return
        self._received_at = time.monotonic()
        self.child.stop()
        self._become("stopping")

    def close(self) -> None:
        """Let the work finish by itself, without listening; called when the window closes."""
        self._timer.stop()
        child, self.child = self.child, None
        if child is not None:
            child.stop()
        self._end_activity()
        self.kind = "idle"

    def poll(self) -> None:
        """Take in what the child has reported since the last time."""
        child = self.child
        if child is None:
            return
        # Asked first: all that it reported before it ended is there then.
        ended = child.ended
        events = child.take(self.at_once)
        if events:
            self._received_at = time.monotonic()
            moved = self._receive(events)
            if self.child is not child:
                # A slot closed the job.
                return
            if moved:
                self.progressed.emit()
                self._show_activity()
        if self.kind == "stopping" and time.monotonic() - self._received_at > GRACE_S:
            child.kill()
        if ended and not events:
            self._end(child)

    def _receive(self, events: list[dict[str, Any]]) -> bool:
        """Take in some reports, oldest first; return whether the work has moved on."""
        moved = False
        for event in events:
            kind = event.get("event")
            if kind in ("done", "error"):
                self._last = event
            elif kind == "note":
                self._receive_note(event)
            else:
                moved |= self._receive_one(event)
        return moved

    def _receive_note(self, event: dict[str, Any]) -> None:
        self.notes.append(str(event.get("text", "")))
        self.changed.emit()

    @abstractmethod
    def _begin(self, request: Any) -> list[str]:
        """Forget what was known of other work, and return the command line that does this."""

    @abstractmethod
    def _receive_one(self, event: dict[str, Any]) -> bool:
        """Take in one report; return whether the work has moved on."""

    @abstractmethod
    def _sentence(self) -> str:
        """Return how far the work is, while it runs."""

    @abstractmethod
    def _title(self) -> str:
        """Return the name of the work in the activity dock."""

    @abstractmethod
    def _conclude(self, child: ChildProcess, stopping: bool) -> Any:
        """Return what became of the work, now that the child has ended."""

    def _become(self, kind: str) -> None:
        # It is shown as stopping until it has stopped.
        if self.kind != "stopping":
            self.kind = kind
        self.changed.emit()

    def _end(self, child: ChildProcess) -> None:
        self._timer.stop()
        self.child = None
        self._end_activity()
        stopping = self.kind == "stopping"
        self.kind = "idle"
        self.outcome = self._conclude(child, stopping)
        self.changed.emit()
        self.ended.emit(self.outcome)

    def _show_activity(self) -> None:
        if self._activity is not None:
            self._activity.show(Progress(round(1000 * self.done), 1000))

    def _end_activity(self) -> None:
        activity, self._activity = self._activity, None
        if activity is not None:
            activity.close()
