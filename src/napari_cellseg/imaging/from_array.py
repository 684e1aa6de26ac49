"""Make an image of an array."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .axes import check_axes, check_values, looks_rgb, names_colour, plain_axes
from .errors import ImageError
from .image import Image

# Each takes memory of its own, whatever the array takes.
MOST_PLANES = 1 << 20


def as_image(
    array: Any,
    axes: str | None = None,
    pixel_size: tuple[float, float] | None = None,
    rgb: bool | None = None,
    name: str = "",
    channel_names: Sequence[str] = (),
    source: str | None = None,
    slice_spacing: float | None = None,
    frame_interval: float | None = None,
) -> Image:
    """Make an image of an array whose axes are given or obvious; they are never guessed.

    Parameters
    ----------
    array : array-like or Image
        Numpy, dask, zarr, or nested lists. Boolean values become uint8. An `Image` is returned unchanged.
    axes : str, optional
        One letter of ``TZCYX`` per dimension, or ``S``, which files use for colour samples, instead of ``C``.
        By default 2-D means ``YX``, and 3-D with 3 or 4 as its last length means colour if `rgb` is True, or if
        `rgb` is None, the type is uint8, uint16 or float, and the other lengths are above 4. Leading axes of
        length 1 are dropped. Anything else is an error.
    pixel_size : tuple of float, optional
        Micrometres per pixel along (Y, X).
    rgb : bool, optional
        Whether a last axis of 3 or 4 is colour; None follows the rule above, also if `axes` is given, except that 4
        named ``C`` are channels: colour with alpha is ``S``.
    name, channel_names, source, slice_spacing, frame_interval
        See `Image`.

    Raises
    ------
    ImageError
        The array is empty, has fewer than 2 dimensions or too many planes, or holds values that are not real numbers.
    AxesError
        The axes are not known, or do not fit.
    """
    if isinstance(array, Image):
        return array
    data = array if all(hasattr(array, a) for a in ("shape", "dtype", "ndim", "__getitem__")) else _to_array(array)
    title = name or source or "image"
    check_values(data, title)
    if data.dtype == bool:
        data = data.astype(np.uint8) if hasattr(data, "astype") else np.asarray(data).astype(np.uint8)
    if axes is None:
        data, axes, rgb = plain_axes(data, rgb, title)
    else:
        given = axes.strip().upper()
        axes = given.replace("S", "C")
        check_axes(data.shape, axes, title)
        if rgb is None:
            rgb = names_colour(given, data.shape) and looks_rgb(tuple(n for n in data.shape if n != 1), data.dtype)
    n_planes = math.prod(n for axis, n in zip(axes, data.shape, strict=False) if axis in "TZ")
    if n_planes > MOST_PLANES:
        raise ImageError(
            f"{title} announces {n_planes:,} planes, and up to {MOST_PLANES:,} are read. Cut it into parts."
        )
    return Image(
        data,
        axes,
        pixel_size=pixel_size,
        channel_names=tuple(channel_names),
        rgb=bool(rgb),
        name=name,
        source=source,
        slice_spacing=slice_spacing,
        frame_interval=frame_interval,
    )


def _to_array(array: Any) -> np.ndarray:
    try:
        return np.asarray(array)
    except ValueError as error:
        raise ImageError(f"The image is not a regular array of numbers: {error}. Give rows of one length.") from error
