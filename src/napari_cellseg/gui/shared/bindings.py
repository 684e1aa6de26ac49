"""Connections of a widget to things that outlive it, undone when the widget goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject
from superqt.utils import qdebounced

REST_MS = 120


class Bindings:
    """Connects a widget's slots to signals of the session and of napari's models.

    Those signals would go on calling a widget whose dock was closed, and calling a deleted Qt object is an error.

    Parameters
    ----------
    owner : QObject
        When Qt destroys it, all its connections end.
    """

    def __init__(self, owner: QObject) -> None:
        self._connections: list[tuple[Any, Callable[..., object]]] = []
        self._delayed: list[Any] = []
        owner.destroyed.connect(self.end)

    def bind(self, signal: Any, slot: Callable[..., object]) -> None:
        """Connect, unless it is connected already."""
        if not any(known is signal and other == slot for known, other in self._connections):
            signal.connect(slot)
            self._connections.append((signal, slot))

    def bind_each(self, slot: Callable[..., object], *signals: Any) -> None:
        """Connect several signals to one slot."""
        for signal in signals:
            self.bind(signal, slot)

    def debounced(self, slot: Callable[[], object], milliseconds: int) -> Any:
        """Return a function that calls a slot once it has come to rest itself; its ``cancel()`` drops the call."""
        later = qdebounced(slot, timeout=milliseconds)
        self._delayed.append(later)
        return later

    def bind_at_rest(self, signal: Any, slot: Callable[[], object]) -> None:
        """Connect a slot that is called without arguments once the signal has come to rest (debounced).

        What only shows the state of something that changes at every step of a drag would slow the drag down.
        """
        later = self.debounced(slot, REST_MS)
        self.bind(signal, lambda *_: later())

    def end(self) -> None:
        """Disconnect everything."""
        while self._delayed:
            self._delayed.pop().cancel()
        while self._connections:
            signal, slot = self._connections.pop()
            signal.disconnect(slot)
