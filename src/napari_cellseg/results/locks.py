"""Locks between programs: one batch at a time per folder of results, one line at a time in its ledger."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..imaging.errors import OutputError
from ..imaging.read.json_types import parse_json
from ..imaging.write.atomic import output_error
from ..imaging.write.write import make_folder

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_FILE = "lock"
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
        try:
            self._take()
        except BaseException:
            os.close(self._handle)
            raise

    def close(self) -> None:
        """Free the lock."""
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, 0)
                _unlock(self._handle)
            os.close(self._handle)
            self._handle = -1

    def _take(self) -> None:
        owner = self._owner()
        try:
            free = _try_lock(self._handle)
        except OSError:
            # This file system has no locks: the owner named in the file has to do.
            free = not _may_live(owner)
        if not free:
            who = f" (process {owner['pid']} on {owner['host']})" if {"pid", "host"} <= owner.keys() else ""
            raise OutputError(
                f"Another batch{who} is writing into {self.path.parent.parent}. Wait until it has ended, stop it, or "
                f"choose another folder. If there is none any more, delete {self.path}."
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

    def _owner(self) -> dict[str, Any]:
        try:
            os.lseek(self._handle, 0, os.SEEK_SET)
            owner = parse_json(os.read(self._handle, 4096) or b"{}")
        except (OSError, ValueError):
            return {}
        return owner if isinstance(owner, dict) else {}


def _may_live(owner: dict[str, Any]) -> bool:
    """Whether the owner of a lock may still run; on other machines it always may."""
    pid = owner.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return False
    if owner.get("host") != socket.gethostname() or sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return pid != os.getpid()


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
