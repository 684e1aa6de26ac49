"""The ledger of a folder of results: one line per finished row, only ever appended, so that no crash loses one.

``counts.csv`` is written from the ledger. Several programs may append to it: the one that runs the batch, and the
window in which a user corrects a result meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path

from ..imaging.errors import CellsegError, OutputError
from ..imaging.read.values.json_types import parse_json
from ..imaging.write.atomic import output_error
from ..imaging.write.write import make_folder
from .locks import locked
from .rows import BatchRow

FOLDER = ".cellseg"
LEDGER_FILE = "ledger.jsonl"
FLUSH_SECONDS = 0.5
Key = tuple[str, str]


class Ledger:
    """The rows of a folder of results.

    Parameters
    ----------
    out : Path
        Folder of results; nothing is written before the first `put`.

    Attributes
    ----------
    n_damaged : int
        Lines that are not those of rows, such as one that a crash cut off; they cost their own rows only.

    Raises
    ------
    OutputError
        The ledger is there and cannot be read.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out / FOLDER
        self.path = self.folder / LEDGER_FILE
        self._rows: dict[Key, BatchRow] = {}
        self._keys: dict[str, set[Key]] = {}
        self._offset = self.n_damaged = 0
        self._unwritten: list[bytes] = []
        self._lock = threading.RLock()
        self._dirty, self._closing = threading.Event(), threading.Event()
        self._flusher: threading.Thread | None = None
        self.refresh()

    @property
    def exists(self) -> bool:
        """Whether the ledger file exists."""
        return self.path.exists()

    @property
    def behind(self) -> bool:
        """Whether there are rows that the system refused to write so far."""
        return bool(self._unwritten)

    def rows(self) -> tuple[BatchRow, ...]:
        """Return all rows, in the order in which they first appeared."""
        with self._lock:
            return tuple(self._rows.values())

    def rows_of(self, stem: str) -> list[BatchRow]:
        """Return the rows of one image, by page."""
        with self._lock:
            return [self._rows[key] for key in sorted(self._keys.get(stem, ()))]

    def get(self, key: Key) -> BatchRow | None:
        """Return one row; None where there is none."""
        with self._lock:
            return self._rows.get(key)

    def put(self, rows: Iterable[BatchRow]) -> bool:
        """Append rows; an older one of the same image and page is replaced.

        Returns
        -------
        bool
            False where the system refused; they are tried again at the next `put` and at `close`.
        """
        lines = [_encoded(row) for row in rows]
        with self._lock:
            self._unwritten += lines
            try:
                self._append()
            except (OSError, CellsegError):
                for line in lines:
                    self._take(line)
                return False
            self.refresh()
            if self._flusher is None:
                self._flusher = threading.Thread(target=self._flush_now_and_then, daemon=True)
                self._flusher.start()
            self._dirty.set()
        return True

    def forget(self, keys: Iterable[Key]) -> None:
        """Remove rows; other programs see this after the next `put` or `close`."""
        with self._lock:
            for key in keys:
                gone = BatchRow(self._rows[key].image, page=key[1], stem=key[0])
                self._unwritten.append(_encoded(gone))
                self._drop(key)

    def refresh(self) -> None:
        """Read what any program has appended since. A line that a crash cut off is ignored."""
        with self._lock:
            try:
                if self.path.exists() and not self.path.is_file():
                    raise OutputError(f"{self.path} is no regular file. Remove it, or choose another folder.")
                with self.path.open("rb") as file:
                    file.seek(self._offset)
                    new = file.read()
            except FileNotFoundError:
                return
            except OSError as error:
                raise output_error(self.path, error) from error
            end = new.rfind(b"\n") + 1
            for line in new[:end].splitlines():
                self._take(line)
            self._offset += end

    def close(self) -> None:
        """Write everything to the disk.

        Raises
        ------
        OutputError
            The system refused: rows are missing in the ledger.
        """
        self._closing.set()
        self._dirty.set()
        if self._flusher is not None:
            self._flusher.join()
        with self._lock:
            if not self._unwritten:
                return
            try:
                self._append()
            except OSError as error:
                raise output_error(self.path, error) from error

    def _take(self, line: bytes) -> None:
        try:
            row = BatchRow.from_dict(parse_json(line))
            if not (row.stem or row.image):
                raise ValueError("It names nothing.")
            if not row.stem:
                # It names the files of the row: as `key` has it, and checked as any other.
                row = BatchRow.from_dict({**row.to_dict(), "stem": row.image})
        except (ValueError, AttributeError):
            self.n_damaged += 1
            return
        if row.state == "waiting":
            # A program removed the row.
            self._drop(row.key)
            return
        keys = self._keys.setdefault(row.stem or row.image, set())
        if not row.corrected:
            # The image was segmented anew: pages that it no longer has are dropped.
            past = [key for key in keys if not self._rows[key].corrected and _origin(self._rows[key]) != _origin(row)]
            for key in past:
                if key != row.key:
                    keys.discard(key)
                    del self._rows[key]
        keys.add(row.key)
        self._rows[row.key] = row

    def _drop(self, key: Key) -> None:
        self._rows.pop(key, None)
        self._keys.get(key[0], set()).discard(key)

    def _append(self) -> None:
        make_folder(self.folder)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with locked(handle):
                # The rest of a line that a crash or a full disk cut off must not spoil the next one.
                if size := os.fstat(handle).st_size:
                    os.lseek(handle, size - 1, os.SEEK_SET)
                    if os.read(handle, 1) != b"\n":
                        self._write(handle, b"\n")
                while self._unwritten:
                    self._write(handle, self._unwritten[0])
                    del self._unwritten[0]
        finally:
            os.close(handle)

    @staticmethod
    def _write(handle: int, data: bytes) -> None:
        while data:
            data = data[os.write(handle, data) :]

    def _flush_now_and_then(self) -> None:
        while not self._closing.is_set():
            self._dirty.wait()
            self._closing.wait(FLUSH_SECONDS)
            self._dirty.clear()
            # Whoever writes next gets the error of a disk that cannot be flushed.
            with contextlib.suppress(OSError), self.path.open("rb+") as file:
                os.fsync(file.fileno())


def _encoded(row: BatchRow) -> bytes:
    return (json.dumps(row.to_dict(), allow_nan=False) + "\n").encode("ascii")


def _origin(row: BatchRow) -> tuple[object, ...]:
    return (row.recipe, row.n_pages, *sorted((name, str(value)) for name, value in row.source.items()))
