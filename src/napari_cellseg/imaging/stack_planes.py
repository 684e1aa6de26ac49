"""The planes of an image over time points and slices, each of which is segmented separately."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from typing import Any

from .errors import AxesError, ImageError
from .image import Image

# "one": an image is one plane; "each": one result per plane; "stack": one result with all planes.
PAGES = ("one", "each", "stack")
_STACK_AXES = "TZ"


@dataclass(frozen=True)
class StackPlane:
    """One plane of an image: its name and position.

    Attributes
    ----------
    name : str
        Such as ``t003_z001``, counted from 0 and padded with zeros so that names sort; empty if the image is one plane.
    index : tuple of (str, int)
        Axis (``T``, then ``Z``) and position, for each of these axes that is longer than 1.
    """

    name: str
    index: tuple[tuple[str, int], ...]

    @property
    def position(self) -> tuple[int, ...]:
        """Index of the plane in an array of `stack_shape`: ``stack[plane.position]`` is its plane."""
        return tuple(place for _, place in self.index)


def planes_of(image: Image) -> tuple[StackPlane, ...]:
    """List the planes of an image, time before slice; one plane with an empty name if it is a single plane.

    Channels are not planes: every plane has all of them.
    """
    lengths = stack_lengths(image)
    return tuple(plane_at(lengths, places) for places in itertools.product(*(range(length) for _, length in lengths)))


def stack_lengths(image: Image) -> tuple[tuple[str, int], ...]:
    """List the axes of an image's planes, ``T`` before ``Z``, each with its length; empty for one plane."""
    return tuple(_lengths(image))


def plane_at(lengths: tuple[tuple[str, int], ...], position: tuple[int, ...]) -> StackPlane:
    """Return the plane at a position, one whole number for each of an image's `stack_lengths`."""
    return StackPlane(
        "_".join(f"{a.lower()}{i:0{_digits(n)}d}" for (a, n), i in zip(lengths, position, strict=True)),
        tuple((axis, int(i)) for (axis, _), i in zip(lengths, position, strict=True)),
    )


def plane_image(image: Image, plane: StackPlane) -> Image:
    """Return one plane of an image with all channels and no T or Z axis. A lazy array stays lazy.

    Raises
    ------
    AxesError
        The image has no such plane.
    ImageError
        That plane of the file is damaged.
    """
    lengths = dict(_lengths(image))
    wanted = dict(plane.index)
    if set(wanted) != set(lengths) or any(not 0 <= place < lengths[axis] for axis, place in wanted.items()):
        raise AxesError(
            f"{image.title} has no plane {plane.name or 'without a name'}: its axes are {image.axes} of lengths "
            f"{tuple(image.data.shape)}. Take the planes of this image."
        )
    index: tuple[Any, ...] = tuple(wanted.get(axis, 0) if axis in _STACK_AXES else slice(None) for axis in image.axes)
    if all(part == slice(None) for part in index):
        return image
    axes = "".join(axis for axis in image.axes if axis not in _STACK_AXES)
    name = f"{image.title} {plane.name}".strip()
    return replace(image, data=image.cut(index), axes=axes, name=name)


def stack_axes(image: Image) -> str:
    """Axes of an array that holds one plane for each plane: ``YX``, ``TYX``, ``ZYX`` or ``TZYX``."""
    return "".join(axis for axis, _ in _lengths(image)) + "YX"


def stack_shape(image: Image) -> tuple[int, ...]:
    """Shape of an array that holds one plane for each plane; its axes are `stack_axes`."""
    return (*(length for _, length in _lengths(image)), *image.shape_yx)


def refuse_stack(image: Image) -> None:
    """Raise AxesError, which names the choices, if an image has more than one plane."""
    lengths = _lengths(image)
    if lengths:
        words = {"T": "time points", "Z": "slices"}
        many = " and ".join(f"{length} {words[axis]} (axis {axis} of {image.axes})" for axis, length in lengths)
        raise AxesError(
            f"{image.title} has {many}, but one plane is segmented at a time. Choose a result for each plane "
            "(--pages each), or one stack of labels (--pages stack)."
        )


def _lengths(image: Image) -> list[tuple[str, int]]:
    shape = dict(zip(image.axes, image.data.shape, strict=True))
    return [(axis, int(shape[axis])) for axis in _STACK_AXES if shape.get(axis, 1) > 1]


def _digits(length: int) -> int:
    return max(3, len(str(length - 1)))


def plane_named(name: str) -> StackPlane:
    """Return a plane by its name.

    Raises
    ------
    ImageError
        It is not the name of a plane.
    """
    if not re.fullmatch(r"[tz]\d+(_[tz]\d+)?", name):
        raise ImageError(f"'{name}' is not the name of a plane in a stack. Give a name such as t003_z001.")
    return StackPlane(name, tuple((axis.upper(), int(number)) for axis, number in re.findall(r"([tz])(\d+)", name)))


def position_in_stack(name: str) -> tuple[int, ...]:
    """Return the position of a plane in a stack of all planes by its name: ``t003_z001`` is (3, 1).

    Raises
    ------
    ImageError
        It is not the name of a plane.
    """
    return plane_named(name).position
