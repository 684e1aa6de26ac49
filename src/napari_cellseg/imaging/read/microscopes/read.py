"""Files of microscopes that a package of their own reads: one way in for all of them, plane by plane."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from ...damage import UNREADABLE
from ...errors import AxesError, ImageError
from ...from_array import MOST_PLANES, as_image
from ...image import Image
from ...memory import check_room
from ...scale import is_interval, is_pixel_size
from ..formats import Format, format_of
from .scene import Scene, lazy_values, values_of

# A stack of more bytes stays in its file until its planes are requested.
STACK_BYTES = 1 << 26
_KNOWN = "TZCYXS"


class VendorFile(Protocol):
    """An open file; every format has one class of this kind, made by the function ``open_file`` of its module."""

    @property
    def names(self) -> Sequence[str]:
        """Names of its images, in the order of the file; they may be empty and equal."""

    def scene(self, index: int) -> Scene:
        """Describe an image.

        Raises
        ------
        ImageError, ...
            It has no planes, or of a kind that is not supported; also anything of `damage.DAMAGE`.
        """

    def close(self) -> None:
        """Close the file."""


class _Open:
    """An open file with its lock: the packages read one plane at a time. It is closed when nothing uses it."""

    def __init__(self, known: Format, path: Path) -> None:
        self.file: VendorFile = import_module(f".{known.reader}", __package__).open_file(path)
        self.names = tuple(self.file.names)
        self.lock = threading.Lock()
        weakref.finalize(self, self.file.close)


_last: tuple[Any, _Open] | None = None
_opening = threading.Lock()


def opened(path: Path) -> _Open:
    """Open a file, or return it as it was opened last: the images of one file are read one after the other.

    Raises
    ------
    ImageError
        The package that reads it is missing or too old.
    ValueError, OSError, ...
        Anything else of `damage.DAMAGE`.
    """
    global _last
    known = format_of(path)
    if known is None or not known.reader:
        raise ImageError(f"{path} is of a kind that is not supported. Save it as TIFF.")
    if words := known.lacks():
        raise ImageError(f"{path} {words}")
    about = path.stat()
    key = (path.absolute(), about.st_size, about.st_mtime_ns)
    with _opening:
        if _last is not None and _last[0] == key:
            return _last[1]
        _last = None
        try:
            found = _Open(known, path)
        except ImportError as error:
            raise ImageError(f"{path} {known.lacks() or f'needs {known.package}, which fails ({error})'}.") from error
        # A file of one image need not stay open.
        _last = (key, found) if len(found.names) > 1 else None
        return found


def forget() -> None:
    """Close the file that was opened last, as soon as nothing uses it."""
    global _last
    with _opening:
        _last = None


def read_scene(
    path: Path, axes: str | None, lazy_bytes: int, choose: Callable[[Sequence[str]], int], in_parts: bool = False
) -> Image:
    """Read an image of a file.

    Parameters
    ----------
    path : Path
    axes : str, optional
        Meaning of its dimensions, where the file is wrong.
    lazy_bytes : int
        From this size on a single plane stays in the file; a stack does from 64 MB on.
    choose : callable
        Gives the place of the image among the names of all that the file holds.
    in_parts : bool
        A stack with damaged planes stays in the file.

    Raises
    ------
    ImageError, AxesError
        See `opened` and `VendorFile.scene`.
    ValueError, OSError, ...
        Anything else of `damage.DAMAGE`.
    """
    held = opened(path)
    with held.lock:
        scene = held.file.scene(choose(held.names))
    _check(scene, path)
    n_bytes = math.prod(scene.shape) * scene.dtype.itemsize
    if n_bytes >= (STACK_BYTES if scene.n_outer else lazy_bytes):
        data = lazy_values(scene, held.lock, held)
    else:
        check_room(n_bytes, str(path), scene.shape)
        try:
            data = values_of(scene, held.lock)
        except MemoryError:
            raise
        except UNREADABLE:
            if not in_parts or not scene.n_outer:
                raise
            data = lazy_values(scene, held.lock, held)
    size, spacing, interval = scene.pixel_size, scene.slice_spacing, scene.frame_interval
    return as_image(
        data,
        axes or scene.axes,
        pixel_size=size if size is not None and all(map(is_pixel_size, size)) else None,
        rgb=scene.axes.endswith("S") if axes is None else None,
        channel_names=scene.channel_names if axes is None else (),
        slice_spacing=spacing if spacing is not None and is_pixel_size(spacing) else None,
        frame_interval=interval if interval is not None and is_interval(interval) else None,
        name=path.name,
        source=str(path),
    )


def _check(scene: Scene, path: Path) -> None:
    if 0 in scene.shape or not {"Y", "X"} <= set(scene.axes):
        words = ", ".join(f"{axis} {n}" for axis, n in zip(scene.axes, scene.shape, strict=True))
        raise ImageError(f"{path} holds no plane of an image here, but {words or 'nothing'}. Give another image of it.")
    if (n_planes := math.prod(scene.shape[: scene.n_outer])) > MOST_PLANES:
        raise ImageError(
            f"{path} announces {n_planes:,} planes, and up to {MOST_PLANES:,} are read. Cut it into parts."
        )
    lengths = {**dict(zip(scene.axes, scene.shape, strict=True)), **dict(zip("YX", scene.piece or (), strict=False))}
    n_bytes = math.prod(lengths[axis] for axis in scene.axes[scene.n_outer :]) * scene.dtype.itemsize
    check_room(n_bytes, str(path), scene.shape)
    unknown = set(scene.axes) - set(_KNOWN)
    if unknown:
        raise AxesError(
            f"{path} has axes {scene.axes} of lengths {scene.shape}, and {', '.join(sorted(unknown))} is "
            "not known here. Save it as OME-TIFF."
        )
