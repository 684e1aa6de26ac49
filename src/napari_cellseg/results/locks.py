"""Locks between programs: one batch at a time per folder of results, one line at a time in its ledger."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..imaging.errors import OutputError
from ..imaging.processes import is_alive
from ..imaging.read.values.json_types import parse_json
from ..imaging.write.atomic import output_error
from ..imaging.write.write import make_folder

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_FILE = "lock"
# Where there are no locks: how often an owner shows that it runs, and after which time one that did not has ended.
BEAT_SECONDS, SILENT_SECONDS = 5.0, 15.0
_BUSY = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
# Windows locks bytes, which others cannot read then: this one lies behind everything that is written.
_LOCKED_BYTE = 1 << 30


@contextlib.contextmanager
def locked(handle: int) -> Iterator[None]:
    """Hold the lock of an open file, after waiting for others; without effect where the file system has no locks."""
    held = False
    while not held:
        try:
            held = _try_lock(handle)
        except OSError:
            break
        if not held:
            time.sleep(0.002)
    try:
        yield
    finally:
        if held:
            _unlock(handle)


class FolderLock:
    """The lock of a folder into which a batch writes; the system frees it when its owner ends in any way.

    Where a file system has no locks, the owner's process is looked for; of an owner on another machine, the time of the
    lock file, which the owner changes every few seconds as long as it runs.

    Parameters
    ----------
    folder : Path
        Where the lock file lies; made if missing.

    Attributes
    ----------
    after_crash : bool
        Whether the last owner ended without freeing the lock.

    Raises
    ------
    OutputError
        Another batch runs there, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self.path = folder / LOCK_FILE
        try:
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise output_error(self.path, error) from error
        with contextlib.ExitStack() as failing:
            failing.callback(os.close, self._handle)
            self._take()
            failing.pop_all()
        self._closing = threading.Event()
        if not self._has_locks:
            threading.Thread(target=self._beat, name="napari-cellseg lock", daemon=True).start()

    @property
    def is_lost(self) -> bool:
        """Whether the folder was deleted or moved since."""
        try:
            mine, there = os.fstat(self._handle), os.stat(self.path)
        except OSError:
            return True
        return (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino)

    def close(self) -> None:
        """Free the lock."""
        self._closing.set()
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, 0)
                _unlock(self._handle)
            os.close(self._handle)
            self._handle = -1

    def _take(self) -> None:
        owner = self._owner()
        self._has_locks = True
        try:
            free = _try_lock(self._handle)
        except OSError:
            self._has_locks = False
            free = not self._lives(owner)
        if not free:
            who = f" (process {owner['pid']} on {owner['host']})" if {"pid", "host"} <= owner.keys() else ""
            raise OutputError(
                f"Another batch{who} is writing into {self.path.parent.parent}; it was found to be running just now. "
                "Wait until it has ended, stop it, or choose another folder."
            )
        self.after_crash = bool(owner)
        words = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()})
        try:
            os.ftruncate(self._handle, 0)
            os.lseek(self._handle, 0, os.SEEK_SET)
            os.write(self._handle, words.encode())
        except OSError:
            # The lock is held all the same; only the owner's name is missing.
            return

    def _lives(self, owner: dict[str, Any]) -> bool:
        """Whether the owner of a lock that the system does not keep still runs."""
        pid, host, since = (owner.get(name) for name in ("pid", "host", "since"))
        if host == socket.gethostname():
            began = since if isinstance(since, (int, float)) else time.time()
            return pid != os.getpid() and is_alive(pid, began)
        if not isinstance(pid, int):
            return False
        # Clocks of two machines differ: only a change counts.
        before, until = os.fstat(self._handle).st_mtime_ns, time.monotonic() + SILENT_SECONDS
        while time.monotonic() < until:
            time.sleep(min(1.0, BEAT_SECONDS))
            if os.stat(self.path).st_mtime_ns != before:
                return True
        return False

    def _beat(self) -> None:
        while not self._closing.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(self.path)

    def _owner(self) -> dict[str, Any]:
        try:
            os.lseek(self._handle, 0, os.SEEK_SET)
            owner = parse_json(os.read(self._handle, 4096) or b"{}")
        except (OSError, ValueError):
            return {}
        return owner if isinstance(owner, dict) else {}


def _try_lock(handle: int) -> bool:
    """Lock a file; False where another process holds it, OSError where there are no locks."""
    try:
        if sys.platform == "win32":
            os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise
    return True


def _unlock(handle: int) -> None:
    if sys.platform == "win32":
        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(handle, fcntl.LOCK_UN)
