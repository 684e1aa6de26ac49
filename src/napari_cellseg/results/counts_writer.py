"""Write the table of counts again and again while a batch runs."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

from ..imaging.errors import OutputError
from .counts import write_counts
from .ledger import Ledger

# The table of a large batch takes a while to write: the pause until the next time is this many times as long.
REST = 20


class CountsWriter:
    """Keeps a table up to date with a ledger, in a background thread and at most once a second.

    Parameters
    ----------
    ledger : Ledger
    path : Path
        The table.
    seconds : float
        Pause between two times.
    style : str, optional
        As `write_counts` takes it.
    """

    def __init__(self, ledger: Ledger, path: Path, seconds: float = 1.0, style: str | None = None) -> None:
        self._ledger, self._path, self._pause, self._style = ledger, path, seconds, style
        self._due, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="napari-cellseg counts", daemon=True)
        self._thread.start()

    def touch(self) -> None:
        """Announce new rows."""
        self._due.set()

    def close(self) -> None:
        """Write the table a last time.

        Raises
        ------
        OutputError
            The system refused to write.
        """
        self._closing.set()
        self._due.set()
        self._thread.join()
        self._ledger.refresh()
        write_counts(self._ledger.rows(), self._path, self._style)

    def _run(self) -> None:
        while self._due.wait() and not self._closing.is_set():
            self._due.clear()
            began = time.monotonic()
            # The next row tries again; at the end, a failure is raised.
            with contextlib.suppress(OutputError):
                self._ledger.refresh()
                write_counts(self._ledger.rows(), self._path, self._style)
            self._closing.wait(max(self._pause, REST * (time.monotonic() - began)))
