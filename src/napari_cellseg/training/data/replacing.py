"""Replace the files of a training set's entry all at once: one rename decides, whatever ends the process.

New files are written to a hidden folder. Renaming that folder makes them the entry; they are then put in the place of
the old ones, and whoever reads the training set next does what a killed process left of that.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from ...imaging.write.atomic import flush_folder, make_folder, output_error
from .sample import IMAGE_SUFFIXES

SET_FILE = "training_set.json"
# In this order: a reader that looks between two renames sees no new cells in an old reviewed area.
FOLDERS = ("images", "reviewed", "provenance", "labels")
_ADDING, _WHOLE = ".adding-", ".replacing-"
_ABANDONED_SECONDS = 3600.0


@contextlib.contextmanager
def staged(root: Path) -> Iterator[Path]:
    """Give a folder to write an entry's files to; they take the places of those there when the block ends well.

    Parameters
    ----------
    root : Path
        The training set's folder.

    Yields
    ------
    Path
        Files go into its folders `FOLDERS`.

    Raises
    ------
    OutputError
        If the folder cannot be written to; what was there is untouched.
    """
    _sweep(root)
    stage = root / f"{_ADDING}{secrets.token_hex(6)}"
    try:
        yield stage
        for name in FOLDERS:
            make_folder(root / name)
            if not os.access(root / name, os.W_OK):
                raise PermissionError(13, "the folder is not writable")
        os.rename(stage, root / stage.name.replace(_ADDING, _WHOLE))
        flush_folder(root)
    except OSError as error:
        raise output_error(root, error) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    finish_replacing(root)


def finish_replacing(root: Path) -> None:
    """Put new files in the places of old ones, where that was begun.

    Raises
    ------
    OutputError
        If the system refuses: what is there belongs to different states of an entry.
    """
    try:
        with os.scandir(root) as found:
            whole = sorted(e.path for e in found if e.name.startswith(_WHOLE) and e.is_dir(follow_symlinks=False))
        for stage in whole if (root / SET_FILE).is_file() else ():
            for folder in FOLDERS:
                # Where another process is at it, too, each file is put in place by one of them.
                with contextlib.suppress(FileNotFoundError):
                    _put_in_place(Path(stage, folder), root / folder)
            shutil.rmtree(stage, ignore_errors=True)
    except FileNotFoundError:
        return
    except OSError as error:
        raise output_error(root, error) from error


def _put_in_place(new: Path, old: Path) -> None:
    for path in sorted(new.iterdir()):
        make_folder(old)
        for other in old.iterdir():
            # One that another program wrote may have another suffix, by which readers could take it for the newer one.
            if other.stem == path.stem and other.name != path.name and other.suffix.lower() in IMAGE_SUFFIXES:
                other.unlink(missing_ok=True)
        os.replace(path, old / path.name)


def _sweep(root: Path) -> None:
    """Remove what killed processes have left of files that never became an entry."""
    before = time.time() - _ABANDONED_SECONDS
    for left in root.glob(f"{_ADDING}*"):
        with contextlib.suppress(OSError):
            if left.stat().st_mtime < before:
                shutil.rmtree(left, ignore_errors=True)
