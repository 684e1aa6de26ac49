"""Leica LIF, LOF and projects of many files (XLEF), by the package liffile."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from ...damage import UNREADABLE
from ...errors import ImageError
from ..values.units import micrometres, seconds
from . import xlef_files
from .scene import Scene, places_along

# Emission and excitation wavelengths: each is a channel.
_WAVES = "λΛ"
_PLANE = "YXS"
_DIM_IDS = {"X": "1", "Y": "2", "Z": "3", "T": "4"}


class LifFile:
    """An open file; its images are the series, and the tiles of those that are not stitched."""

    def __init__(self, path: Path) -> None:
        self._path, self._closing = path, ExitStack()
        # A series, or why it cannot be opened, and where along its other axes.
        self._places: list[tuple[Any, dict[str, int]]] = []
        self.names: list[str] = []
        for name, image in self._images():
            for at in places_along(_others(image)):
                self._places.append((image, at))
                self.names.append("_".join([name, *(f"{axis}{k}" for axis, k in at.items())]))
        # Most files have one folder, whose name adds nothing.
        folders = {name.rpartition("/")[0] for name in self.names}
        if len(folders) == 1:
            self.names = [name.rpartition("/")[2] for name in self.names]

    def scene(self, index: int) -> Scene:
        """Describe a series, or a tile of it."""
        image, fixed = self._places[index]
        if isinstance(image, Exception):
            raise image
        is_project = self._path.suffix.lower() == xlef_files.SUFFIX
        if is_project:
            # A project of many images would keep the files of all of them open.
            image = type(image.parent)(image.parent.filepath).images[image.path]
            xlef_files.bound(image, Path(image.parent.filepath), self._path.parent)
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

        if is_project:
            weakref.finalize(read, image.parent.close)
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
        self._closing.close()

    def _images(self) -> Iterator[tuple[str, Any]]:
        """Yield names and images; for one of a project that cannot be opened its error."""
        import liffile

        if self._path.suffix.lower() != xlef_files.SUFFIX:
            file = liffile.LifFile(self._path)
            self._closing.callback(file.close)
            yield from ((image.path, image) for image in file.images)
            return
        for folder, part in xlef_files.images_of(self._path):
            try:
                # Its file is closed once it is parsed.
                yield from [(folder + image.path, image) for image in liffile.LifFile(part).images]
            except UNREADABLE as error:
                yield folder + part.stem, error


def open_file(path: Path) -> LifFile:
    """Open a LIF, LOF or XLEF file."""
    return LifFile(path)


def _others(image: Any) -> dict[str, int]:
    """Axes that make images of their own: tiles, rotations, loops."""
    if isinstance(image, Exception) or image.is_flim:
        return {}
    try:
        return {axis: n for axis, n in image.sizes.items() if axis in "MALNQ"}
    except ValueError:
        # It is refused when it is read.
        return {}


def _frame(image: Any, at: dict[str, int], inner: list[str]) -> np.ndarray:
    """Return one plane, of the axes `inner`."""
    if "S" in inner or image.memory_block.frames:
        # liffile brings blue, green, red into the usual order.
        stored, values = list(image.frames.frame_sizes), image.frame(**at)
        if set(stored) != set(inner):
            raise ImageError(f"{image.name} is stored in pieces of {', '.join(stored)}, not planes. Export it.")
    else:
        stored = [axis for axis in image.dims if axis not in at]
        values = image.asarray(out="memmap")[tuple(at.get(axis, slice(None)) for axis in image.dims)]
    return np.asarray(np.transpose(values, [stored.index(axis) for axis in inner]))


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
