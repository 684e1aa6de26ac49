"""Label images as TIFF files with their provenance: single planes, and stacks of them."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ..damage import DAMAGE, unreadable
from ..errors import ImageError, OutputError
from ..image import Image
from ..read.read import read_image
from ..read.values.json_types import parse_json
from ..stack_planes import plane_image, planes_of, stack_axes, stack_shape
from .atomic import atomic_path
from .jsonable import jsonable
from .zarr_labels import read_zarr_metadata

# TIFF readers interpret a description that starts with a brace; this word in front prevents it.
_SIGNATURE = "napari-cellseg "
STACK_AXES = ("TYX", "ZYX", "TZYX")
_MICROMETRES_PER_CM = 1e4
_GREATEST = np.iinfo(np.uint32).max


def write_labels(
    path: str | os.PathLike[str],
    labels: np.ndarray,
    *,
    metadata: Mapping[str, Any] | None = None,
    pixel_size: tuple[float, float] | None = None,
    axes: str | None = None,
    slice_spacing: float | None = None,
    frame_interval: float | None = None,
) -> None:
    """Write a label image as a zlib-compressed TIFF that ImageJ, Bio-Formats, QuPath and napari open.

    Parameters
    ----------
    path : path-like
        The file to write; an older one is replaced only when the new one is complete.
    labels : ndarray
        (Y, X), integer or bool, no negative values; 0 is background. Written as uint16, or as uint32 if an id is
        above 65,535. A stack on the disk (memmap) is read plane by plane.
    metadata : mapping, optional
        Provenance, stored as JSON in the image description; `read_metadata` returns it.
    pixel_size : tuple of float, optional
        Micrometres per pixel along (Y, X), stored as the resolution.
    axes : {'YX', 'TYX', 'ZYX', 'TZYX'}, optional
        Meaning of the dimensions. A stack of time points or slices is one file that ImageJ opens as a hyperstack.
    slice_spacing : float, optional
        Micrometres from slice to slice; stored for a stack of slices of known pixel size.
    frame_interval : float, optional
        Seconds from time point to time point; stored for a stack of time points.

    Raises
    ------
    OutputError
        `labels` is not a label image, or the system refused to write.
    """
    labels = labels if isinstance(labels, np.ndarray) else np.asarray(labels)
    axes = "YX" if axes is None else axes
    fits = axes in ("YX", *STACK_AXES) and labels.ndim == len(axes)
    if not fits or labels.dtype.kind not in "bui" or labels.size == 0:
        raise OutputError(
            f"{path}: a label image is (Y, X) and holds whole numbers, but this one is {labels.shape} "
            f"and holds {labels.dtype}. Give a 2-D label image, or a stack together with its axes, such as axes='ZYX'."
        )
    least = min(int(plane.min()) for plane in _planes(labels))
    greatest = max(int(plane.max()) for plane in _planes(labels))
    if least < 0 or greatest > _GREATEST:
        raise OutputError(
            f"{path}: label ids run from {least} to {greatest}, but a label file holds 0 to {_GREATEST:,}. "
            "Relabel the cells."
        )
    dtype = np.dtype(np.uint16 if greatest <= np.iinfo(np.uint16).max else np.uint32)
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            (plane.astype(dtype, copy=False) for plane in _planes(labels)),
            shape=labels.shape,
            dtype=dtype,
            photometric="minisblack",
            compression="zlib",
            description=tiff_description(
                labels.shape, axes, metadata or {}, pixel_size is not None, slice_spacing, frame_interval
            ),
            metadata=None,
            software="napari-cellseg",
            **tiff_scale(axes, pixel_size),
        )


def read_labels(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a label image: (Y, X), uint16 while the ids fit, else int32.

    The file may have any format of `read_image`, and may hold whole numbers as floats (as ImageJ does above 65,535).

    Raises
    ------
    ImageError
        The file is unreadable, a stack or a colour image, or holds values that are not whole numbers from 0 to
        2,147,483,647.
    """
    return _whole_numbers(read_image(path), path)


def read_label_stack(path: str | os.PathLike[str]) -> tuple[np.ndarray, str]:
    """Read a label image of any number of planes.

    Returns
    -------
    labels : ndarray
        uint16 while the ids fit, else int32.
    axes : {'YX', 'TYX', 'ZYX', 'TZYX'}
        Meaning of its dimensions.

    Raises
    ------
    ImageError
        As in `read_labels`, except that stacks are read.
    """
    image = read_image(path)
    planes = planes_of(image)
    if len(planes) == 1:
        return _whole_numbers(plane_image(image, planes[0]), path), "YX"
    stack = np.zeros(stack_shape(image), np.uint16)
    for place in planes:
        plane = _whole_numbers(plane_image(image, place), path)
        if plane.dtype != np.uint16 and stack.dtype == np.uint16:
            stack = stack.astype(np.int32)
        stack[place.position] = plane
    return stack, stack_axes(image)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `write_labels` was given as metadata; empty for a TIFF that it did not write.

    Of a folder, what `ZarrLabels.finish` was given.

    Raises
    ------
    ImageError
        Not a readable TIFF, or a folder of other things.
    """
    if Path(path).is_dir():
        return read_zarr_metadata(path)
    try:
        with tifffile.TiffFile(path) as tiff:
            description = tiff.pages.first.description
    except DAMAGE as error:
        raise unreadable(path, error) from error
    signed = next((line for line in description.split("\n") if line.startswith(_SIGNATURE)), "")
    try:
        metadata = parse_json(signed.removeprefix(_SIGNATURE))
    except ValueError:
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _planes(labels: np.ndarray) -> Iterator[np.ndarray]:
    for place in itertools.product(*(range(length) for length in labels.shape[:-2])):
        yield labels[place]


def tiff_description(
    shape: tuple[int, ...],
    axes: str,
    metadata: Mapping[str, Any],
    scaled: bool,
    slice_spacing: float | None = None,
    frame_interval: float | None = None,
) -> str:
    """Return the image description that carries the provenance; `scaled`: the pixel size is known."""
    signed = f"{_SIGNATURE}{json.dumps(jsonable(metadata))}"
    if axes == "YX":
        return signed
    lengths = dict(zip(axes, shape, strict=True))
    lines = [
        "ImageJ=1.11a",
        f"images={math.prod(shape[:-2])}",
        f"slices={lengths.get('Z', 1)}",
        f"frames={lengths.get('T', 1)}",
        "hyperstack=true",
        "mode=grayscale",
        *(["unit=micron"] if scaled else []),
        *([f"spacing={slice_spacing!r}"] if scaled and "Z" in axes and slice_spacing else []),
        *([f"finterval={frame_interval!r}"] if "T" in axes and frame_interval else []),
        signed,
    ]
    return "\n".join(lines) + "\n"


def tiff_scale(axes: str, pixel_size: tuple[float, float] | None) -> dict[str, Any]:
    """Return the options of `tifffile.imwrite` that store the pixel size."""
    if pixel_size is None:
        return {}
    # The description of a hyperstack names the unit itself.
    unit, code = (_MICROMETRES_PER_CM, "CENTIMETER") if axes == "YX" else (1.0, "NONE")
    return {"resolution": tuple(unit / size for size in reversed(pixel_size)), "resolutionunit": code}


def _whole_numbers(image: Image, path: str | os.PathLike[str]) -> np.ndarray:
    plane = image.plane()
    if plane.ndim != 2:
        raise ImageError(f"{path} is a colour image, but a label image holds one number per pixel. Give another.")
    whole = plane.dtype.kind in "ui" or bool(np.all(np.isfinite(plane)) and np.all(plane == np.rint(plane)))
    greatest = float(plane.max()) if whole else math.nan
    if not whole or plane.min() < 0 or greatest > np.iinfo(np.int32).max:
        raise ImageError(
            f"{path} is not a label image: labels are whole numbers from 0 to 2,147,483,647, and it holds others. "
            "Give a file of labels."
        )
    return plane.astype(np.uint16 if greatest <= np.iinfo(np.uint16).max else np.int32, copy=False)
