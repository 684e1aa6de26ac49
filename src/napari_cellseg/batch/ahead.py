"""Let an iterator run ahead in a background thread, within limits of number and memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Budget:
    """Counts bytes that are held; one item may exceed the whole budget, but then it is held alone."""

    def __init__(self, n_bytes: int) -> None:
        self._left = self._whole = n_bytes
        self.condition = threading.Condition()

    @property
    def has_room(self) -> bool:
        """Whether one more item may be taken."""
        return self._left > 0

    def take(self, n_bytes: int) -> None:
        """Hold some bytes."""
        with self.condition:
            self._left -= n_bytes

    def give(self, n_bytes: int) -> None:
        """Release some bytes."""
        with self.condition:
            self._left += n_bytes
            self.condition.notify_all()


class Ahead(Generic[Thing]):
    """Runs an iterator in a thread.

    Parameters
    ----------
    source : iterator
        Run in the thread, to its end or until `close`.
    n_ahead : int
        At most so many things wait to be fetched.
    budget : Budget
        None is begun while this has no room; who takes from it is the iterator's business.
    """

    def __init__(self, source: Iterator[Thing], n_ahead: int, budget: Budget) -> None:
        self._source, self._n_ahead, self._budget = source, n_ahead, budget
        self._ready: deque[Thing] = deque()
        self._ended = self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="napari-cellseg reading", daemon=True)
        self._thread.start()

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left to fetch, now or later.

        Raises
        ------
        Exception
            What the iterator raised.
        """
        with self._budget.condition:
            if self._ended and not self._ready and self._error is not None:
                raise self._error
            return self._ended and not self._ready

    def fetch(self, seconds: float) -> Thing | None:
        """Return the next item, or None when there is none in time."""
        with self._budget.condition:
            self._budget.condition.wait_for(lambda: self._ready or self._ended, seconds)
            if not self._ready:
                return None
            thing = self._ready.popleft()
            self._budget.condition.notify_all()
            return thing

    def close(self) -> None:
        """Stop; the item that is being made is discarded."""
        with self._budget.condition:
            self._closed = True
            self._ready.clear()
            self._budget.condition.notify_all()

    def _run(self) -> None:
        condition = self._budget.condition
        try:
            while True:
                with condition:
                    condition.wait_for(
                        lambda: self._closed or (len(self._ready) < self._n_ahead and self._budget.has_room)
                    )
                    if self._closed:
                        return
                try:
                    thing = next(self._source)
                except StopIteration:
                    return
                with condition:
                    if not self._closed:
                        self._ready.append(thing)
                        condition.notify_all()
        except BaseException as error:  # noqa: BLE001 - raised again where the items are fetched
            self._error = error
        finally:
            with condition:
                self._ended = True
                condition.notify_all()
