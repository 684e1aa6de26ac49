"""Zips of images with masks: their entries are checked before any of them is read, or unpacked."""

from __future__ import annotations

import shutil
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory

from ...imaging.damage import DAMAGE
from ...imaging.errors import DatasetError
from ...imaging.read.packed.zip_entries import check_list, check_repeats, copy_entry


def open_entries(path: Path) -> tuple[zipfile.ZipFile, list[str]]:
    """Open a zip, and list its files.

    Raises
    ------
    DatasetError
        It is no readable zip, an entry leads out of it, or two have one name.
    """
    try:
        with path.open("rb") as file:
            check_list(file)
        archive = zipfile.ZipFile(path)
        check_repeats(archive)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DatasetError(
            f"{path} is not a readable zip ({error}). Give a zip or folder of images with masks."
        ) from error
    # macOS adds a copy of every name, which holds no picture.
    entries = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    for entry in entries:
        if ".." in PurePosixPath(entry.replace("\\", "/")).parts or _is_absolute(entry):
            raise DatasetError(
                f"{path} holds the entry {entry!r}, which points outside of it. Such a zip is not read: "
                "make a new one from the images themselves."
            )
    return archive, entries


def folder_of_images(entries: Sequence[str]) -> PurePosixPath | None:
    """Return the folder that holds a folder of several images; None where images lie in folders of their own."""
    # One image per folder lies so in the Data Science Bowl; more are in pairs with masks of the same names.
    parents = Counter(PurePosixPath(entry).parent for entry in entries)
    return next((parent.parent for parent, n in parents.items() if n > 1 and parent.name == "images"), None)


def unpack(
    archive: zipfile.ZipFile, entries: Sequence[str], root: PurePosixPath, path: Path, most: int
) -> TemporaryDirectory[str]:
    """Unpack what lies in a folder of a zip into a temporary folder.

    Parameters
    ----------
    archive : ZipFile
    entries : sequence of str
        Names of its files, checked.
    root : PurePosixPath
        The folder.
    path : Path
        Of the zip, for messages.
    most : int
        Bytes that a file may have once it is unpacked.

    Raises
    ------
    DatasetError
        A file is damaged or larger than that, or they are more than the disk has room for.
    """
    kept = TemporaryDirectory(prefix="napari-cellseg-")
    wanted = [entry for entry in entries if PurePosixPath(entry).is_relative_to(root)]
    size, room = sum(archive.getinfo(entry).file_size for entry in wanted), shutil.disk_usage(kept.name).free
    if size > room:
        raise DatasetError(f"{path} takes {size:,} bytes unpacked, and {kept.name} has room for {room:,}. Free some.")
    for entry in wanted:
        target = Path(kept.name) / PurePosixPath(entry).relative_to(root)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_entry(archive, entry, target, most)
        except DAMAGE as error:
            raise DatasetError(f"{entry} in {path} cannot be read ({error}). Remove or replace it.") from error
    return kept


def _is_absolute(entry: str) -> bool:
    return entry.startswith(("/", "\\")) or bool(PureWindowsPath(entry).drive)
