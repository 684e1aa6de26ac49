"""The rows of a running batch: taken from any thread, written into the ledger, handed on as events."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from ..imaging.errors import OutputError
from ..imaging.progress import Note
from ..results.combine import write_combined
from ..results.counts import COUNTS_FILE, as_listed, forget_gone, open_ledger
from ..results.counts_writer import CountsWriter
from ..results.equal_values import equal_images_in_words
from ..results.folder_settings import FolderSettings
from ..results.ledger import Ledger
from ..results.locks import FolderLock
from ..results.outputs import OUTPUTS, Output
from ..results.rows import BatchRow
from .events import BatchEvent, RowDone

FULL = "The disk is full or the folder cannot be written: what is done now may have to be done again. Free some space."


class Book:
    """Takes rows from any thread, writes them into the ledger, and hands on events."""

    def __init__(self, settings: FolderSettings, lock: FolderLock) -> None:
        self._settings, self._folder = settings, lock
        self.ledger: Ledger = open_ledger(settings.out)
        self._counts = CountsWriter(self.ledger, settings.out / COUNTS_FILE, style=settings.options.csv)
        self._lock = threading.Lock()
        self._news: deque[BatchEvent] = deque()
        self._warned = False
        self._left: set[str] = set()
        self.rows: list[BatchRow] = []

    def record(self, rows: Sequence[BatchRow]) -> None:
        """Take rows."""
        for row in rows:
            self._look_for_older(row)
        new = [_stored(row, self.ledger.get(row.key)) for row in rows if self._is_new(row)]
        written = self.ledger.put(new) if new else True
        self._counts.touch()
        with self._lock:
            self._news += [RowDone(row) for row in rows]
            self.rows += rows
            if not written and not self._warned:
                self._warned = True
                self._news.append(Note(FULL))

    def _is_new(self, row: BatchRow) -> bool:
        if row.state == "kept":
            # A window that corrected it may have added its own row just now.
            self.ledger.refresh()
        old = self.ledger.get(row.key)
        if row.state == "kept":
            return old is None or not old.corrected or _stored(row, old) != old
        if row.state == "failed" and old is not None and old.corrected and not self._settings.overwrite:
            # Its image could not be read: the manually edited labels are as they were.
            return not (self._settings.out / old.files.get("labels", "")).is_file()
        return row.state != "skipped" or old is None or old.source != row.source

    def _look_for_older(self, row: BatchRow) -> None:
        """Collect files of an earlier recipe that stay beside a new result because they were not asked for."""
        old = self.ledger.get(row.key)
        if row.state == "done" and old is not None and old.recipe not in ("", row.recipe):
            lost = {name for name in old.files if name in OUTPUTS and name not in row.files}
            self._left |= {name for name in lost if _is_there(self._settings.out, OUTPUTS[name], old.files[name])}

    def warnings(self) -> Generator[BatchEvent, None, None]:
        """Warn of damaged rows, of files of an earlier recipe in the folder, and of images with equal values."""
        if n := self.ledger.n_damaged:
            yield Note(
                f"{n} line{'s' if n > 1 else ''} of {self.ledger.path} cannot be read, as after a crash: what a line "
                "was about is missing in the tables, unless it was done again. Run again with the images concerned."
            )
        if equal := equal_images_in_words(as_listed(self.ledger.rows())):
            yield Note(equal)
        left = [OUTPUTS[name].label for name in OUTPUTS if name in self._left]
        if left:
            yield Note(
                f"Still of an earlier recipe, because not asked for this time: {', '.join(left)}. Run again with them, "
                "or delete these files."
            )

    def news(self) -> Generator[BatchEvent, None, None]:
        """Yield the events since the last call; raises OutputError if the folder is gone."""
        if self._folder.is_lost:
            raise OutputError(
                f"{self._settings.out} was deleted or moved while results were written into it. Run again, with a "
                "folder that stays."
            )
        while self._news:
            yield self._news.popleft()

    def close(self) -> None:
        """Write ledger and tables; raises OutputError if the system refused."""
        if self._folder.is_lost:
            forget_gone(self.ledger, self._settings.out)
        try:
            self.ledger.close()
        finally:
            self._counts.close()
        options = self._settings.options
        write_combined(self.ledger.rows(), self._settings.out, options.outputs, options.csv)


def _stored(row: BatchRow, old: BatchRow | None) -> BatchRow:
    """Return a row as the ledger keeps it: done or failed; the other states are about one run."""
    if row.state == "kept":
        if old is not None and old.corrected:
            # A window that corrected it may have added its own row just now. An image that has changed since is
            # not the one that was corrected.
            return replace(old, error=row.error, source=old.source if row.error else row.source)
        return replace(row, state="done", notes=())
    return replace(row, state="done") if row.state == "skipped" else row


def _is_there(out: Path, output: Output, name: str) -> bool:
    return (out / (output.suffix if output.combined else name)).exists()
