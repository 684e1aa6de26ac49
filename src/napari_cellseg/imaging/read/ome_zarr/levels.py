"""The coarser levels of an OME-Zarr image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...damage import DAMAGE, UNREADABLE
from ...errors import CellsegError
from ...image import Image
from .places import is_zarr
from .read import multiscale_of


def read_levels(image: Image) -> tuple[list[Any], list[str]]:
    """Open the coarser levels of the file of an image; no pixel is read.

    Parameters
    ----------
    image : Image
        As returned by `read_image`.

    Returns
    -------
    levels : list of dask.array.Array
        Finest first, with the axes and dtype of the image; empty if the file has none or is not an OME-Zarr image. Each
        is smaller than the one before along Y or X, and may be smaller along Z.
    notes : list of str
        A sentence for every level that cannot be used and was skipped.
    """
    import dask.array

    from .pieces import checked

    if image.source is None or not is_zarr(Path(image.source)):
        return [], []
    levels: list[Any] = []
    notes: list[str] = []
    shape, dtype = tuple(image.data.shape), np.dtype(image.data.dtype)
    try:
        group, multiscale = multiscale_of(Path(image.source))
        names = [str(one["path"]) for one in multiscale["datasets"]] if multiscale is not None else []
        # A boolean image is read as whole numbers.
        stored = group[names[0]].dtype if names else dtype
    except CellsegError:
        return [], []
    except DAMAGE:
        return [], []
    for name in names[1:]:
        try:
            array = checked(group[name], Path(image.source))
            kind, sides = array.dtype, tuple(array.shape)
        except UNREADABLE as error:
            notes.append(f"{image.title}: level {name} of its pyramid cannot be read ({error}) and is skipped.")
            continue
        if kind != stored or not _coarser(sides, shape, image):
            notes.append(
                f"{image.title}: level {name} of its pyramid, {_times(sides)} {kind}, is not a smaller copy of the one "
                f"before, {_times(shape)} {stored} and is skipped."
            )
            continue
        levels.append(dask.array.from_zarr(array).astype(dtype))
        shape = sides
    return levels, notes


def _coarser(shape: tuple[int, ...], finer: tuple[int, ...], image: Image) -> bool:
    if len(shape) != len(finer):
        return False
    pairs = list(zip(image.axes, shape, finer, strict=True))
    fits = all(0 < a <= b if axis in "ZYX" else a == b for axis, a, b in pairs)
    return fits and any(a < b for axis, a, b in pairs if axis in "YX")


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
