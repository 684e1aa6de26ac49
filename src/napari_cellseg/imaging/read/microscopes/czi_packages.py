"""The two packages that read CZI, behind one interface: pylibCZIrw, and czifile for machines without pylibCZIrw."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...errors import ImageError
from .czi_directory import Box

OUTER = "TZC"
# Rotations, illuminations, phases, views, blocks: each is an image of its own.
OTHERS = "RIHVB"
_DTYPES = {
    **{"Gray8": "u1", "Gray16": "u2", "Gray32Float": "f4"},
    **{"Bgr24": "u1", "Bgr48": "u2", "Bgr96Float": "f4"},
}


class CziPackage(Protocol):
    """An open CZI file.

    Attributes
    ----------
    xml : str
        Its metadata.
    sizes : dict of str to int
        Lengths along `OUTER` and `OTHERS`.
    boxes : dict of int to Box
        Where each scene lies; a file without scenes has one, 0.
    """

    xml: str
    sizes: dict[str, int]
    boxes: dict[int, Box]

    def pixels(self) -> tuple[np.dtype[Any], bool]:
        """Return the type of the values, and whether they are red, green, blue."""

    def read(self, scene: int, at: dict[str, int], box: Box) -> np.ndarray:
        """Read a part of a plane, (Y, X) or (Y, X, 3).

        Raises
        ------
        ValueError, ...
            It is damaged; see `damage.DAMAGE`.
        """

    def close(self) -> None:
        """Close the file."""


def open_package(path: Path) -> CziPackage:
    """Open a file by the package that is installed."""
    return _ByLibCzi(path) if find_spec("pylibCZIrw") is not None else _ByCzifile(path)


class _ByLibCzi:
    """By pylibCZIrw, which gives zeros for planes that are not in the file."""

    def __init__(self, path: Path) -> None:
        from pylibCZIrw import czi

        self._path = path
        self._file = czi.CziReader(str(path))
        self.xml = self._file.raw_metadata
        box = self._file.total_bounding_box_no_pyramid
        self.sizes = {axis: stop - start for axis, (start, stop) in box.items() if axis in OUTER + OTHERS}
        rectangles = self._file.scenes_bounding_rectangle_no_pyramid
        self._has_scenes = bool(rectangles)
        rectangles = rectangles or {0: self._file.total_bounding_rectangle_no_pyramid}
        self.boxes = {scene: (one.x, one.y, one.w, one.h) for scene, one in rectangles.items()}

    @functools.cached_property
    def _kinds(self) -> tuple[str, ...]:
        kinds = tuple(set(self._file.pixel_types.values()))
        if not set(kinds) <= set(_DTYPES) or len({kind.startswith("Bgr") for kind in kinds}) != 1:
            raise ImageError(
                f"{self._path} holds {' and '.join(sorted(kinds))} values, which are not supported. Save it as TIFF."
            )
        return kinds

    def pixels(self) -> tuple[np.dtype[Any], bool]:
        """Return the type of the values, and whether they are red, green, blue."""
        return np.result_type(*(_DTYPES[kind] for kind in self._kinds)), self._kinds[0].startswith("Bgr")

    def read(self, scene: int, at: dict[str, int], box: Box) -> np.ndarray:
        """Read a part of a plane."""
        dtype, rgb = self.pixels()
        kind = max(self._kinds, key=lambda kind: np.dtype(_DTYPES[kind]).itemsize)
        plane = {**dict.fromkeys(OUTER, 0), **at}
        found = self._file.read(roi=box, plane=plane, scene=scene if self._has_scenes else None, pixel_type=kind)
        return np.asarray(found[..., ::-1] if rgb else found[..., 0], dtype)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _ByCzifile:
    """By czifile, which exists for Python 3.12 and later."""

    def __init__(self, path: Path) -> None:
        import czifile

        self._path = path
        self._file = czifile.CziFile(path)
        self.xml = self._file.metadata()
        self.sizes: dict[str, int] = {}
        self.boxes: dict[int, Box] = {}
        for scene, image in self._file.scenes.items():
            self.boxes[scene] = image.bbox
            for axis, n in image.sizes.items():
                if axis in OUTER + OTHERS:
                    self.sizes[axis] = max(n, self.sizes.get(axis, 1))

    def pixels(self) -> tuple[np.dtype[Any], bool]:
        """Return the type of the values, and whether they are red, green, blue."""
        images = list(self._file.scenes.values())
        return np.result_type(*(image.dtype for image in images)), all("S" in image.dims for image in images)

    def read(self, scene: int, at: dict[str, int], box: Box) -> np.ndarray:
        """Read a part of a plane."""
        image = self._file.scenes[scene]
        starts = dict(zip(image.dims, image.start, strict=True))
        chosen = {axis: starts[axis] + at.get(axis, 0) for axis in OUTER + OTHERS if axis in image.dims}
        return np.asarray(image(**chosen)(roi=box).asarray())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
