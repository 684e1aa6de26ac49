"""Zeiss CZI, by the package pylibCZIrw."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..errors import ImageError
from .scene_values import Scene, places_along

_OUTER = "TZC"
# Rotations, illuminations, phases, views, blocks: each is an image of its own.
_OTHERS = "RIHVB"
_DTYPES = {
    **{"Gray8": "u1", "Gray16": "u2", "Gray32Float": "f4"},
    **{"Bgr24": "u1", "Bgr48": "u2", "Bgr96Float": "f4"},
}
# A larger plane is read by parts of this side.
_LARGE, _SIDE = 1 << 25, 2048


class CziFile:
    """An open CZI file; its images are the scenes, and the views of each."""

    def __init__(self, path: Path) -> None:
        from pylibCZIrw import czi

        self._path = path
        self._file = czi.CziReader(str(path))
        self._about = ElementTree.fromstring(self._file.raw_metadata or "<none/>")
        box = self._file.total_bounding_box_no_pyramid
        self._sizes = {axis: stop - start for axis, (start, stop) in box.items()}
        others = {axis: n for axis, n in self._sizes.items() if axis in _OTHERS and n > 1}
        rectangles = self._file.scenes_bounding_rectangle_no_pyramid or {None: self._file.total_bounding_rectangle}
        scenes = {one.get("Index"): one for one in self._about.iterfind(".//Dimensions/S/Scenes/Scene")}
        self._places: list[tuple[int | None, Any, dict[str, int]]] = []
        self.names: list[str] = []
        self._blocks: set[tuple[int, ...]] | None = None
        for scene, rectangle in sorted(rectangles.items(), key=lambda item: item[0] or 0):
            name = _scene_name(scenes.get(str(scene)))
            for at in places_along(others):
                self._places.append((scene, rectangle, at))
                self.names.append("_".join([*name, *(f"{axis}{k}" for axis, k in at.items())]))

    def scene(self, index: int) -> Scene:
        """Describe a scene, or a view of it."""
        scene, rectangle, fixed = self._places[index]
        kinds = set(self._file.pixel_types.values())
        if unknown := sorted(kind for kind in kinds if kind not in _DTYPES):
            raise ImageError(
                f"{self._path} holds {', '.join(unknown)} values, which are not supported. Save it as TIFF."
            )
        rgb = {kind.startswith("Bgr") for kind in kinds} == {True}
        dtype = np.result_type(*(_DTYPES[kind] for kind in kinds))
        kind = max(kinds, key=lambda kind: np.dtype(_DTYPES[kind]).itemsize)
        outer = [axis for axis in _OUTER if self._sizes.get(axis, 1) > 1]
        height, width = rectangle.h, rectangle.w

        def read(place: tuple[int, ...], rows: slice | None, columns: slice | None) -> np.ndarray:
            at = {**dict.fromkeys(_OUTER, 0), **fixed, **dict(zip(outer, place, strict=True))}
            self._check(at, scene)
            y, x = rows or slice(0, height), columns or slice(0, width)
            roi = (rectangle.x + x.start, rectangle.y + y.start, x.stop - x.start, y.stop - y.start)
            values = self._file.read(roi=roi, plane=at, scene=scene, pixel_type=kind)
            return values[..., ::-1] if rgb else values[..., 0]

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

    def _check(self, at: dict[str, int], scene: int | None) -> None:
        """Raise ImageError for a plane that is not in the file: the package gives zeros, which would be counted."""
        axes = [axis for axis in (*_OUTER, *_OTHERS) if self._sizes.get(axis, 1) > 1]
        if self._blocks is None:
            found: set[tuple[int, ...]] = set()

            def note(_: int, block: Any) -> bool:
                place = block.coordinate.to_dict()
                found.add(tuple(place.get(axis, 0) for axis in ("S", *axes)))
                return True

            self._file.enumerate_subblocks_subset(note, only_layer0=True)
            self._blocks = found
        if (scene or 0, *(at.get(axis, 0) for axis in axes)) not in self._blocks:
            where = ", ".join(f"{axis} {at.get(axis, 0)}" for axis in axes)
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
