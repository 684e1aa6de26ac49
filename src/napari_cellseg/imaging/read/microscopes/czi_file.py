"""Zeiss CZI, by either of two packages (see `czi_packages`)."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ...errors import ImageError
from .czi_directory import Box, CziDirectory
from .czi_packages import OTHERS, OUTER, open_package
from .scene import Scene, places_along

# A larger plane is read by parts of this side.
_LARGE, _SIDE = 1 << 25, 2048


class CziFile:
    """An open CZI file; its images are the scenes, and the views of each."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, open_package(path)
        self._about = ElementTree.fromstring(self._file.xml or "<none/>")
        self._sizes = self._file.sizes
        others = {axis: n for axis, n in self._sizes.items() if axis in OTHERS and n > 1}
        scenes = {one.get("Index"): one for one in self._about.iterfind(".//Dimensions/S/Scenes/Scene")}
        self._places: list[tuple[int, dict[str, int]]] = []
        self.names: list[str] = []
        for scene in sorted(self._file.boxes):
            name = _scene_name(scenes.get(str(scene)))
            for at in places_along(others):
                self._places.append((scene, at))
                self.names.append("_".join([*name, *(f"{axis}{k}" for axis, k in at.items())]))

    def scene(self, index: int) -> Scene:
        """Describe a scene, or a view of it."""
        scene, fixed = self._places[index]
        dtype, rgb = self._file.pixels()
        outer = [axis for axis in OUTER if self._sizes.get(axis, 1) > 1]
        left, top, width, height = self._file.boxes[scene]

        def read(place: tuple[int, ...], rows: slice | None, columns: slice | None) -> np.ndarray:
            y, x = rows or slice(0, height), columns or slice(0, width)
            box = (left + x.start, top + y.start, x.stop - x.start, y.stop - y.start)
            at = {**fixed, **dict(zip(outer, place, strict=True))}
            self._check(scene, at, box)
            return self._file.read(scene, at, box)

        return Scene(
            "".join(outer) + ("YXS" if rgb else "YX"),
            (*(self._sizes[axis] for axis in outer), height, width, *([3] if rgb else [])),
            dtype,
            len(outer),
            read,
            piece=(min(_SIDE, height), min(_SIDE, width)) if height * width > _LARGE else None,
            channel_names=self._channel_names() if "C" in outer else (),
            pixel_size=self._pixel_size(),
            slice_spacing=self._step("Z"),
            frame_interval=self._interval(),
        )

    @functools.cached_property
    def _directory(self) -> CziDirectory:
        return CziDirectory(self._path)

    def _check(self, scene: int, at: dict[str, int], box: Box) -> None:
        """Raise ImageError for a plane that is not in the file, and for pieces that hold more than they should."""
        if not self._directory.check(scene, at, box):
            where = ", ".join(f"{axis} {k}" for axis, k in at.items())
            raise ImageError(f"{self._path} has no plane {where or 'here'}. The recording was stopped: choose others.")

    def _step(self, axis: str) -> float | None:
        metres = self._about.findtext(f".//Scaling/Items/Distance[@Id='{axis}']/Value")
        return float(metres) * 1e6 if metres else None

    def _pixel_size(self) -> tuple[float, float] | None:
        y, x = self._step("Y"), self._step("X")
        return None if y is None or x is None else (y, x)

    def _interval(self) -> float | None:
        step = self._about.findtext(".//Dimensions/T/Positions/Interval/Increment")
        return float(step) if step else None

    def _channel_names(self) -> tuple[str, ...]:
        names = [one.get("Name") or "" for one in self._about.iterfind(".//Image/Dimensions/Channels/Channel")]
        return tuple(names) if len(names) == self._sizes["C"] and all(names) else ()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_file(path: Path) -> CziFile:
    """Open a CZI file."""
    return CziFile(path)


def _scene_name(about: Any) -> list[str]:
    """Return well and name of a scene, as far as the file has them."""
    if about is None:
        return []
    shape = about.find("Shape")
    well = "" if shape is None else shape.get("Name") or ""
    name = about.get("Name") or ""
    return [part for part in dict.fromkeys((well, name)) if part]
