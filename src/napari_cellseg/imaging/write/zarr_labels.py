"""Label images of any size as OME-Zarr (NGFF 0.4), written block by block with a pyramid, completely or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..damage import DAMAGE
from ..errors import ImageError, OutputError
from ..regions import Region
from .atomic import output_error
from .jsonable import jsonable

NAME = "cells"
PROVENANCE = "napari-cellseg"
CHUNK = 1024
# The last level of a pyramid is the first one without a longer side.
SMALLEST_LEVEL = 1024
_VERSION = "0.4"


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
        (Y, X).

    Raises
    ------
    OutputError
        The system refused to write.
    """

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        import zarr

        self.path, self.shape = path, shape
        with writing(path):
            self._group = zarr.open_group(path / NAME, mode="a", zarr_format=2)
            self._level = self._group["0"] if "0" in self._group else self._new_level(0, shape)

    def read(self, region: Region) -> np.ndarray:
        """Read ids of level 0, int32.

        Raises
        ------
        OutputError
            The files were damaged meanwhile.
        """
        try:
            return np.asarray(self._level[region])
        except DAMAGE as error:
            raise OutputError(f"{self.path} is damaged ({error}). Delete this folder, and run again.") from error

    def write(self, region: Region, labels: np.ndarray) -> None:
        """Write ids of level 0.

        Raises
        ------
        OutputError
            The system refused to write.
        """
        with writing(self.path):
            self._level[region] = labels

    def finish(
        self, metadata: Mapping[str, Any], pixel_size: tuple[float, float] | None = None, name: str = NAME
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
        with writing(self.path):
            n_levels = 1
            below = self._level
            while max(below.shape) > SMALLEST_LEVEL:
                below = self._halved(below, n_levels)
                n_levels += 1
            scale = pixel_size or (1.0, 1.0)
            unit = {} if pixel_size is None else {"unit": "micrometer"}
            datasets = [
                {
                    "path": str(level),
                    "coordinateTransformations": [
                        {"type": "scale", "scale": [float(size) * 2**level for size in scale]}
                    ],
                }
                for level in range(n_levels)
            ]
            multiscale = {
                "version": _VERSION,
                "name": name,
                "axes": [{"name": axis, "type": "space", **unit} for axis in "yx"],
                "datasets": datasets,
                "type": "nearest",
                "metadata": {"method": "every second pixel"},
            }
            self._group.attrs.put(
                {
                    "multiscales": [multiscale],
                    "image-label": {"version": _VERSION},
                    PROVENANCE: jsonable(metadata),
                }
            )
            self._describe()

    def overview(self) -> np.ndarray:
        """Return the smallest level, after `finish`."""
        last = self._group.attrs["multiscales"][0]["datasets"][-1]["path"]
        return np.asarray(self._group[last][...])

    def _describe(self) -> None:
        import zarr

        zarr.open_group(self.path, mode="a", zarr_format=2).attrs.put({"labels": [NAME]})

    def _new_level(self, level: int, shape: tuple[int, ...]) -> Any:
        return self._group.create_array(
            str(level),
            shape=shape,
            chunks=tuple(min(CHUNK, n) for n in shape),
            dtype=np.int32,
            # A codec that every reader of version 2 has.
            compressors={"id": "blosc", "cname": "zstd", "clevel": 3, "shuffle": 1, "blocksize": 0},
            chunk_key_encoding={"name": "v2", "separator": "/"},
            fill_value=0,
            overwrite=True,
        )

    def _halved(self, below: Any, level: int) -> Any:
        shape = tuple(-(-n // 2) for n in below.shape)
        above = self._new_level(level, shape)
        for y in range(0, shape[0], CHUNK):
            for x in range(0, shape[1], CHUNK):
                part = below[2 * y : 2 * (y + CHUNK), 2 * x : 2 * (x + CHUNK)]
                above[y : y + CHUNK, x : x + CHUNK] = np.asarray(part)[::2, ::2]
        return above


def read_zarr_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the provenance of a finished label image.

    Raises
    ------
    ImageError
        It was not written by `ZarrLabels`, or was never finished.
    """
    import zarr

    try:
        found = dict(zarr.open_group(Path(path) / NAME, mode="r", zarr_format=2).attrs).get(PROVENANCE)
    except (OSError, ValueError, KeyError) as error:
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
    import zarr

    try:
        group = zarr.open_group(path / NAME, mode="r")
        datasets: Any = group.attrs["multiscales"]
        # A new name each time: napari caches pieces by name, and the files may have been written again.
        return [
            dask.array.from_zarr(group[level["path"]], name=f"cells-{secrets.token_hex(8)}")
            for level in datasets[0]["datasets"]
        ]
    except DAMAGE as error:
        raise ImageError(f"{path} holds no label images that can be read ({error}). Run again.") from error
