"""The images inside one file, addressed as if the file were a folder: ``exp.lif/Series003``."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from ..damage import UNREADABLE
from ..errors import ImageError, SeveralImagesError
from .formats import TIFF_SUFFIXES, format_of
from .microscopes.read import opened
from .ome_zarr.places import title_of
from .tiff.images import names_in as names_in_tiff
from .tiff.ome_files import images_of_companion, is_companion, is_ome_name

ALL = "all"
# Gives the place of an image among the names of all images of a file.
Choose: TypeAlias = Callable[[Sequence[str]], int]
_SUFFIX = re.compile(r"(\.ome|\.companion)?\.[^.]*$", re.IGNORECASE)


def file_of(path: str | os.PathLike[str]) -> Path:
    """Return the file that holds an image: that of a scene is the part of its address in front."""
    path = Path(path)
    return path.parent if path.parent.is_file() else path


def scene_of(path: str | os.PathLike[str]) -> str | None:
    """Return the name of the scene that an address ends in; None for the address of a file."""
    path = Path(path)
    return path.name if path.parent.is_file() else None


def name_of(path: str | os.PathLike[str]) -> str:
    """Return the name of an image: that of its file, ``exp_Series003`` for a scene, ``plate_A_1_0`` in a plate."""
    if (title := title_of(path)) is not None:
        return title
    key = scene_of(path)
    return Path(path).name if key is None else scene_title(Path(path).parent.name, key)


def is_same_image(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether two addresses are of one image, also through links.

    Raises
    ------
    OSError
        One of the files is not there.
    """
    return os.path.samefile(file_of(one), file_of(other)) and scene_of(one) == scene_of(other)


def scene_keys(names: Sequence[str]) -> list[str]:
    """Return the last parts of the addresses of scenes: their names with ``_`` for what file names cannot hold.

    A scene without a name has its number; equal names are numbered, also where only the case differs.
    """
    return list(_keys(tuple(names)))


# The images of one file are read one after the other.
@functools.lru_cache(maxsize=4)
def _keys(names: tuple[str, ...]) -> list[str]:
    keys: list[str] = []
    taken: set[str] = set()
    for i, name in enumerate(names):
        plain = key = re.sub(r"[^\w-]+", "_", name).strip("_") or str(i)
        n = 2
        while key.casefold() in taken:
            key, n = f"{plain}_{n}", n + 1
        taken.add(key.casefold())
        keys.append(key)
    return keys


def scene_title(file: str, key: str) -> str:
    """Return the name of a scene in tables and labels: ``exp.lif`` and ``Series003`` give ``exp_Series003``."""
    folder, slash, name = file.rpartition("/")
    # What follows a dot would be taken for a suffix.
    return f"{folder}{slash}{_SUFFIX.sub('', name).replace('.', '_')}_{key}"


def index_of(path: Path, keys: Sequence[str], names: Sequence[str], key: str | None) -> int:
    """Return the place of a scene in its file.

    Raises
    ------
    SeveralImagesError
        No scene is named, and there are several.
    ImageError
        There is none of that name, or none at all.
    """
    if not keys:
        raise ImageError(f"{path} holds no image. Give another file.")
    if key is None:
        if len(keys) == 1:
            return 0
        raise SeveralImagesError(
            f"{path} holds {len(keys)} images ({_listed(keys)}). Give one of them as {path / keys[0]}, or, on the "
            "command line, choose with --scenes."
        )
    found = _find(key, keys, names)
    if found is None:
        raise ImageError(f"{path} holds no image {key}; it has {_listed(keys)}, counted from 0. Give one of these.")
    return found


def names_in(path: Path, every: bool = False) -> list[str]:
    """Return the names of the images in a file, by opening it; one that may be empty for a file of one image.

    Parameters
    ----------
    path : Path
    every : bool
        Also look into TIFF files whose names are not those of OME-TIFF, which rarely hold several.

    Raises
    ------
    CellsegError, ...
        It cannot be opened; also anything of `damage.DAMAGE`.
    """
    known = format_of(path)
    if known is not None and known.reader and not known.lacks():
        return list(opened(path).names)
    if is_companion(path):
        return [name for name, _ in images_of_companion(path)]
    is_tiff = path.suffix.lower() in (".tif", ".tiff", *TIFF_SUFFIXES)
    return names_in_tiff(path) if is_ome_name(path) or (every and is_tiff) else [""]


def with_scenes(
    found: Sequence[tuple[Path, str]],
    wanted: str | None = None,
    report: Callable[[str], object] = lambda message: None,
) -> list[tuple[Path, str]]:
    """Replace each file of several images by these images.

    Parameters
    ----------
    found : sequence of (Path, str)
        Files and their displayed names.
    wanted : str, optional
        ``all``, or which images of each file: numbers from 0 and names, with commas between. A file of one image is
        its image 0. By default all, without a look into TIFF files that are not called OME-TIFF.
    report : callable
        Called with a sentence about every file that has none of them.

    Returns
    -------
    list of (Path, str)
        In the same order. A file that cannot be opened is kept: reading it reports the error.

    Raises
    ------
    ImageError
        No file has any of the scenes.
    """
    listed = [scene for path, name in found for scene in _scenes(path, name, wanted, report)]
    if found and not listed:
        raise ImageError(f"No image has a scene {wanted}. Give --scenes other numbers from 0 or names, or all.")
    return listed


def _scenes(path: Path, name: str, wanted: str | None, report: Callable[[str], object]) -> Iterator[tuple[Path, str]]:
    try:
        names = names_in(path, wanted is not None) if path.is_file() else [""]
    except UNREADABLE:
        yield path, name
        return
    keys = scene_keys(names)
    places = range(len(keys)) if wanted in (None, ALL) else _chosen(str(wanted), keys, names)
    if len(keys) < 2:
        # One without images is kept, too.
        chosen = [(path, name)] if places or not keys else []
    else:
        chosen = [(path / keys[place], scene_title(name, keys[place])) for place in places]
    if not chosen:
        report(f"{name} is skipped: it has no scene {wanted}{f', but {_listed(keys)}' if len(keys) > 1 else ''}.")
    yield from chosen


def _chosen(wanted: str, keys: Sequence[str], names: Sequence[str]) -> list[int]:
    """Places of the scenes of a list; a number is a place, whatever the scenes are called."""
    parts = [wanted] if wanted in (*keys, *names) else [part.strip() for part in wanted.split(",")]
    found = (int(part) if part.isdecimal() else _find(part, keys, names) for part in parts)
    return sorted({place for place in found if place is not None and place < len(keys)})


def _find(wanted: str, keys: Sequence[str], names: Sequence[str]) -> int | None:
    """Place of a scene by its key, its name in the file, or its number from 0."""
    for known in (keys, names):
        if wanted and wanted in known:
            return known.index(wanted)
    folded = [key.casefold() for key in keys]
    if wanted.casefold() in folded:
        return folded.index(wanted.casefold())
    return int(wanted) if wanted.isdecimal() and int(wanted) < len(keys) else None


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(keys[:6]) + (f" … {keys[-1]}" if len(keys) > 6 else "")
