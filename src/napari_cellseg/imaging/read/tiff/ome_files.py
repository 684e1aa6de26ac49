"""OME-TIFF images that are stored in several files, each of which, or a companion file, names all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from xml.sax.saxutils import unescape

import tifffile

from ...damage import UNREADABLE
from ...errors import ImageError

COMPANION_SUFFIX = ".companion.ome"
_OME_NAME = re.compile(r"\.ome\.(tiff?|tf[28]|btf)$", re.IGNORECASE)
_IMAGE = re.compile(r"<(?:\w+:)?Image\b")
_NAME = re.compile(r"\bName\s*=\s*\"([^\"]*)\"")
_FILE_NAME = re.compile(r"\bFileName\s*=\s*\"([^\"]+)\"")
_METADATA_FILE = re.compile(r"<(?:\w+:)?BinaryOnly\b[^>]*\bMetadataFile\s*=\s*\"([^\"]+)\"")


def is_companion(path: Path) -> bool:
    """Whether a file is the OME-XML of images in other files, by its name."""
    return path.name.lower().endswith(COMPANION_SUFFIX)


def is_ome_name(path: Path) -> bool:
    """Whether a file is an OME-TIFF, by its name."""
    return _OME_NAME.search(path.name) is not None


def n_images_in(xml: str, name: str) -> int:
    """Return how many of the images that OME-XML describes are in the file of this name, as a whole or in part."""
    return sum(1 for names in _files_by_image(xml) if not names or name in names)


def companion_xml(path: Path, description: str) -> str | None:
    """Return the OME-XML of a companion file that the description of a TIFF refers to; None if it refers to none.

    Raises
    ------
    ImageError
        The companion file is missing or unreadable.
    """
    found = _METADATA_FILE.search(description)
    if found is None:
        return None
    companion = path.with_name(Path(unescape(found[1])).name)
    try:
        return companion.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ImageError(
            f"{path} has its metadata in {companion.name}, which cannot be read ({error}). "
            "Put all files of the image into one folder."
        ) from error


def images_of_companion(path: Path) -> list[tuple[str, Path]]:
    """Return the images that a companion file describes: their names, which may be empty, and the first file of each.

    Raises
    ------
    ImageError
        It describes no image in other files.
    """
    xml = path.read_text(encoding="utf-8")
    names = [_NAME.search(image.partition(">")[0]) for image in _IMAGE.split(xml)[1:]]
    files = _files_by_image(xml)
    found = [
        (unescape(name[1]) if name else "", path.with_name(inner[0]))
        for name, inner in zip(names, files, strict=True)
        if inner
    ]
    if not found:
        raise ImageError(f"{path} describes no image in other files. Give the image files.")
    return found


def one_per_image(
    found: Iterable[tuple[Path, str]], report: Callable[[str], object] = lambda message: None
) -> list[tuple[Path, str]]:
    """Keep one file of every OME-TIFF image that is stored in several.

    Parameters
    ----------
    found : iterable of (Path, str)
        Files and their displayed names. Only companion files and names such as ``a.ome.tif`` are opened.
    report : callable
        Called with a sentence about every file that is skipped because it is a part.

    Returns
    -------
    list of (Path, str)
        In the same order; of several files of one image the first, or the companion file if it is given.
    """
    kept: list[tuple[Path, str]] = []
    files = list(found)
    owners = {part: name for path, name in files if is_companion(path) for part in _parts(path)}
    for path, name in files:
        if is_ome_name(path):
            # Not resolved: the XML names files beside this one, also where that is a link.
            if (owner := owners.get(path.absolute())) is not None:
                report(f"{name} is skipped: it is a part of the image {owner}, and is read with it.")
                continue
            owners.update(dict.fromkeys(_parts(path), name))
        kept.append((path, name))
    return kept


def _parts(path: Path) -> list[Path]:
    """All files of the image of an OME-TIFF, if there are several, and of all images of a companion file.

    An unreadable file is reported when it is read.
    """
    try:
        if is_companion(path):
            xml = path.read_text(encoding="utf-8")
            return [path.with_name(name).absolute() for names in _files_by_image(xml) for name in names]
        with tifffile.TiffFile(path) as tiff:
            description = tiff.pages.first.description
        xml = companion_xml(path, description) or description
    except UNREADABLE:
        return []
    return [path.with_name(name).absolute() for names in _files_by_image(xml) if path.name in names for name in names]


def _files_by_image(xml: str) -> list[list[str]]:
    """Names of the files of every image that OME-XML describes."""
    images = _IMAGE.split(xml)[1:]
    return [list(dict.fromkeys(Path(unescape(name)).name for name in _FILE_NAME.findall(image))) for image in images]
