"""The coarser copies that an OME-Zarr folder holds of its image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .damage import DAMAGE
from .errors import CellsegError
from .finding import is_zarr
from .image import Image
from .zarr_folder import multiscale_of


def read_levels(image: Image) -> tuple[list[Any], list[str]]:
    """Open the coarser levels of the file that an image came from; no pixel is read.

    Parameters
    ----------
    image : Image
        As `read_image` gave it.

    Returns
    -------
    levels : list of dask.array.Array
        From the finest of them on; none where the file has none, or is no OME-Zarr image. Each has the image's axes, is
        as long as the image along all but Y and X, and smaller than the one before along these.
    notes : list of str
        A sentence for every level that cannot be used, and was left out.
    """
    import dask.array

    if image.source is None or not is_zarr(Path(image.source)):
        return [], []
    levels: list[Any] = []
    notes: list[str] = []
    shape = tuple(image.data.shape)
    try:
        group, multiscale = multiscale_of(Path(image.source))
        names = [str(one["path"]) for one in multiscale["datasets"]] if multiscale is not None else []
    except CellsegError:
        return [], []
    except DAMAGE:
        return [], []
    for name in names[1:]:
        try:
            level = dask.array.from_zarr(group[name])
        except DAMAGE as error:
            notes.append(f"{image.title}: level {name} of its pyramid cannot be read ({error}), and is left out.")
            continue
        if level.dtype != image.data.dtype or not _coarser(level.shape, shape, image):
            notes.append(
                f"{image.title}: level {name} of its pyramid, {_times(level.shape)} {level.dtype}, is no smaller copy "
                f"of the one before, {_times(shape)} {np.dtype(image.data.dtype)}, and is left out."
            )
            continue
        levels.append(level)
        shape = tuple(level.shape)
    return levels, notes


def _coarser(shape: tuple[int, ...], finer: tuple[int, ...], image: Image) -> bool:
    if len(shape) != len(finer):
        return False
    sides = [(a, b) for axis, a, b in zip(image.axes, shape, finer, strict=True) if axis in "YX"]
    same = all(a == b for axis, a, b in zip(image.axes, shape, finer, strict=True) if axis not in "YX")
    return same and all(0 < a <= b for a, b in sides) and any(a < b for a, b in sides)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
