"""Read an image file, whatever its format, into an `Image`."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from . import raster
from .damage import DAMAGE, unreadable
from .errors import CellsegError, ImageError
from .finding import SUFFIXES, find_images
from .image import Image, as_image
from .tiff import read_tiff

__all__ = ["SUFFIXES", "find_images", "read_image"]

LAZY_BYTES = 1_000_000_000
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ARRAY_NAMES = ("X", "image")


def read_image(path: str | os.PathLike[str], axes: str | None = None) -> Image:
    """Read an image with its axes and pixel size.

    Parameters
    ----------
    path : path-like
        TIFF, OME-TIFF, ImageJ TIFF, PNG, JPEG, BMP, ``.npy``, or ``.npz`` with one array or one named ``X`` or
        ``image``. Above 1 GB of values, TIFF and ``.npy`` stay on the disk until they are asked for.
    axes : str, optional
        A letter of ``TZCYX`` per dimension, where the file does not say or is wrong.

    Returns
    -------
    Image
        Named after the file. Palettes become colours; 16 bits stay 16 bits.

    Raises
    ------
    ImageError
        Missing, damaged, cut short, of an unknown kind, or with pickled objects inside (which could run code).
    AxesError
        Its axes are not known, or `axes` does not fit.
    """
    path = Path(path)
    try:
        return _read(path, axes)
    except CellsegError:
        raise
    except DAMAGE as error:
        raise unreadable(path, error) from error


def _read(path: Path, axes: str | None) -> Image:
    if path.is_dir():
        raise ImageError(f"{path} is a folder. Give an image file.")
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        head = file.read(4)
    if suffix not in SUFFIXES:
        raise ImageError(
            f"{path} is of a kind that is not read here ({suffix or 'no suffix'}); these are: "
            f"{', '.join(SUFFIXES)}. Open it in napari with a reader plugin, or save it as TIFF."
        )
    if not head:
        raise ImageError(f"{path} is empty: it has no bytes. Copy it again.")
    if suffix in (".npy", ".npz"):
        array = _read_npz(path) if suffix == ".npz" else _read_npy(path)
    elif head in _TIFF_STARTS:
        return read_tiff(path, axes, LAZY_BYTES)
    else:
        array = raster.decode(path)
        if axes is None:
            axes = "YXC"[: array.ndim]
            return as_image(array, axes, rgb=array.ndim == 3, name=path.name, source=str(path))
    return as_image(array, axes, name=path.name, source=str(path))


def _read_npy(path: Path) -> Any:
    lazy = path.stat().st_size >= LAZY_BYTES
    array = np.load(path, mmap_mode="r" if lazy else None, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ImageError(f"{path} holds no array. Give a file written by numpy.save.")
    return array


def _read_npz(path: Path) -> np.ndarray:
    if not zipfile.is_zipfile(path):
        raise ImageError(f"{path} is not a whole .npz archive. It was cut short or damaged: copy it again.")
    with np.load(path, allow_pickle=False) as archive:
        names = list(archive.files)
        chosen = names if len(names) == 1 else [name for name in _ARRAY_NAMES if name in names]
        if len(chosen) != 1:
            raise ImageError(
                f"{path} holds {len(names)} arrays ({', '.join(names) or 'none'}), and which one is the image is "
                f"not plain. Save one array, or name one of them {' or '.join(_ARRAY_NAMES)}."
            )
        return archive[chosen[0]]
