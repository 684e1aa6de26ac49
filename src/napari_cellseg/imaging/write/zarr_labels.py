"""Label images of any size as OME-Zarr, written block by block with a pyramid, completely or not at all."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..damage import DAMAGE
from ..errors import ImageError, OutputError
from ..read.ome_zarr.read import multiscale_of, open_node
from ..regions import Region
from .atomic import output_error
from .jsonable import jsonable
from .ome_metadata import OME_ZARR, Coordinates, label_attributes, labels_attributes, zarr_format

NAME = "cells"
PROVENANCE = "napari-cellseg"
CHUNK = 1024
# Chunks along each side of a shard, so that a large image is not a million files.
_IN_SHARD = 4
# The last level of a pyramid is the first one without a longer side.
SMALLEST_LEVEL = 1024


class ZarrLabels:
    """A ``labels`` group with one label image, as an OME-Zarr image has it next to its own levels.

    It is a valid group by itself, which napari-ome-zarr opens, and may be copied into its image as
    ``IMAGE.ome.zarr/labels``. Level 0 is written by regions; `finish` adds the pyramid and the metadata, without which
    it is not recognized as a label image.

    Parameters
    ----------
    path : Path
        Folder of the group; created if it is missing.
    shape : tuple of int
        (Y, X), or (..., Y, X) for the planes of a stack.
    version : str
        One of `OME_ZARR`.
    axes : str
        One of ``tzyx`` per dimension.

    Raises
    ------
    OutputError
        The system refused to write.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], version: str = OME_ZARR[0], axes: str = "yx") -> None:
        import zarr

        self.path, self.shape, self.version, self._axes = path, shape, version, axes
        with writing(path):
            self._group = zarr.open_group(path / NAME, mode="a", zarr_format=zarr_format(version))
            self._levels = [self._level(level, sides) for level, sides in enumerate(_shapes(shape))]

    def read(self, region: Region) -> np.ndarray:
        """Read ids of level 0, int32.

        Raises
        ------
        OutputError
            The files were damaged meanwhile.
        """
        try:
            return np.asarray(self._levels[0][region])
        except DAMAGE as error:
            raise OutputError(f"{self.path} is damaged ({error}). Delete this folder, and run again.") from error

    def write(self, region: Region, labels: np.ndarray, plane: tuple[int, ...] = ()) -> None:
        """Write ids of level 0; `plane` is the position in a stack.

        Raises
        ------
        OutputError
            The system refused to write.
        """
        with writing(self.path):
            self._levels[0][(*plane, *region)] = labels

    def finish(
        self,
        metadata: Mapping[str, Any],
        pixel_size: tuple[float, float] | None = None,
        name: str = NAME,
    ) -> None:
        """Write the pyramid, each level every second pixel of the one below, and the metadata.

        Parameters
        ----------
        metadata : mapping
            Provenance; `read_zarr_metadata` returns it.
        pixel_size : tuple of float, optional
            Height and width of a pixel in micrometres.
        name : str
            Name of the image in viewers.

        Raises
        ------
        OutputError
            The system refused to write.
        """
        unit = None if pixel_size is None else "micrometer"
        self.finish_plane()
        self.describe(metadata, Coordinates(pixel_size or (1.0, 1.0), (unit, unit)), name)

    def finish_plane(self, plane: tuple[int, ...] = ()) -> None:
        """Write the coarser levels of a plane."""
        with writing(self.path):
            for below, above in zip(self._levels, self._levels[1:], strict=False):
                height, width = above.shape[-2:]
                for y in range(0, height, CHUNK):
                    for x in range(0, width, CHUNK):
                        part = (slice(2 * y, 2 * (y + CHUNK)), slice(2 * x, 2 * (x + CHUNK)))
                        values = np.asarray(below[(*plane, *part)])[::2, ::2]
                        above[(*plane, slice(y, y + CHUNK), slice(x, x + CHUNK))] = values

    def describe(
        self, metadata: Mapping[str, Any], coordinates: Coordinates, name: str = NAME, source: str | None = None
    ) -> None:
        """Write the metadata, and enter the label image in its group beside others; see `label_attributes`."""
        import zarr

        with writing(self.path):
            about = label_attributes(self.version, name, self._axes, coordinates, len(self._levels), source)
            self._group.attrs.put({**about, PROVENANCE: jsonable(metadata)})
            outer = zarr.open_group(self.path, mode="a", zarr_format=zarr_format(self.version))
            names = label_names(outer)
            outer.attrs.update(labels_attributes(self.version, [*names, *([] if NAME in names else [NAME])]))

    def metadata(self) -> dict[str, Any]:
        """Return the provenance that was written before; empty without any."""
        found = self._group.attrs.get(PROVENANCE)
        return dict(found) if isinstance(found, Mapping) else {}

    def overview(self) -> np.ndarray:
        """Return the smallest level, after `finish`."""
        return np.asarray(self._levels[-1][...])

    def _level(self, level: int, shape: tuple[int, ...]) -> Any:
        """Open a level, or begin it."""
        found = self._group.get(str(level))
        if found is not None and found.shape == shape and found.dtype == np.int32:
            return found
        planes, sides = (1,) * (len(shape) - 2), shape[-2:]
        chunks = tuple(min(CHUNK, n) for n in sides)
        common: dict[str, Any] = {"shape": shape, "dtype": np.int32, "fill_value": 0, "overwrite": True}
        if self.version == "0.4":
            return self._group.create_array(
                str(level),
                chunks=(*planes, *chunks),
                # A codec that every reader of version 2 has.
                compressors={"id": "blosc", "cname": "zstd", "clevel": 3, "shuffle": 1, "blocksize": 0},
                chunk_key_encoding={"name": "v2", "separator": "/"},
                **common,
            )
        in_shard = [min(_IN_SHARD, math.ceil(n / chunk)) for n, chunk in zip(sides, chunks, strict=True)]
        shards = (*planes, *(n * chunk for n, chunk in zip(in_shard, chunks, strict=True)))
        return self._group.create_array(
            str(level),
            chunks=(*planes, *chunks),
            shards=shards if max(in_shard) > 1 else None,
            dimension_names=tuple(self._axes),
            **common,
        )


def _shapes(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the shapes of the levels of a pyramid."""
    yield shape
    while max(shape[-2:]) > SMALLEST_LEVEL:
        shape = (*shape[:-2], *(-(-n // 2) for n in shape[-2:]))
        yield shape


def label_names(group: Any, kind: str = "labels") -> list[str]:
    """Return the names of the label images, or of members of another kind, that a group of them lists."""
    attributes = dict(group.attrs)
    names = attributes.get("ome", attributes).get(kind)
    return [str(name) for name in names] if isinstance(names, list) else []


def read_zarr_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the provenance of a finished label image.

    Raises
    ------
    ImageError
        It was not written by `ZarrLabels`, or was never finished.
    """
    try:
        found = dict(open_node(Path(path) / NAME).attrs).get(PROVENANCE)
    except DAMAGE as error:
        raise ImageError(f"{path} is not an OME-Zarr folder of labels ({error}).") from error
    if not isinstance(found, Mapping):
        raise ImageError(f"{path} does not hold labels that napari-cellseg finished.")
    return dict(found)


def replace_folder(finished: Path, target: Path) -> None:
    """Replace a folder by a finished one.

    Raises
    ------
    OutputError
        The system refused; the old folder is unchanged.
    """
    old = target.parent / f".{target.name[:40]}.{secrets.token_hex(6)}.old"
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        there = target.exists()
        if there:
            os.replace(target, old)
        try:
            os.replace(finished, target)
        except OSError:
            if there:
                os.replace(old, target)
            raise
        with contextlib.suppress(OSError):
            shutil.rmtree(old)


@contextlib.contextmanager
def writing(path: Path) -> Any:
    """Convert an error of the system into an OutputError."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise output_error(path, error) from error


def read_pyramid(path: Path) -> list[Any]:
    """Open label images that `ZarrLabels` wrote: their levels, finest first, as dask arrays; nothing is read yet.

    Raises
    ------
    ImageError
        They are missing, incomplete or damaged.
    """
    import dask.array

    from ..read.ome_zarr.pieces import checked

    try:
        group, multiscale = multiscale_of(path / NAME)
        # A new name each time: napari caches pieces by name, and the files may have been written again.
        return [
            dask.array.from_zarr(checked(group[level["path"]], path), name=f"cells-{secrets.token_hex(8)}")
            for level in (multiscale or {})["datasets"]
        ]
    except DAMAGE as error:
        raise ImageError(f"{path} holds no label images that can be read ({error}). Run again.") from error
