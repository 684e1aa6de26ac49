"""The corrections journal: every edit is written to disk at once, in one file per session and image.

A file consists of lines of JSON. The first one identifies the image, each further one is an edit, an undo or a redo,
with a checksum. Lines are only added, so that a crash at any moment costs at most the line that was being written.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ..imaging.errors import CellsegError, OutputError
from ..imaging.home import user_home
from ..imaging.read.values.json_types import parse_json
from ..imaging.write.atomic import atomic_path, make_folder, output_error
from .run_lengths import Patch

FORMAT = 1
# Kind of the entries that name recipe and sliders of the automatic cells; the first line has those at the beginning.
CELLS = "cells"
SUFFIX = ".jsonl"
FLUSH_SECONDS = 0.4
RETRY_SECONDS = 1.0
_TIME = "%Y%m%dT%H%M%SZ"
EPOCH = datetime.fromtimestamp(0, UTC)


class Journal:
    """Write one session's corrections of one image; `read_journal` reads them.

    Adding entries never raises: lines that could not be written are kept and tried again every second and with the next
    line, and `error` reports why.

    Attributes
    ----------
    path : Path
    saved_at : datetime or None
        When everything was last on the disk.
    error : OutputError or None
        Why lines are not on the disk; None if there is no error.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], after: datetime) -> None:
        self.path = path
        # Times never go back, whatever is done to the clock: by them the newest journal of an image is found.
        self._time = after
        self.saved_at: datetime | None = None
        self.error: OutputError | None = None
        self._lines = [self._line(header)]  # all of them: if the file is lost, it is written again
        self._n_written = 0
        self._size = 0
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._closed = False
        # Written with the next flush: of what changes many times a second only the last state counts.
        self._state: Mapping[str, Any] | None = None

    @classmethod
    def open_new(cls, folder: Path, header: Mapping[str, Any], snapshot: Patch | None = None) -> Journal:
        """Start a file in `folder`, with the corrections that already exist.

        Parameters
        ----------
        folder : Path
            See `folder_of`; created if it is missing.
        header : mapping
            What `read_journal` needs: image, its sha256 and shape, ...
        snapshot : Patch, optional
            From `Corrections.snapshot`.
        """
        stem = stem_now()
        names = [f"{stem}{SUFFIX}", *(f"{stem}-{again}{SUFFIX}" for again in range(2, 1000))]
        path = next(folder / name for name in names if not os.path.exists(folder / name))
        journal = cls(path, {"kind": "header", "format": FORMAT, **header}, _latest(folder) + timedelta(seconds=1))
        journal.append(*([] if snapshot is None else [{"kind": "snapshot", **snapshot.to_dict()}]))
        return journal

    @property
    def pending(self) -> int:
        """Number of entries that are not in the file yet."""
        return len(self._lines) - self._n_written

    def append(self, *entries: Mapping[str, Any]) -> None:
        """Add entries and write them at once; within half a second the system has flushed them to the disk."""
        with self._lock:
            # One window was closed, and the work continued in another.
            self._closed = False
            self._lines += [self._line(entry) for entry in entries]
            self._write()
            self._plan(FLUSH_SECONDS)

    def note(self, state: Mapping[str, Any]) -> None:
        """Add an entry within half a second, unless another state takes its place before."""
        with self._lock:
            self._state = state
            self._plan(FLUSH_SECONDS)

    def flush(self) -> None:
        """Write pending entries and have the system flush the file to the disk."""
        with self._lock:
            asked = datetime.now(UTC)
            if self._state is not None:
                self._lines.append(self._line(self._state))
                self._state = None
            self._write()
            if self.pending:
                return
        # Outside the lock: a slow disk must not delay the next edit.
        try:
            with open(self.path, "rb+") as file:
                os.fsync(file.fileno())
            self.saved_at = asked
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Flush everything to the disk; entries added later are still written."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        self.flush()

    def _line(self, entry: Mapping[str, Any]) -> bytes:
        self._time = max(self._time, datetime.now(UTC))
        return encode({"at": self._time.isoformat(timespec="seconds"), **entry})

    def _write(self) -> None:
        if not self.pending:
            # The file may have been moved or truncated.
            with contextlib.suppress(OSError):
                if self.path.stat().st_size == self._size:
                    return
        try:
            if self._n_written == 0 and not self.path.exists():
                self._create()
            elif not self.path.exists() or self.path.stat().st_size != self._size:
                self._write_anew()
            else:
                self._add(b"".join(self._lines[self._n_written :]))
            self._n_written = len(self._lines)
            self.error = None
        except OSError as error:
            self._fail(error)
        except OutputError as error:
            self.error = _not_written(self.path, str(error.__cause__ or error))

    def _create(self) -> None:
        make_folder(self.path.parent)
        content = b"".join(self._lines)
        try:
            with open(self.path, "xb", buffering=0) as file:
                rest = memoryview(content)
                while rest:
                    rest = rest[file.write(rest) :]
        except OSError:
            self.path.unlink(missing_ok=True)
            raise
        self._size = len(content)

    def _write_anew(self) -> None:
        make_folder(self.path.parent)
        content = b"".join(self._lines)
        with atomic_path(self.path) as temporary:
            temporary.write_bytes(content)
        self._size = len(content)

    def _add(self, content: bytes) -> None:
        """Append to the file, all or nothing."""
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(handle, rest) :]
            self._size += len(content)
        except OSError:
            # Half a line would hide the lines after it.
            with contextlib.suppress(OSError):
                os.ftruncate(handle, self._size)
            raise
        finally:
            os.close(handle)

    def _fail(self, error: OSError) -> None:
        self.error = _not_written(self.path, str(output_error(self.path, error)))

    def _plan(self, seconds: float) -> None:
        if self._timer is None and not self._closed:
            self._timer = threading.Timer(seconds, self._on_timer)
            self._timer.daemon = True
            self._timer.start()

    def _on_timer(self) -> None:
        with self._lock:
            self._timer = None
            if self._closed:
                return
        self.flush()
        if self.pending or self.error is not None:
            self._plan(RETRY_SECONDS)


def corrections_dir() -> Path:
    """Folder of all journals of the user."""
    return user_home() / "corrections"


def stem_now() -> str:
    """Name of a journal that this process starts now: time in UTC, then the process id."""
    return f"{datetime.now(UTC):{_TIME}}-{os.getpid()}"


def folder_of(sha256: str) -> Path:
    """Folder of the journals of an image, by the hash of its values."""
    return corrections_dir() / sha256[:2] / sha256


def encode(entry: Mapping[str, Any]) -> bytes:
    """Return one line of a journal: JSON that starts with the CRC-32 of the rest."""
    body = json.dumps(entry, separators=(",", ":"), ensure_ascii=True)[1:].encode("ascii")
    return b'{"crc":"%08x",' % zlib.crc32(body) + body + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Read one line.

    Raises
    ------
    ValueError
        The line is incomplete or damaged.
    """
    start, body = line[:17], line[17:].rstrip(b"\r\n")
    if not (start.startswith(b'{"crc":"') and start[16:] == b'"'):
        raise ValueError("no checksum")
    body = body.removeprefix(b",")
    if start[8:16] != b"%08x" % zlib.crc32(body):
        raise ValueError("wrong checksum")
    entry = parse_json(b"{" + body)
    if not isinstance(entry, dict):
        raise ValueError("no entry")
    return entry


def time_of(entry: Mapping[str, Any], otherwise: datetime = EPOCH) -> datetime:
    """Return the time of an entry; where it has none, the other one."""
    try:
        return datetime.fromisoformat(entry["at"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        return otherwise


def _latest(folder: Path) -> datetime:
    """Return the time of the last entry of all journals in a folder; `EPOCH` where there is none."""
    latest = EPOCH
    for path in folder.glob(f"*{SUFFIX}") if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            for line in reversed(path.read_bytes().splitlines()):
                with contextlib.suppress(ValueError):
                    if (time := time_of(decode(line))) != EPOCH:
                        latest = max(latest, time)
                        break
    return latest


def _not_written(path: Path, reason: str) -> OutputError:
    return OutputError(
        f"Your corrections could not be written to the journal: {reason} "
        f"They are kept in memory and written to {path.parent} as soon as that is possible."
    )


class JournalError(CellsegError):
    """A journal cannot be read; the file is not changed."""
