"""Read an image file, whatever its format, into an `Image`."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ..damage import DAMAGE, unreadable
from ..errors import CellsegError, ImageError
from ..from_array import as_image
from ..image import Image
from ..memory import check_room
from .finding import find_images
from .formats import PLANES, SUFFIXES, TIFF_SUFFIXES, ZARR_SUFFIX, format_of, needs
from .microscopes.read import read_scene
from .microscopes.xlef_files import SUFFIX as PROJECT
from .microscopes.xlef_files import parts_of
from .ome_zarr.places import allowed_address, is_zarr, typed_address, zip_of
from .ome_zarr.read import read_zarr
from .pictures import raster
from .pictures.arrays import read_npy, read_npz
from .pictures.dicom import HEAD_BYTES, has_mark, is_dicom, read_dicom
from .plugins import read_with_plugin
from .scenes import Choose, file_of, index_of, scene_keys, scene_of, scene_title
from .tiff.ome_files import images_of_companion, is_companion
from .tiff.read import read_tiff

__all__ = ["SUFFIXES", "find_images", "read_image", "source_stamp"]

LAZY_BYTES = 1_000_000_000
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TIFF_NAMES = (".tif", ".tiff", *TIFF_SUFFIXES)


def read_image(path: str | os.PathLike[str], axes: str | None = None, in_parts: bool = False) -> Image:
    """Read an image with its axes and pixel size.

    Parameters
    ----------
    path : path-like
        TIFF (also OME-TIFF or its companion file, ImageJ, LSM, MetaMorph STK, and slides such as SVS and NDPI), PNG,
        JPEG, BMP, DICOM (with pydicom), ``.npy``, ``.npz`` with one array or one named ``X`` or ``image`` (and
        optionally ``axes`` and ``pixel_size``), a Zarr or OME-Zarr folder, a file of a microscope (see `formats`), or
        a file of another suffix that an installed napari plugin reads. Above 1 GB of values, TIFF, Zarr and ``.npy``
        stay on the disk until they are requested. One of several images of a file is addressed as if the file were
        a folder: ``exp.lif/Series003``, or by its number from 0.
    axes : str, optional
        A letter of ``TZCYX`` per dimension, if the file does not define them or is wrong.
    in_parts : bool
        A stack with damaged pieces in Zarr, or with damaged planes in a file of a microscope, stays on the disk: its
        other planes can be used. Otherwise it is refused.

    Returns
    -------
    Image
        Named after the file. Palettes of colours become colours, 16 bits stay 16 bits, and rows and columns are those
        of the file: an orientation tag is not applied. Unless `axes` is given, colours that are equal everywhere are
        one grey image.

    Raises
    ------
    ImageError
        The file is missing, damaged, cut short, of an unknown kind, larger than the memory, protected by a password,
        holds pickled objects (which could run code), or needs a package that is missing or too old.
    SeveralImagesError
        The file holds several images, and none of them is named.
    AxesError
        Its axes are not known, or `axes` does not fit.
    """
    path = Path(path)
    try:
        image = _read(path, axes, in_parts)
        return image if axes is not None else image.as_grey()
    except CellsegError as error:
        if (address := allowed_address(path)) is not None:
            raise type(error)(str(error).replace(str(path), address)) from error
        raise
    except DAMAGE as error:
        raise unreadable(allowed_address(path) or path, error) from error


def source_stamp(path: str | os.PathLike[str]) -> dict[str, int]:
    """Size and modification time (ns) of an image, to detect changes; over all files of a folder but its labels.

    Of a scene, and of an image in a zip file, it is that of the file; on a server it is made of the metadata.

    Raises
    ------
    ImageError
        It is missing or cannot be accessed.
    """
    try:
        if (address := typed_address(path)) is not None:
            from .ome_zarr.stores import remote_stamp

            return remote_stamp(address)
        zipped = zip_of(path)
        path = file_of(path) if zipped is None else zipped[0]
        # Of an OIF file also the folder of its planes, of a project (XLEF) its other files.
        parts = parts_of(path) if path.suffix.lower() == PROJECT and not needs(path) else ()
        stats = _stats(path) if path.is_dir() else [path.stat(), *_stats(Path(f"{path}{PLANES}"))]
        stats += [part.stat() for part in parts if part.is_file()]
    except OSError as error:
        raise unreadable(path, error) from error
    return {"size": sum(s.st_size for s in stats), "mtime_ns": max((s.st_mtime_ns for s in stats), default=0)}


def _stats(folder: Path) -> list[os.stat_result]:
    """Look at the files of a folder; not at the labels and tables in a Zarr image, which may be added."""
    found = []
    for place, inner, names in os.walk(folder):
        if Path(place) == folder:
            inner[:] = [name for name in inner if name not in ("labels", "tables")]
        found += [os.stat(os.path.join(place, name)) for name in names]
    return found


def _read(path: Path, axes: str | None, in_parts: bool) -> Image:
    if typed_address(path) is not None or zip_of(path) is not None:
        return read_zarr(path, axes, LAZY_BYTES, in_parts)
    if (key := scene_of(path)) is not None:
        path = path.parent
    about = path.stat()
    if stat.S_ISDIR(about.st_mode):
        if is_zarr(path):
            return read_zarr(path, axes, LAZY_BYTES, in_parts)
        if path.suffix.lower() == ZARR_SUFFIX:
            raise ImageError(f"{path} is a folder without the metadata files of a Zarr image. Copy it again.")
        raise ImageError(f"{path} is a folder. Give an image file.")
    suffix = path.suffix.lower()
    if not stat.S_ISREG(about.st_mode):
        raise ImageError(f"{path} is a device or a pipe, not a file. Give an image file.")
    if not about.st_size:
        raise ImageError(f"{path} is empty: it has no bytes. Copy it again.")
    if is_companion(path):
        return _chosen(path, key, lambda choose: _of_companion(path, axes, choose))
    known = format_of(path)
    if known is not None and known.reader and not known.lacks():
        return _chosen(path, key, lambda choose: read_scene(path, axes, LAZY_BYTES, choose, in_parts))
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    # DICOM of some scanners begins as a TIFF without an image; a whole slide may be both, and its name decides.
    is_tiff = head[:4] in _TIFF_STARTS and (suffix in _TIFF_NAMES or not has_mark(head))
    read: Callable[[Path, str | None], Image] = _read_plain
    if not is_tiff and is_dicom(head, suffix):
        read = read_dicom
    elif known is None or known.reader or known.remedy or (suffix in TIFF_SUFFIXES and not is_tiff):
        if needs(path):
            # The message names what is missing, whichever image was asked for.
            return read_with_plugin(path, axes)
        read = read_with_plugin
    elif is_tiff and suffix not in (".npz", ".npy"):
        return _chosen(path, key, lambda choose: read_tiff(path, axes, LAZY_BYTES, choose))
    # The only image of its file.
    index_of(path, ["0"], [""], key)
    return read(path, axes)


def _chosen(path: Path, key: str | None, read: Callable[[Choose], Image]) -> Image:
    """Read the image of a file that `key` names; it is called so where there are several."""
    keys: list[str] = []

    def choose(names: Sequence[str]) -> int:
        keys[:] = scene_keys(names)
        place = index_of(path, keys, names, key)
        keys[:] = [keys[place]] if len(keys) > 1 else []
        return place

    image = read(choose)
    return replace(image, name=scene_title(path.name, keys[0]), source=str(path / keys[0])) if keys else image


def _of_companion(path: Path, axes: str | None, choose: Choose) -> Image:
    """Read an image that a companion file describes, from the first of its files."""
    images = images_of_companion(path)
    place = choose([name for name, _ in images])
    name, first = images[place]
    if not first.is_file():
        raise ImageError(f"{path} names {first.name}, which is missing. Put all files of the image into one folder.")
    # Of the images that begin in this file.
    rank = sum(1 for _, other in images[:place] if other == first)

    def same(names: Sequence[str]) -> int:
        return names.index(name) if list(names).count(name) == 1 else min(rank, len(names) - 1)

    return read_tiff(first, axes, LAZY_BYTES, same)


def _read_plain(path: Path, axes: str | None) -> Image:
    """Read NumPy's files and pictures."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        array, stored_axes, pixel_size = read_npz(path)
        return as_image(array, axes or stored_axes, pixel_size=pixel_size, name=path.name, source=str(path))
    if suffix == ".npy":
        return as_image(read_npy(path, LAZY_BYTES), axes, name=path.name, source=str(path))
    check_room(path.stat().st_size, str(path))
    array = raster.decode(path)
    if axes is None:
        return as_image(array, "YXC"[: array.ndim], rgb=array.ndim == 3, name=path.name, source=str(path))
    # The channels of such an image are its colours.
    return as_image(array, axes.upper().replace("C", "S"), name=path.name, source=str(path))
