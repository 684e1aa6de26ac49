"""The meaning of an array's dimensions: which are obvious, and which must be given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import AxesError, ImageError

AXES = "TZCYX"


def check_values(data: Any, title: str) -> None:
    """Raise ImageError unless `data` has real numbers, at least one of them, in at least two dimensions."""
    dtype = np.dtype(data.dtype)
    if dtype.kind not in "buif":
        raise ImageError(
            f"{title} holds values of type {dtype}, but an image holds whole or real numbers. "
            "Convert it to an integer or float type."
        )
    if len(data.shape) < 2:
        raise ImageError(
            f"{title} has {len(data.shape)} dimension(s), but an image has at least two (Y and X). Give a 2-D image."
        )
    if 0 in tuple(data.shape):
        raise ImageError(f"{title} is empty: its shape is {tuple(data.shape)}. Give an image with pixels.")


def check_axes(shape: Sequence[int], axes: str, title: str) -> None:
    """Raise AxesError unless `axes` names each dimension of `shape` once, Y and X among them."""
    unknown = sorted(set(axes) - set(AXES))
    if unknown:
        raise AxesError(
            f"{title}: axes {axes!r} contain {', '.join(unknown)}, but only {', '.join(AXES)} are known. "
            "Name the axes with these letters."
        )
    if len(axes) != len(shape):
        raise AxesError(
            f"{title}: axes {axes!r} name {len(axes)} dimensions, but the shape is {tuple(shape)}. "
            "Give one letter per dimension."
        )
    if len(set(axes)) != len(axes) or "Y" not in axes or "X" not in axes:
        raise AxesError(f"{title}: axes {axes!r} must contain Y and X, and no letter twice. Name each dimension once.")


def plain_axes(data: Any, rgb: bool | None, title: str) -> tuple[Any, str, bool]:
    """Return data (leading axes of length 1 dropped), axes and whether it is colour, or raise AxesError."""
    shape = tuple(data.shape)
    lead = next((i for i, length in enumerate(shape) if length != 1), 0)
    inner = shape[lead:]
    n_dims = 3 if rgb or (rgb is None and looks_rgb(inner, data.dtype)) else 2
    if len(shape) == n_dims or (len(inner) == n_dims and not (len(shape) == 3 and shape[-1] in (3, 4))):
        if len(shape) > n_dims:
            data = data[(0,) * (len(shape) - n_dims)]
        return data, "YXC"[:n_dims], n_dims == 3
    raise AxesError(
        f"{title} has {len(shape)} dimensions, {shape}, and their meaning is not known. "
        "Name them with axes, a letter per dimension, such as axes='CYX' (--axes CYX) for channels first."
    )


def looks_rgb(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Whether a shape and dtype are those of a colour image with channels last."""
    usual = dtype.kind == "f" or np.dtype(dtype).newbyteorder("=") in (np.uint8, np.uint16)
    return len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) > 4 and usual


def names_colour(axes: str, shape: Sequence[int]) -> bool:
    """Whether axes (capital letters) end with colours: 3 of ``C`` or ``S``, or 4 of ``S``.

    Four of ``C`` may be four dyes; reading them as colours would drop the last one as alpha.
    """
    letter = axes[-1:]
    return (letter == "C" and shape[-1] == 3) or (letter == "S" and shape[-1] in (3, 4))
