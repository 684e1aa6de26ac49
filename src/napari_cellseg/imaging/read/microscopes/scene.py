"""One image of an open file as an array: read at once, or plane by plane as it is requested."""

from __future__ import annotations

import itertools
import math
import mmap
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_MOST_SCENES = 1 << 16


@dataclass(frozen=True, eq=False)
class Scene:
    """One image of a file; no pixel is read yet.

    Attributes
    ----------
    axes : str
        A letter per dimension: ``TZCYX``, or ``S`` last for red, green, blue. The inner ones, of one plane as the file
        stores it, come last: ``YX``, ``CYX`` or ``YXS``.
    shape : tuple of int
    dtype : numpy.dtype
    n_outer : int
        Number of axes in front of the inner ones.
    read : callable
        Gives the values along the inner axes at an index of the outer ones: ``read(index, rows, columns)``. Rows and
        columns are None for all of them; others are requested only where there is a `piece`. What it gives may be a
        view into the file: it is copied before anything else is read.
    piece : tuple of int, optional
        (Y, X) of what is read at once of a plane that is too large to be read as a whole.
    channel_names : tuple of str
    pixel_size : tuple of float, optional
        Micrometres along (Y, X), as the file has them; values that cannot be are dropped later.
    slice_spacing, frame_interval : float, optional
        Micrometres and seconds, in the same way.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    n_outer: int
    read: Callable[[tuple[int, ...], slice | None, slice | None], np.ndarray]
    piece: tuple[int, int] | None = None
    channel_names: tuple[str, ...] = ()
    pixel_size: tuple[float, float] | None = None
    slice_spacing: float | None = None
    frame_interval: float | None = None


def places_along(lengths: Mapping[str, int]) -> list[dict[str, int]]:
    """List the places along axes whose elements are images of their own; one without axes gives one empty place.

    Raises
    ------
    ValueError
        There are more than anything records.
    """
    n = math.prod(lengths.values())
    if n > _MOST_SCENES:
        raise ValueError(f"it announces {n:,} images, and up to {_MOST_SCENES:,} are read")
    return [dict(zip(lengths, at, strict=True)) for at in itertools.product(*map(range, lengths.values()))]


def values_of(scene: Scene, lock: threading.Lock) -> np.ndarray:
    """Read all values; only one thread at a time reads while it holds `lock`."""
    with lock:
        if not scene.n_outer:
            found = np.asarray(scene.read((), None, None))
            return found.copy() if _is_mapped(found) else found
        values = np.empty(scene.shape, scene.dtype)
        for place in np.ndindex(scene.shape[: scene.n_outer]):
            values[place] = scene.read(place, None, None)
    return values


def _is_mapped(values: np.ndarray) -> bool:
    """Whether an array is a view into a file."""
    owner: Any = values
    while isinstance(owner, (np.ndarray, memoryview)):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    return isinstance(owner, mmap.mmap)


def lazy_values(scene: Scene, lock: threading.Lock, owner: object = None) -> Any:
    """Return a dask array that reads the planes that are requested, each as one chunk, or the pieces of them.

    `owner` is kept for as long as the array: it keeps the file open.
    """
    import dask.array

    lengths = dict(zip(scene.axes, scene.shape, strict=True))
    lengths.update(zip("YX", scene.piece or (), strict=False))
    chunks = (*[1] * scene.n_outer, *(lengths[axis] for axis in scene.axes[scene.n_outer :]))
    # Named by chance: a hash of the values would read them.
    name = f"scene-{uuid.uuid4().hex}"
    return dask.array.from_array(_Planes(scene, lock, owner), chunks=chunks, name=name, fancy=False, asarray=False)


class _Planes:
    """The values of a scene as an array that reads what is requested, and nothing else."""

    def __init__(self, scene: Scene, lock: threading.Lock, owner: object) -> None:
        self._scene, self._lock, self._owner = scene, lock, owner
        self.shape, self.dtype, self.ndim = scene.shape, scene.dtype, len(scene.shape)

    def __getitem__(self, index: tuple[int | slice, ...]) -> np.ndarray:
        n_outer = self._scene.n_outer
        parts = [range(n)[part] for part, n in zip(index, self.shape, strict=True)]
        lengths = [len(part) for part in parts if isinstance(part, range)]
        if 0 in lengths:
            return np.empty(lengths, self.dtype)
        places = itertools.product(*([part] if isinstance(part, int) else part for part in parts[:n_outer]))
        with self._lock:
            planes = [self._plane(place, index[n_outer:], parts[n_outer:]) for place in places]
            return np.stack(planes).reshape(lengths)

    def _plane(self, place: tuple[int, ...], index: tuple[int | slice, ...], parts: list[int | range]) -> np.ndarray:
        scene = self._scene
        if scene.piece is None:
            return scene.read(place, None, None)[index]
        axes = scene.axes[scene.n_outer :]
        spans = {
            axis: slice(part, part + 1) if isinstance(part, int) else slice(min(part), max(part) + 1)
            for axis, part in zip(axes, parts, strict=True)
        }
        found = scene.read(place, spans["Y"], spans["X"])
        cut = [0 if isinstance(part, int) else slice(None, None, part.step) for part in parts]
        return found[tuple(one if axis in "YX" else whole for axis, one, whole in zip(axes, cut, index, strict=True))]
