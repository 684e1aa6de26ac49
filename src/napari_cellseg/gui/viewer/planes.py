"""The planes of an image layer with time points or slices: which there are, and what each is called in the session."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import numpy as np
from napari.layers import Image as ImageLayer

from ...imaging.errors import CellsegError
from ...imaging.image import Image
from ...imaging.stack_planes import StackPlane, plane_at, plane_image, stack_lengths
from ...session import PlaneKey
from .layer_image import image_from_layer

WORDS = {"T": "time point", "Z": "slice"}


@dataclass(frozen=True, eq=False)
class Stack:
    """An image layer of several planes.

    Attributes
    ----------
    layer : Hashable
        Id of the layer.
    image : Image
        All planes; never read as a whole here.
    lengths : tuple of (str, int)
        How many planes there are along ``T`` and ``Z``.
    """

    layer: Hashable
    image: Image
    lengths: tuple[tuple[str, int], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many planes along each axis."""
        return tuple(length for _, length in self.lengths)

    @property
    def n_planes(self) -> int:
        """How many planes there are."""
        return int(np.prod(self.shape))

    def key(self, position: tuple[int, ...]) -> PlaneKey:
        """Return the key of the plane at a position."""
        return PlaneKey(self.layer, plane_at(self.lengths, position).index)

    def key_at(self, number: int) -> PlaneKey:
        """Return the key of a plane by its place among all; see `number`."""
        return self.key(tuple(int(i) for i in np.unravel_index(number, self.shape)))

    def plane_keys(self) -> Iterator[PlaneKey]:
        """Go through the keys of all planes, time before slice."""
        return (self.key_at(number) for number in range(self.n_planes))

    def number(self, key: PlaneKey) -> int:
        """Return the place of a plane among all, from 0, time before slice."""
        return int(np.ravel_multi_index(key.position, self.shape))

    def has(self, key: Any) -> TypeGuard[PlaneKey]:
        """Whether a key is that of one of the planes."""
        return (
            isinstance(key, PlaneKey)
            and key.layer == self.layer
            and tuple(axis for axis, _ in key.index) == tuple(axis for axis, _ in self.lengths)
            and all(0 <= place < length for place, length in zip(key.position, self.shape, strict=True))
        )

    def page(self, key: PlaneKey) -> StackPlane:
        """Return which page of the image a plane is."""
        return plane_at(self.lengths, key.position)

    def plane(self, key: PlaneKey) -> Image:
        """Cut a plane out, with all its channels; what is lazy stays lazy."""
        return plane_image(self.image, self.page(key))

    def words(self, key: PlaneKey) -> str:
        """Name a plane, counted from 0 as napari's slider does: ``T 3, Z 7``."""
        return ", ".join(f"{axis} {place}" for axis, place in key.index)

    def in_words(self) -> str:
        """Describe how many planes there are: ``24 time points``, ``5 time points × 7 slices``."""
        return " × ".join(f"{length:,} {WORDS[axis]}s" for axis, length in self.lengths)


def stack_of(layer: ImageLayer | None, axes: str | None = None) -> Stack | None:
    """Return the planes of a layer; None for a layer of one plane, and where its axes are not known."""
    if layer is None or layer.ndim < 3:
        return None
    try:
        image = image_from_layer(layer, axes)
    except CellsegError:
        return None
    lengths = stack_lengths(image)
    if not lengths:
        return None
    return Stack(layer.unique_id, replace(image, data=sliceable(image.data)), lengths)


def sliceable(data: Any) -> Any:
    """Return an array of which parts can be cut out without reading them: numpy and dask arrays as they are.

    Zarr and others read at once what is cut out of them; dask waits until it is asked for, in a thread.
    """
    if isinstance(data, np.ndarray) or type(data).__module__.startswith("dask."):
        return data
    # Imported late: with xarray and pandas it takes most of a second.
    import dask.array

    return dask.array.from_array(data)


def key_here(stack: Stack, layer: ImageLayer, point: tuple[float, ...]) -> PlaneKey:
    """Return the key of the plane of a layer that lies at a point of the world, the nearest one where none does."""
    place = np.asarray(layer.world_to_data(point))
    # A colour image's last axis has no place in napari's world.
    position = [
        int(np.clip(np.nan_to_num(np.round(place[stack.image.axes.index(axis)])), 0, length - 1))
        for axis, length in stack.lengths
    ]
    return stack.key(tuple(position))


def point_of(stack: Stack, layer: ImageLayer, key: PlaneKey, point: tuple[float, ...]) -> np.ndarray:
    """Return the point of the world, nearest to another one, at which a plane of a layer lies."""
    place = np.array(layer.world_to_data(point), float)
    for axis, i in key.index:
        place[stack.image.axes.index(axis)] = i
    return np.asarray(layer.data_to_world(place))
