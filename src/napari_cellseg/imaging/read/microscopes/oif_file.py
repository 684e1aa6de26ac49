"""Olympus OIF (a file with a folder of TIFFs) and OIB, by the package oiffile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ImageError
from ..packed.tiff_pieces import plane_of
from ..values.units import micrometres, seconds
from .compound_file import check_compound_file
from .scene import Scene

_LETTERS = {"L": "C"}


class OifFile:
    """An open OIF or OIB file: one image, with a TIFF per plane."""

    names = ("",)

    def __init__(self, path: Path) -> None:
        import oiffile

        check_compound_file(path)
        self._path = path
        self._file = oiffile.OifFile(path)

    def scene(self, index: int) -> Scene:
        """Describe the image."""
        if not self._file.series:
            raise ImageError(f"{self._path} holds no plane. Copy it again, with the folder of the same name.")
        planes = self._file.series[0]
        axes = "".join(_LETTERS.get(axis, axis) for axis in planes.dims)
        kept = [i for i, n in enumerate(planes.shape) if n > 1]
        files = dict(zip(planes.indices, planes, strict=True))
        first = self._plane(planes[0])

        def read(place: tuple[int, ...], rows: slice | None, columns: slice | None) -> np.ndarray:
            at = dict(zip(kept, place, strict=True))
            name = files.get(tuple(at.get(i, 0) for i in range(len(planes.shape))))
            if name is None:
                raise ImageError(f"{self._path}: the file of a plane is missing. Copy it again with its folder.")
            # The first was read to know its size.
            return first if name == planes[0] else self._plane(name)

        settings = self._file.mainfile
        return Scene(
            "".join(axes[i] for i in kept) + "YX",
            (*(planes.shape[i] for i in kept), *first.shape),
            first.dtype,
            len(kept),
            read,
            channel_names=_channel_names(settings, axes, planes.shape),
            pixel_size=_pixel_size(settings),
            slice_spacing=_step(settings, "Z", micrometres),
            frame_interval=_step(settings, "T", seconds),
        )

    def _plane(self, name: str) -> np.ndarray:
        with self._file.open_file(name) as file:
            return plane_of(file, self._path)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_file(path: Path) -> OifFile:
    """Open an OIF or OIB file."""
    return OifFile(path)


def _pixel_size(settings: Any) -> tuple[float, float] | None:
    reference = settings.get("Reference Image Parameter", {})
    y, x = reference.get("HeightConvertValue"), reference.get("WidthConvertValue")
    unit = micrometres(str(reference.get("WidthUnit", "um")))
    return None if y is None or x is None or unit is None else (float(y) * unit, float(x) * unit)


def _step(settings: Any, letter: str, factor_of: Any) -> float | None:
    """Distance from plane to plane along an axis."""
    for i in range(8):
        axis = settings.get(f"Axis {i} Parameters Common", {})
        n, factor = int(axis.get("MaxSize", 0)), factor_of(str(axis.get("UnitName", "")))
        if axis.get("AxisCode") == letter and n > 1 and factor is not None:
            return abs(float(axis["EndPosition"]) - float(axis["StartPosition"])) / (n - 1) * factor
    return None


def _channel_names(settings: Any, axes: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    n = shape[axes.index("C")] if "C" in axes else 0
    channels = [settings.get(f"GUI Channel {i} Parameters", {}) for i in range(1, n + 1)]
    names = tuple(str(one.get("DyeName") or one.get("CH Name") or "") for one in channels)
    return names if all(names) else ()
