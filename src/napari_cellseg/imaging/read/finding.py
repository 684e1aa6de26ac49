"""Find images by files, folders and patterns."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from ..damage import DAMAGE
from ..errors import ImageError
from .formats import PLANES, SUFFIXES, ZARR_SUFFIX, needs
from .microscopes.xlef_files import PARTS, parts_of
from .microscopes.xlef_files import SUFFIX as PROJECT
from .ome_zarr.places import is_zarr, typed_address
from .ome_zarr.read import ome_attributes
from .scenes import file_of, name_of, with_scenes
from .tiff.ome_files import COMPANION_SUFFIX, one_per_image

LABELS_SUFFIX = "_labels.tif"
GROWN_SUFFIX = "_grown.tif"
# Beside the image of that name it is no image.
REGIONS_SUFFIX = "_regions.tif"
LABELS_ZARR_SUFFIX = "_labels.ome.zarr"
# A folder of results contains this folder.
RESULTS_MARK = ".cellseg"
_RESULT_PICTURES = ("_overlay.png", "_probability.tif", GROWN_SUFFIX)
_MOST_NAMED = 4


def find_images(
    inputs: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    pattern: str | None = None,
    recursive: bool = False,
    report: Callable[[str], object] = lambda message: None,
    scenes: str | None = None,
) -> list[tuple[Path, str]]:
    """List the images among files and folders.

    Parameters
    ----------
    inputs : path or iterable of paths
        Files are returned unchanged, even missing ones: reading them reports the error.
        Of a folder every image is returned that is neither hidden nor one of this package's own results. A Zarr
        folder is one image; a file of several images stands for these (see `scenes`). A path that does not exist and
        contains ``*``, ``?`` or ``[`` is a pattern, for shells that do not expand it.
    pattern : str, optional
        Only matching files of a folder, such as ``*.png``; matched against the path inside the folder if it contains
        ``/``, else against the name, without regard to case. A pattern that ends in another suffix, such as
        ``*.klb``, finds these files: a napari plugin may read them.
    recursive : bool
        Search subfolders too.
    report : callable
        Called with a sentence about every file that is skipped because it is a part of another image or has none of
        the `scenes`, and with one about the files of a folder that are no images.
    scenes : str, optional
        Which images of a file that holds several: ``all`` (default), or numbers from 0 and names, such as ``0,2``.

    Returns
    -------
    list of (Path, str)
        Path and displayed name: the name of a file, or the path relative to its folder with ``/``. In the order of
        the inputs, each folder in natural order (``a2`` before ``a10``). Each file is listed once, and
        of the files of one OME-TIFF image only the first.

    Raises
    ------
    ImageError
        A folder cannot be listed, a name is empty, no image was found, or an address was not typed by the user.
    """
    given = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    found: list[tuple[Path, str]] = []
    others: Counter[str] = Counter()
    for item in _expanded(given):
        typed_address(item)
        if item.is_dir() and not is_zarr(item):
            found += _with_wells([(item / name, name) for name in _in_folder(item, pattern, recursive, others)])
        else:
            found += _with_wells([(item, _name_of(item))])
    if not found:
        places = ", ".join(str(item) for item in given) or "nothing"
        what = f"No image that matches {pattern!r}" if pattern else "No image"
        deeper = "" if recursive else ", or search subfolders too"
        left = f" ({_in_words(others)})" if others else ""
        raise ImageError(
            f"{what} was found in {places}{left}; images end in {', '.join(SUFFIXES)} or {ZARR_SUFFIX}, and others, "
            f"which a napari plugin reads, are named by a pattern such as *.klb. Give another folder{deeper}."
        )
    if others:
        report(f"{_in_words(others)}.")
    once = list(_without_parts(each_once(found), report))
    return with_scenes(one_per_image(once, report), scenes, report)


def each_once(found: Iterable[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """Remove files that occurred before, also by another path."""
    first: dict[str, tuple[Path, str]] = {}
    for path, name in found:
        first.setdefault(os.path.normcase(os.path.realpath(path)), (path, name))
    return list(first.values())


def named_apart(found: Sequence[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """Make names unique that occur in several folders.

    Parameters
    ----------
    found : sequence of (Path, str)
        As returned by `find_images`.

    Returns
    -------
    list of (Path, str)
        In the same order; a name that occurs once stays, the others get the name of their folder in front.
    """
    taken = Counter(name for _, name in found)
    # Not Path.absolute: it keeps the dots of "../A01.tif".
    wholes = [Path(os.path.abspath(path)) for path, _ in found]
    named = [
        (path, name if taken[name] == 1 else f"{_folder_of(whole, name)}/{name}".lstrip("/"))
        for (path, name), whole in zip(found, wholes, strict=True)
    ]
    if len({name for _, name in named}) < len(named):
        named = [(path, w.as_posix().lstrip("/").replace(":", "")) for (path, _), w in zip(found, wholes, strict=True)]
    return named


def _without_parts(found: Sequence[tuple[Path, str]], report: Callable[[str], object]) -> Iterator[tuple[Path, str]]:
    """Yield files that are no part of a project (XLEF) among them."""
    projects = [(path, name) for path, name in found if path.suffix.lower() == PROJECT and not needs(path)]
    owners = {part: name for path, name in projects for part in parts_of(path)}
    for path, name in found:
        if (owner := owners.get(Path(os.path.abspath(path)))) is None:
            yield path, name
        else:
            report(f"{name} is skipped: it is a part of the project {owner}, and is read with it.")


def _in_words(others: Counter[str]) -> str:
    """Return how many files of a folder are no images, in words, by suffix."""
    ordered = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    most = ", ".join(f"{suffix or 'no suffix'} {n:,}" for suffix, n in ordered[:_MOST_NAMED])
    more = ", …" if len(others) > _MOST_NAMED else ""
    files = "1 file of another kind was" if others.total() == 1 else f"{others.total():,} files of other kinds were"
    return f"{files} left out ({most}{more})"


def _folder_of(path: Path, name: str) -> str:
    """Name of the folder that the name of an image is relative to."""
    path = file_of(path)
    return path.parents[min(name.count("/"), len(path.parents) - 1)].name


def _with_wells(found: list[tuple[Path, str]]) -> Iterator[tuple[Path, str]]:
    """Yield images and their names; a plate in OME-Zarr (HCS) stands for the images of its wells: ``plate/A/1/0``."""
    for path, name in found:
        wells = list(_images_of_plate(path)) if is_zarr(path) else []
        if not wells:
            yield path, name
        for inner in wells:
            yield path / inner, f"{_without_zarr(name)}/{inner}"


def _images_of_plate(folder: Path) -> Iterator[str]:
    try:
        for well in ome_attributes(folder)["plate"]["wells"]:
            for image in ome_attributes(folder / str(well["path"]))["well"]["images"]:
                inner = PurePosixPath(str(well["path"]), str(image["path"]))
                if not inner.is_absolute() and ".." not in inner.parts:
                    yield inner.as_posix()
    except DAMAGE:
        # It is no plate, or one that its reader will refuse.
        return


def _name_of(path: Path) -> str:
    """Return the name of an image; one inside a Zarr folder has the places that lead to it in its name."""
    if not is_zarr(path):
        return name_of(path)
    outer = [folder for folder in Path(os.path.abspath(path)).parents if is_zarr(folder)]
    if not outer:
        return path.name
    inner = Path(os.path.abspath(path)).relative_to(outer[-1]).as_posix()
    return f"{_without_zarr(outer[-1].name)}/{inner}"


def _without_zarr(name: str) -> str:
    # Results have folders of these names, and they are no Zarr.
    return re.sub(r"(\.ome)?\.zarr(\.zip)?$", "", name, flags=re.IGNORECASE)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key that compares numbers inside names as numbers and ignores case."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


def _expanded(given: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    for item in given:
        if not str(item):
            raise ImageError("An empty name was given. Name an image, a folder, or . for this folder.")
        path = Path(item).expanduser()
        matches = [] if os.path.lexists(path) or not glob.has_magic(str(path)) else glob.glob(str(path))
        yield from (Path(match) for match in sorted(matches, key=natural_key)) if matches else (path,)


def _in_folder(folder: Path, pattern: str | None, recursive: bool, others: Counter[str]) -> list[str]:
    """Names of the images of a folder; without a pattern, the suffixes of all other files are counted in `others`."""
    names: list[str] = []
    suffixes = (*SUFFIXES, *_suffix_of(pattern))
    results: set[Path] = set()
    for place, inner, files in os.walk(folder, onerror=_raise_unreadable):
        here = Path(place)
        if RESULTS_MARK in inner:
            results.add(here)
        in_results = not results.isdisjoint((here, *here.parents))
        zarrs = [name for name in inner if not name.startswith(".") and _holds_zarr(here / name)]
        if in_results:
            zarrs = [name for name in zarrs if not name.lower().endswith(LABELS_ZARR_SUFFIX)]
        inner[:] = [name for name in inner if recursive and not _is_closed(here / name, files)]
        relative = here.relative_to(folder)
        present = {name.lower() for name in files}
        wanted = [name for name in files if _is_wanted(name, suffixes, present, in_results)]
        names += [(relative / name).as_posix() for name in (*wanted, *zarrs)]
        if not (pattern or in_results):
            others.update(suffix for name in files if (suffix := _foreign(name, suffixes)) is not None)
    if pattern:
        whole = "/" in pattern
        low = pattern.lower()
        names = [
            name for name in names if fnmatch.fnmatchcase((name if whole else name.rpartition("/")[2]).lower(), low)
        ]
    return sorted(names, key=lambda name: (natural_key(name), name))


def _suffix_of(pattern: str | None) -> tuple[str, ...]:
    """The suffix of a pattern, if it has one without wildcards."""
    suffix = os.path.splitext(pattern or "")[1].lower()
    return (suffix,) if len(suffix) > 1 and not glob.has_magic(suffix) else ()


def _holds_zarr(folder: Path) -> bool:
    return folder.suffix.lower() == ZARR_SUFFIX or is_zarr(folder)


def _is_closed(folder: Path, files: Sequence[str]) -> bool:
    """Whether a folder is hidden, or is an image itself or the planes of one: ``a.oif.files`` beside ``a.oif``."""
    name = folder.name
    return name.startswith(".") or _holds_zarr(folder) or (name.endswith(PLANES) and name.removesuffix(PLANES) in files)


def _is_wanted(name: str, suffixes: tuple[str, ...], present: set[str], in_results: bool) -> bool:
    low = name.lower()
    if not low.endswith(suffixes) or low.startswith(".") or low.endswith(LABELS_SUFFIX):
        return False
    if low.endswith(REGIONS_SUFFIX) and any(
        other.startswith(f"{low.removesuffix(REGIONS_SUFFIX)}.") for other in present
    ):
        return False
    ending = next((end for end in _RESULT_PICTURES if low.endswith(end)), None)
    # A name alone is no proof: these are results only in a folder of results, or next to their labels.
    return ending is None or not (in_results or low.removesuffix(ending) + LABELS_SUFFIX in present)


def _foreign(name: str, suffixes: tuple[str, ...]) -> str | None:
    """Suffix of a file that is no image; None for images, results, hidden files and parts of images."""
    low = name.lower()
    if low.startswith(".") or low.endswith((*suffixes, COMPANION_SUFFIX, *PARTS)):
        return None
    return os.path.splitext(low)[1]


def _raise_unreadable(error: OSError) -> None:
    raise ImageError(f"{error.filename} cannot be listed: {error.strerror}. Give another folder.") from error
