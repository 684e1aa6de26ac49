"""Leica LIF and LOF, by the package liffile."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ImageError
from ..values.units import micrometres, seconds
from .scene import Scene, places_along

# Emission and excitation wavelengths: each is a channel.
_WAVES = "λΛ"
_PLANE = "YXS"
_DIM_IDS = {"X": "1", "Y": "2", "Z": "3", "T": "4"}


class LifFile:
    """An open LIF file; its images are the series, and the tiles of those that are not stitched."""

    def __init__(self, path: Path) -> None:
        import liffile

        self._path = path
        self._file = liffile.LifFile(path)
        # The place of a series, and where along its other axes.
        self._places: list[tuple[int, dict[str, int]]] = []
        self.names: list[str] = []
        for i, image in enumerate(self._file.images):
            for at in places_along(_others(image)):
                self._places.append((i, at))
                self.names.append("_".join([image.path, *(f"{axis}{k}" for axis, k in at.items())]))
        # Most files have one folder, which says nothing.
        folders = {name.rpartition("/")[0] for name in self.names}
        if len(folders) == 1:
            self.names = [name.rpartition("/")[2] for name in self.names]

    def scene(self, index: int) -> Scene:
        """Describe a series, or a tile of it."""
        place, fixed = self._places[index]
        image = self._file.images[place]
        if image.is_flim:
            raise ImageError(
                f"{self._path}: {image.name} holds photon counts of a FLIM recording, which are not read. Export its "
                "intensities in LAS X."
            )
        dims = [axis for axis in image.dims if axis not in fixed]
        waves = [axis for axis in dims if axis in _WAVES or axis == "C"]
        outer = [axis for axis in dims if axis not in _PLANE and axis not in waves]
        inner = [axis for axis in _PLANE if axis in dims]
        sizes, n_waves = image.sizes, math.prod(image.sizes[axis] for axis in waves)

        def read(at: tuple[int, ...], rows: slice | None, columns: slice | None) -> np.ndarray:
            channel = np.unravel_index(at[-1], [sizes[axis] for axis in waves]) if waves else ()
            chosen = {**fixed, **dict(zip(outer, at, strict=False)), **dict(zip(waves, map(int, channel), strict=True))}
            return _frame(image, chosen, inner)

        steps = _steps(image)
        pixel = (steps["Y"], steps["X"]) if {"Y", "X"} <= set(steps) else None
        channels = [n_waves] if waves else []
        return Scene(
            "".join([*outer, *("C" if waves else ""), *inner]),
            tuple([*(sizes[axis] for axis in outer), *channels, *(sizes[axis] for axis in inner)]),
            np.dtype(image.dtype),
            len(outer) + len(channels),
            read,
            channel_names=_channel_names(image) if waves == ["C"] else (),
            pixel_size=pixel,
            slice_spacing=steps.get("Z"),
            frame_interval=steps.get("T"),
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_file(path: Path) -> LifFile:
    """Open a LIF or LOF file."""
    return LifFile(path)


def _others(image: Any) -> dict[str, int]:
    """Axes that make images of their own: tiles, rotations, loops."""
    try:
        return {} if image.is_flim else {axis: n for axis, n in image.sizes.items() if axis in "MALNQ"}
    except ValueError:
        # It is refused when it is read.
        return {}


def _frame(image: Any, at: dict[str, int], inner: list[str]) -> np.ndarray:
    """Return one plane, of the axes `inner`."""
    if "S" in inner:
        # liffile brings blue, green, red into the usual order.
        stored, values = list(image.frames.frame_sizes), image.frame(**at)
    else:
        stored = [axis for axis in image.dims if axis not in at]
        values = image.asarray(out="memmap")[tuple(at.get(axis, slice(None)) for axis in image.dims)]
    return np.array(np.transpose(values, [stored.index(axis) for axis in inner]), order="C")


def _steps(image: Any) -> dict[str, float]:
    """Micrometres from pixel to pixel and slice to slice, and seconds from time point to time point."""
    found = {}
    for one in image.xml_element.findall("./Data/Image/ImageDescription/Dimensions/DimensionDescription"):
        axis = next((axis for axis, number in _DIM_IDS.items() if number == one.get("DimID")), "")
        n, length, unit = int(one.get("NumberOfElements", 0)), float(one.get("Length", 0)), one.get("Unit", "")
        factor = seconds(unit) if axis == "T" else micrometres(unit) if axis else None
        if n > 1 and factor is not None:
            found[axis] = abs(length) / (n - 1) * factor
    return found


def _channel_names(image: Any) -> tuple[str, ...]:
    """Dyes of the channels where LAS X wrote them, else the names of their colours."""
    names = []
    for one in image.xml_element.findall("./Data/Image/ImageDescription/Channels/ChannelDescription"):
        known = {p.findtext("Key"): p.findtext("Value") for p in one.findall("ChannelProperty")}
        names.append(str(known.get("DyeName") or one.get("LUTName") or ""))
    n = image.sizes["C"]
    return tuple(names) if len(names) == n and all(names) else ()
