"""Files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import OutputError

_DISK_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
# As `atomic_path` calls a file before it is whole.
_SUFFIXES = "tif|csv|jsonl?|png|jpg|zip|geojson|html|pt|safetensors|np[yz]|parquet|h5ad"
_UNFINISHED = re.compile(rf"\..{{1,60}}\.[0-9a-f]{{12}}\.({_SUFFIXES})", re.IGNORECASE)
# Another process may be saving into the folder right now.
YOUNG_SECONDS = 2.0
_BAD_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.EEXIST}


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path to write to, which replaces `path` on success.

    The temporary file is in the same folder (created if it is missing) and has the same suffix. It is flushed to
    the disk before it replaces an older file, so that a crash at any moment leaves the old or the new file
    complete. After any error it is removed and the old file is unchanged. A link is followed.

    Parameters
    ----------
    path : path-like
        The file to write.

    Yields
    ------
    Path
        Path of an empty file; write to it by name, and close it before the block ends.

    Raises
    ------
    OutputError
        The system refused to write (disk full, folder not writable, ...).
    """
    target = Path(os.path.realpath(path))
    try:
        temporary = _create_beside(target)
        try:
            yield temporary
            _flush(temporary)
            if target.exists():
                shutil.copymode(target, temporary)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        flush_folder(target.parent)
    except OSError as error:
        raise output_error(path, error) from error


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Create a folder and its parents if they are missing.

    Raises
    ------
    OutputError
        The system refused, or a file of that name is in the way.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"The folder {folder} can't be made: {reason}. Choose a folder you can write to.") from error


def sweep(out: Path, wait: bool = False) -> int:
    """Remove files that were never finished, as a killed process leaves them; return how many. Others stay.

    Parameters
    ----------
    out : Path
    wait : bool
        Whether to wait until files are old enough to be distinguished from those of a running program.
    """
    n_removed, n_young = 0, 0
    before = time.time() - YOUNG_SECONDS
    for place, _, names in os.walk(out):
        for name in names:
            if _UNFINISHED.fullmatch(name):
                path = Path(place, name)
                with contextlib.suppress(OSError):
                    if path.stat().st_mtime < before:
                        path.unlink()
                        n_removed += 1
                    else:
                        n_young += 1
    if wait and n_young:
        time.sleep(YOUNG_SECONDS)
        n_removed += sweep(out)
    return n_removed


def output_error(path: str | os.PathLike[str], error: OSError) -> OutputError:
    """Return an error that explains why `path` could not be written, and what to do."""
    path = Path(path)
    # numpy reports a short write without an error number.
    if error.errno in _DISK_FULL or (error.errno is None and "written" in str(error)):
        return OutputError(
            f"{path} was not written: the disk is full, or the file is larger than it allows. "
            "Free some space or choose another folder, and save again. What was there before is untouched."
        )
    if path.is_dir():
        return OutputError(f"{path} was not written: it is a folder. Choose a file name.")
    if error.errno in _NOT_ALLOWED:
        return OutputError(
            f"{path} was not written: it, or its folder, is not writable, or another program holds it open. "
            "Choose another folder, or close that program, and save again."
        )
    if error.errno in _BAD_FOLDER:
        return OutputError(
            f"{path} was not written: {path.parent} is not a folder and cannot be made one. Choose another folder."
        )
    return OutputError(f"{path} was not written: {error.strerror or error}. Choose another folder or name.")


def _create_beside(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: its files are readable by their owner only, whatever the umask.
    temporary = target.parent / f".{target.stem[:40]}.{secrets.token_hex(6)}{target.suffix}"
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return temporary


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, where the system can."""
    # Windows cannot open folders, and some network drives cannot flush them: the file itself is safe by then.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
