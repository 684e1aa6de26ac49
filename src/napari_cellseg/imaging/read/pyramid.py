"""Coarser copies of an image that is too large to be shown, or even held in memory, as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import dask.array as da
import numpy as np
from dask.array.core import slices_from_chunks

from ..damage import DAMAGE
from ..image import Image
from .ome_zarr.levels import read_levels

DIRECT_BYTES = 1 << 30
# Graphics cards cannot draw a larger image in one piece; napari would show it blurred.
DIRECT_SIDE = 16384
COARSEST = 2048
# A coarsest level up to this size is read at once, so that the whole image is shown at any zoom.
HELD_BYTES = 1 << 28
_STEP = 4


@dataclass(eq=False)
class _Forgiving:
    """An array for display only: pieces that cannot be read are 0.

    Attributes
    ----------
    array : dask.array.Array
    is_damaged : bool
        Whether a piece could not be read so far.
    """

    array: Any
    is_damaged: bool = field(default=False, init=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype:
        """Type of the values."""
        return np.dtype(self.array.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        try:
            return np.asarray(self.array[index])
        except DAMAGE:
            self.is_damaged = True
            return np.zeros(np.broadcast_to(np.int8(0), self.shape)[index].shape, self.dtype)


def pyramid(image: Image) -> tuple[list[Any] | None, list[str]]:
    """Return levels for napari; None for an image that is shown directly, as the planes of a stack are.

    The levels of an OME-Zarr folder are used, and nothing else is read. Otherwise each level is every fourth row and
    column of the one before. Only the coarsest level is read here, which takes a while: call this in a background
    thread. Of the others napari requests the visible parts.

    Parameters
    ----------
    image : Image
        Its last axes are rows and columns, optionally followed by colour.

    Returns
    -------
    levels : list of array, or None
        Finest first: the values of the image, then copies for display, in which pieces that cannot be read are 0.
    notes : list of str
        A sentence for every level of the file that cannot be used, and one if the coarsest level has pieces that cannot
        be read.
    """
    if isinstance(image.data, np.ndarray) and image.data.nbytes <= DIRECT_BYTES and max(image.shape_yx) <= DIRECT_SIDE:
        return None, []
    coarser, notes = read_levels(image)
    if not coarser and _has_small_planes(image):
        return None, notes
    levels = [image.data, *coarser]
    last, step = levels[-1], 1
    longest = max(last.shape[image.axes.index(axis)] for axis in "YX")
    while longest / step > COARSEST:
        step *= _STEP
        thin = slice(None, None, step)
        levels.append(_thinned(last, (..., thin, thin, slice(None)) if image.rgb else (..., thin, thin)))
    if len(levels) == 1:
        return None, notes
    for place in range(1, len(levels) - 1):
        levels[place] = _forgiven(levels[place])
    if levels[-1].nbytes > HELD_BYTES:
        levels[-1] = _forgiven(levels[-1])
    else:
        levels[-1], is_damaged = _held(levels[-1])
        if is_damaged:
            notes.append(f"{image.title}: pieces of it cannot be read; they are shown in black.")
    return levels, notes


def _has_small_planes(image: Image) -> bool:
    """Whether an image is a stack whose planes are each shown directly: only the one in view is read."""
    lengths = dict(zip(image.axes, image.data.shape, strict=True))
    n_planes = lengths.get("T", 1) * lengths.get("Z", 1)
    return n_planes > 1 and image.data.nbytes // n_planes <= DIRECT_BYTES and max(image.shape_yx) <= DIRECT_SIDE


def _thinned(values: Any, index: tuple[Any, ...]) -> Any:
    """Every n-th row and column; a lazy array stays lazy."""
    if isinstance(values, np.ndarray):
        return values[index]
    lazy = values if isinstance(values, da.Array) else da.from_array(values)
    return lazy[index]


def _held(level: Any) -> tuple[np.ndarray, bool]:
    """Read a level piece by piece; return also whether a piece could not be read."""
    if isinstance(level, np.ndarray):
        return np.array(level), False
    held, forgiving = np.zeros(level.shape, level.dtype), _Forgiving(level)
    for place in slices_from_chunks(level.chunks):
        held[place] = forgiving[place]
    return held, forgiving.is_damaged


def _forgiven(level: Any) -> Any:
    """Level whose unreadable pieces are 0; a lazy level stays lazy."""
    if isinstance(level, np.ndarray):
        return level
    return da.from_array(_Forgiving(level), chunks=level.chunks, asarray=False)
