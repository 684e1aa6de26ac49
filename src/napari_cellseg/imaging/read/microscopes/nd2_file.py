"""Nikon ND2, by the package nd2."""

from __future__ import annotations

import contextlib
import functools
import math
import sys
import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...damage import DAMAGE
from ...errors import ImageError
from ..packed.inflating import BoundedZlib
from ..packed.picture_headers import size_of
from .scene import Scene

_INNER = "CYXS"
_JPEG_2000 = 34712
_zlib = BoundedZlib()


class Nd2File:
    """An open ND2 file; its positions are its images."""

    def __init__(self, path: Path) -> None:
        import nd2

        self._path, self._size = path, path.stat().st_size
        self._file = nd2.ND2File(path)
        with contextlib.ExitStack() as failing:
            failing.callback(self._file.close)
            _bound(type(self._file._rdr))
            self._describe()
            failing.pop_all()

    def _describe(self) -> None:
        sizes = dict(self._file.sizes)
        # A frame is one index along all of these, and holds all channels.
        self._loops = {axis: n for axis, n in sizes.items() if axis not in _INNER}
        self._frame = {axis: n for axis, n in sizes.items() if axis in "CS"}
        self._frame |= {"Y": self._file.attributes.heightPx, "X": self._file.attributes.widthPx or 0}
        self.names = self._names()

    def _names(self) -> list[str]:
        n = self._loops.get("P", 1)
        points = [p for loop in self._file.experiment if loop.type == "XYPosLoop" for p in loop.parameters.points]
        names = [str(point.name or "") for point in points]
        if len(names) != n:
            names = [""] * n
        return [name or f"P{i}" for i, name in enumerate(names)]

    def scene(self, index: int) -> Scene:
        """Describe a position."""
        file = self._file
        outer = "".join(axis for axis in self._loops if axis != "P")
        inner = "".join(axis for axis in _INNER if axis in self._frame)
        lengths = {**self._loops, **self._frame}
        channels = self._channels()
        voxel = channels[0].volume if channels else None
        calibrated = (False, False, False) if voxel is None else voxel.axesCalibrated
        x, y, z = (1.0, 1.0, 1.0) if voxel is None else voxel.axesCalibration
        return Scene(
            outer + inner,
            tuple(lengths[axis] for axis in outer + inner),
            np.dtype(file.dtype),
            len(outer),
            lambda place, rows, columns: self._read(index, place, inner),
            channel_names=self._channel_names(channels),
            pixel_size=(y, x) if calibrated[0] and calibrated[1] else None,
            slice_spacing=z if calibrated[2] else None,
            frame_interval=self._interval(),
        )

    def _read(self, position: int, place: tuple[int, ...], inner: str) -> np.ndarray:
        places = iter(place)
        at = [position if axis == "P" else next(places) for axis in self._loops]
        number = int(np.ravel_multi_index(at, tuple(self._loops.values()))) if at else 0
        self._check(number)
        with _zlib.within(self._frame_bytes()):
            return np.asarray(self._file.read_frame(number)).reshape([self._frame[axis] for axis in inner])

    def _frame_bytes(self) -> int:
        return math.prod(self._frame.values()) * self._file.dtype.itemsize

    def _channels(self) -> list[Any]:
        """The file's description of its channels; empty where nd2 fails at it, as the values can be read."""
        try:
            return list(self._file.metadata.channels or ())
        except MemoryError:
            raise
        except DAMAGE:
            return []

    def _channel_names(self, channels: list[Any]) -> tuple[str, ...]:
        names = tuple(str(one.channel.name or "") for one in channels)
        return names if len(names) == self._frame.get("C", 1) and all(names) else ()

    def _check(self, number: int) -> None:
        """Raise ImageError for a frame of unknown compression, or not in the file: nd2 gives zeros or noise."""
        offsets = getattr(self._file._rdr, "_frame_offsets", None)
        if offsets is None:
            self._check_old(number)
            return
        packed, n_bytes = self._file.attributes.compressionType, 0
        if packed not in (None, "none", "lossless"):
            raise ImageError(f"{self._path} is packed with {packed} compression, which is not read. Save it without.")
        if packed is None:
            n_bytes = self._frame_bytes()
        if number not in offsets or offsets[number] + n_bytes > self._size:
            raise ImageError(
                f"{self._path} cannot be read: plane {number} is not in the file. The recording was stopped, or the "
                "file cut short: copy it again, or choose other planes."
            )

    def _check_old(self, number: int) -> None:
        """Raise ImageError for a frame of an old file that is a picture of other pixels by its own header."""
        n, reader = self._file.attributes.channelCount or 1, cast(Any, self._file._rdr)
        for k in range(number * n, (number + 1) * n):
            size = size_of(reader._load_chunk(b"LUNK", k), _JPEG_2000)
            if size != (self._frame["Y"], self._frame["X"]):
                raise ImageError(
                    f"{self._path} cannot be read: plane {number} is a picture of {size[1]} x {size[0]} pixels, and "
                    f"the file announces {self._frame['X']} x {self._frame['Y']}. The file is damaged: copy it again."
                )

    def _interval(self) -> float | None:
        """Seconds from time point to time point."""
        for loop in self._file.experiment:
            if loop.type in ("TimeLoop", "NETimeLoop"):
                periods: list[Any] = getattr(loop.parameters, "periods", None) or [loop.parameters]
                # Time points at changing distances have no interval.
                steps = {period.periodMs for period in periods}
                measured = periods[0].periodDiff.avg if len(periods) == 1 and periods[0].periodDiff else None
                step = measured or (steps.pop() if len(steps) == 1 else None)
                return step / 1e3 if step else None
        return None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@functools.cache
def _bound(reader: type) -> None:
    """Bound what nd2 unpacks, which has no limit, once its modules for a kind of file are loaded."""
    for name, module in list(sys.modules.items()):
        if name.startswith("nd2.") and vars(module).get("zlib") is zlib:
            vars(module)["zlib"] = _zlib


def open_file(path: Path) -> Nd2File:
    """Open an ND2 file."""
    return Nd2File(path)
