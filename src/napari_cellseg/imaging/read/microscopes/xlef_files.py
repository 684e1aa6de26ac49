"""Projects of Leica in many files (XLEF): which there are, and their pictures within the memory that they announce."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np

from ...damage import UNREADABLE
from ...errors import ImageError
from ..packed.tiff_pieces import check_pieces, plane_of
from ..pictures.raster import decode
from ..values.json_file import LARGEST

SUFFIX = ".xlef"
# What a project consists of beside it; none is an image of its own.
PARTS = (".xlif", ".xlcf", ".lifext")
_FRAMES = "./Element/Memory/*[@File]"
_PICTURES = (".jpg", ".png", ".bmp")


def images_of(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the images of a project: the folders that lead to each, and its XLIF file.

    Raises
    ------
    ImageError
        A file leads out of the project's folder, is named twice, is missing or too large.
    ParseError, ...
        It is damaged; see `damage.DAMAGE`.
    """
    yield from _images(path, path.parent, "", set())


def parts_of(path: Path) -> set[Path]:
    """Return the other files of a project; of a damaged one those that are known, of a missing one none."""
    if not path.is_file():
        return set()
    about = path.stat()
    return _parts_of(path, about.st_size, about.st_mtime_ns)


# Each image of a project asks for them.
@functools.lru_cache(maxsize=4)
def _parts_of(path: Path, n_bytes: int, mtime_ns: int) -> set[Path]:
    found = set()
    with contextlib.suppress(*UNREADABLE):
        for _, image in images_of(path):
            found.add(image)
            with contextlib.suppress(*UNREADABLE):
                found |= {_beside(image, str(one.get("File"))) for one in _xml(image).findall(_FRAMES)}
    return found


def _images(path: Path, home: Path, folder: str, seen: set[Path]) -> Iterator[tuple[str, Path]]:
    for one in _xml(path).findall("./Element/Children/Reference"):
        file = checked_path(path, str(one.get("File")), home)
        if file in seen:
            raise ImageError(f"{path} is damaged: it, or another file of the project, names {file.name} twice.")
        seen.add(file)
        if file.suffix.lower() == ".xlcf":
            element = _xml(file).find("./Element")
            name = "" if element is None else element.get("Name", "")
            yield from _images(file, home, f"{folder}{name}/", seen)
        else:
            yield folder, file


def checked_path(path: Path, name: str, home: Path) -> Path:
    """Return the path of a file that another one names.

    Raises
    ------
    ImageError
        It lies outside of the folder `home`, or is no file.
    """
    file = _beside(path, name)
    if not file.is_relative_to(os.path.abspath(home)):
        raise ImageError(f"{path} names {file}, which lies outside of the folder of its project. Give another file.")
    if not file.is_file():
        raise ImageError(f"{path} names {file.name}, which is missing. Copy the whole project, with its folders.")
    return file


def _beside(path: Path, name: str) -> Path:
    from liffile.liffile import case_sensitive_path

    whole = os.path.abspath(path.parent / unquote(name).replace("\\", "/"))
    try:
        return Path(case_sensitive_path(whole))
    except FileNotFoundError:
        return Path(whole)


def _xml(path: Path) -> ElementTree.Element:
    if path.stat().st_size > LARGEST:
        raise ImageError(f"{path} has more than {LARGEST >> 20} MB, and is no list of files. Give another file.")
    return ElementTree.parse(path).getroot()


def bound(image: Any, path: Path, home: Path) -> None:
    """Have an image of liffile read its pictures only within what they announce, and only in the project's folder.

    Raises
    ------
    ImageError
        A file leads out of the folder, is missing, or is a TIFF that holds more than its header announces.
    """
    block = image.memory_block
    for frame in block.frames:
        checked_path(path, frame.file, home)
    block.frames = tuple(_Piece(one.file, one.offset, one.size, one.uuid) for one in block.frames)
    if (tiff := image._tif_reference) is not None:
        series = tiff.series[0]
        check_pieces(tiff, series, Path(tiff.filehandle.path), 1 << 26, 0)


@dataclass(frozen=True)
class _Piece:
    """A file of an image, in the way of liffile."""

    file: str
    offset: int
    size: int
    uuid: str

    def imread(self, folder: str) -> np.ndarray:
        """Read the file; grey that is stored as colours becomes grey."""
        import liffile

        path = _beside(Path(folder, "this"), self.file)
        suffix = path.suffix.lower()
        if suffix in _PICTURES:
            values = decode(path)
        else:
            values = plane_of(str(path), path) if suffix == ".tif" else liffile.imread(path)
        if values.ndim == 3 and values.nbytes == 3 * self.size:
            values = values[..., 0]
        if values.nbytes != self.size:
            raise ValueError(f"{path.name} holds {values.nbytes:,} bytes, and {self.size:,} are announced")
        return np.ascontiguousarray(values)
