"""Assign files of results to the images of a batch."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..imaging.errors import CellsegError, OutputError, ParamsError
from ..imaging.image import Image
from ..imaging.read.ome_zarr.places import whole_path
from ..imaging.read.read import read_image, source_stamp
from ..imaging.read.scenes import file_of
from ..imaging.stack_planes import plane_at, plane_image, position_in_stack, stack_lengths
from .rows import BatchRow

# The names of files of single planes end like this: "A01_t003_z001_labels.tif".
_PLANE = re.compile(r"_(t\d+(_z\d+)?|z\d+)$")


@dataclass(frozen=True)
class Item:
    """One image of a batch.

    Attributes
    ----------
    path : Path
        A file, or the folder of a Zarr image.
    name : str
        Its name in the results.
    stem : str
        Beginning of the names of its files, relative to the folder of results, with ``/``; no two images share one.
    """

    path: Path
    name: str
    stem: str


def plan(
    files: Sequence[tuple[Path, str]], known: Iterable[BatchRow] = (), stop: Callable[[], bool] | None = None
) -> list[Item]:
    """Give every image a stem: its name without suffix, folders kept, equal ones numbered.

    Parameters
    ----------
    files : sequence of (Path, str)
        Where an image is, and how it is called.
    known : iterable of BatchRow
        What the folder of results holds: an image keeps the stem that it had, also where it was moved, and takes none
        of an image that is not among `files` and still lies where it lay, or that had another size or other values.
    stop : callable, optional
        Asked before a file is compared with rows of its name, for which it may have to be read; when it returns True,
        the items end in front of that file.

    Raises
    ------
    ParamsError
        If a name leads out of the folder of results.
    """
    names = _Names()
    before: dict[tuple[str, str], str] = {}
    by_name: dict[str, dict[tuple[str, str], list[BatchRow]]] = {}
    for row in known:
        path = str(row.source.get("path", ""))
        stem = before.setdefault((row.image, path), row.stem)
        by_name.setdefault(row.image, {}).setdefault((path, stem), []).append(row)
    stems: list[str | None] = [before.get((name, str(whole_path(path)))) for path, name in files]
    given = {str(whole_path(path)) for path, _ in files}
    in_use = set(stems)
    for i, (here, name) in enumerate(files):
        if stems[i] is None and name in by_name:
            if stop is not None and stop():
                files, stems = files[:i], stems[:i]
                break
            # The same image in another place: the folder was moved, or is seen from another machine.
            file = _File(here)
            moved = (
                stem
                for (path, stem), rows in by_name[name].items()
                if path not in given and stem not in in_use and not _is_another(rows, file)
            )
            stems[i] = next(moved, None)
            in_use.add(stems[i])
    for stem in before.values():
        names.take(stem)
    return [
        Item(whole_path(path), name, names.new(name) if stem is None else stem)
        for (path, name), stem in zip(files, stems, strict=True)
    ]


def hash_of(image: Image, plane: str) -> str | None:
    """Hash of the values of an image, or of a plane of it; None where it has no such plane.

    Raises
    ------
    ImageError
        The image cannot be read.
    """
    lengths = stack_lengths(image)
    if lengths and not plane:
        # Slices that were linked are one result.
        return image.content_hash()
    place = position_in_stack(plane) if plane else ()
    if len(place) != len(lengths) or any(i >= n for i, (_, n) in zip(place, lengths, strict=True)):
        return None
    return plane_image(image, plane_at(lengths, place)).content_hash()


def check_apart(items: Sequence[Item], out: Path, endings: Sequence[str], planes: bool) -> None:
    """Raise OutputError where an image lies where a result of these images would be written, also through a link.

    Parameters
    ----------
    items : sequence of Item
    out : Path
        Folder of the results.
    endings : sequence of str
        What follows the stem in the names of results.
    planes : bool
        Whether there are results of single planes.
    """
    images = {_identity(item.path): item for item in items}
    stems = {os.path.realpath(out / item.stem): item for item in items}
    for item in items:
        for ending in endings:
            path = out / f"{item.stem}{ending}"
            image, owner = images.get(_identity(path)) if os.path.exists(path) else None, item
            if planes and image is None:
                path = Path(os.path.realpath(item.path))
                stem = str(path).removesuffix(ending)
                found = stems.get(_PLANE.sub("", stem)) if stem != str(path) else None
                image, owner = (None, item) if found is None else (item, found)
            if image is not None:
                raise OutputError(
                    f"{image.path} is one of the images, and would be replaced by a result of {owner.name}. Choose "
                    "another folder for the results."
                )


def _identity(path: Path) -> tuple[int, int] | str:
    try:
        found = file_of(path).stat()
    except OSError:
        return str(path)
    return found.st_dev, found.st_ino


class _File:
    """A file that is compared with known rows; it is read at most once, however many rows have its name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hashes: dict[str, str | None] = {}

    @functools.cached_property
    def stamp(self) -> dict[str, int]:
        return source_stamp(self.path)

    @functools.cached_property
    def _image(self) -> Image:
        return read_image(self.path, in_parts=True)

    def hash(self, plane: str) -> str | None:
        if plane not in self._hashes:
            self._hashes[plane] = hash_of(self._image, plane)
        return self._hashes[plane]


def _is_another(rows: Sequence[BatchRow], file: _File) -> bool:
    """Whether a file is another image than rows of the same name: theirs lies elsewhere, or has other values."""
    row = rows[0]
    if not row.source.get("path"):
        return False
    elsewhere = row.lies_elsewhere(file.path)
    if elsewhere is not None:
        return elsewhere
    try:
        now = file.stamp
    except CellsegError:
        return False
    before = {name: row.source.get(name) for name in now}
    if None in before.values() or before == now:
        return False
    if before["size"] != now["size"]:
        return True
    # Readers of other packages may raise anything; and axes that the user named are not known here.
    with contextlib.suppress(Exception):
        return any(row.has_other_values(file.hash(row.page)) for row in rows if row.image_sha256)
    return False


class _Names:
    """The stems in use; upper and lower case count as equal, as on some file systems."""

    def __init__(self) -> None:
        self._stems: set[str] = set()
        self._of_planes: set[str] = set()

    def take(self, stem: str) -> None:
        folded = stem.casefold()
        self._stems.add(folded)
        self._of_planes.add(_PLANE.sub("", folded))

    def new(self, name: str) -> str:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or not pure.name:
            raise ParamsError(
                f"The image name '{name}' leads out of the folder of results. Give a name inside it, without '..'."
            )
        stem = next(stem for stem in _candidates(pure) if self._is_free(stem.casefold()))
        self.take(stem)
        return stem

    def _is_free(self, folded: str) -> bool:
        """Whether a stem, and the names of the files of its planes, are free."""
        return not {folded, _PLANE.sub("", folded)} & self._stems and folded not in self._of_planes


def _candidates(pure: PurePosixPath) -> Iterator[str]:
    suffix = pure.suffix.lstrip(".") or "file"
    # The number goes in front of the plane, so that the name still ends with it.
    plane = _PLANE.search(pure.stem)
    body, end = (pure.stem[: plane.start()], plane.group()) if plane else (pure.stem, "")
    # The numbers never end, so this is no tuple.
    for middle in itertools.chain(("", f"_{suffix}"), (f"_{number}" for number in itertools.count(2))):
        yield str(pure.parent / f"{body}{middle}{end}") if middle else str(pure.parent / pure.stem)
