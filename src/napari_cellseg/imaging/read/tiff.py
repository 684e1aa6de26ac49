"""Read TIFF in its dialects: OME, ImageJ, microscopes and slide scanners; big files lazily."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ..axes import AXES
from ..errors import AxesError, ImageError
from ..from_array import as_image
from ..image import Image
from .ome_files import companion_xml
from .tiff_checks import check_pictures, check_plausible, check_whole
from .tiff_metadata import channel_names, frame_interval, pixel_size, slice_spacing
from .tiff_samples import bytes_per_value, check_kind, is_colour, without_alpha, without_display

_SLIDES = ("svs", "ndpi", "scn", "bif", "philips", "qpi", "avs", "indica")
_BESIDE_A_SLIDE = r"(label|macro|thumbnail|overview)( mask)?( image)?"  # as OME-TIFFs name them
_THUMBNAIL = 1 / 16  # of the pixels of the image


def read_tiff(path: Path, axes: str | None, lazy_bytes: int) -> Image:
    """Read the first image of a TIFF file.

    Parameters
    ----------
    path : Path
        The file.
    axes : str, optional
        Meaning of its dimensions, if the file does not define it or is wrong.
    lazy_bytes : int
        From this decoded size on the values stay in the file until they are requested.

    Returns
    -------
    Image
        Values as they are stored, in the order of the file: an orientation tag is not applied. How they are displayed
        is not part of them: palettes of one hue are ignored, and 0 is black.

    Raises
    ------
    ImageError, AxesError
        The file is cut short, its colours or compression are not supported, it holds several images (not only levels
        and thumbnails of the first one), or it does not name its axes.
    ValueError, OSError, ...
        Anything else of `damage.DAMAGE`: the caller makes an ImageError of it.
    """
    with _opened(path) as tiff:
        series = _only_series(tiff, path)
        page = series.keyframe
        check_kind(page, path)
        check_whole(tiff, series, path)
        lazy = series.nbytes >= lazy_bytes
        n_bytes = 0 if lazy else series.nbytes * bytes_per_value(series)
        check_plausible(tiff, series, path, lazy_bytes, n_bytes)
        check_pictures(page, path)
        data = _lazy_values(series, path) if lazy else series.asarray()
        data, file_axes = without_display(data, series)
        colour = is_colour(series)
        if axes is None:
            data, axes, colour = _arrange(data, file_axes, colour, page, path.name)
        else:
            given = axes.strip().upper()
            axes = given.replace("S", "C")
            # Also if the file calls its colours grey.
            colour = (colour or given.endswith("S")) and axes.endswith("C") and data.shape[-1] in (3, 4)
        n_channels = data.shape[axes.index("C")] if "C" in axes[: data.ndim] and not colour else 1
        return as_image(
            data,
            axes,
            pixel_size=pixel_size(tiff, page),
            rgb=colour,
            name=path.name,
            channel_names=channel_names(tiff, n_channels) if n_channels > 1 else (),
            source=str(path),
            slice_spacing=slice_spacing(tiff),
            frame_interval=frame_interval(tiff),
        )


def _opened(path: Path) -> tifffile.TiffFile:
    """Open a file, with the OME-XML of its companion file if it refers to one."""
    tiff = tifffile.TiffFile(path)
    if not tiff.is_ome:
        return tiff
    try:
        xml = companion_xml(path, tiff.pages.first.description)
    except ImageError:
        tiff.close()
        raise
    if xml is None:
        return tiff
    tiff.close()
    return tifffile.TiffFile(path, omexml=xml)


def _only_series(tiff: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    if not tiff.series:
        raise ImageError(f"{path} holds no image. Give another file.")
    here = [series for series in tiff.series if len(tiff.series) == 1 or _lies_in(series, tiff)]
    first, *others = here or tiff.series
    # Any other image might be the one to count.
    rivals = [series for series in others if not _is_beside(series, first)]
    if rivals:
        sizes = ", ".join(dict.fromkeys(_size_in_words(series) for series in (first, *rivals)))
        raise ImageError(
            f"{path} holds {1 + len(rivals)} separate images ({sizes} pixels), and one file is one image here. "
            "Save the ones that you want as files of their own."
        )
    return first


def _lies_in(series: tifffile.TiffPageSeries, tiff: tifffile.TiffFile) -> bool:
    """Whether a file holds any plane of an image; OME-XML describes images in other files too."""
    path = tiff.filehandle.path
    return any(page is not None and page.parent.filehandle.path == path for page in series.pages)


def _is_beside(series: tifffile.TiffPageSeries, first: tifffile.TiffPageSeries) -> bool:
    """Whether an image is a smaller copy of the first one, or a label or map of a slide."""
    if _n_pixels(series) >= _n_pixels(first):
        return _n_pixels(first) == 0
    page = series.keyframe
    return (
        page.is_reduced
        or page.is_subifd
        or first.kind in _SLIDES
        or _is_level(series, first)
        or re.fullmatch(_BESIDE_A_SLIDE, series.name.strip(), re.IGNORECASE) is not None
        # Slides of other makers name nothing, but only their labels and maps are not tiled.
        or (first.kind != "ome" and first.keyframe.is_tiled and not page.is_tiled)
        or _n_pixels(series) < _THUMBNAIL * _n_pixels(first)
    )


def _is_level(series: tifffile.TiffPageSeries, first: tifffile.TiffPageSeries) -> bool:
    """Whether an image is what the first one becomes where its sides are halved, once or more."""
    if (series.axes, series.dtype) != (first.axes, first.dtype):
        return False
    sides = list(zip(_sides(series), _sides(first), strict=True))
    others = [pair for axis, *pair in zip(first.axes, series.shape, first.shape, strict=True) if axis not in "YX"]
    return all(length == whole for length, whole in others) and any(
        # Programs round up or down.
        all(abs(side - whole / 2**halved) <= 1 for side, whole in sides)
        for halved in range(1, max(_sides(first)).bit_length())
    )


def _sides(series: tifffile.TiffPageSeries) -> tuple[int, int]:
    lengths = dict(zip(series.axes, series.shape, strict=True))
    return lengths.get("Y", 1), lengths.get("X", 1)


def _size_in_words(series: tifffile.TiffPageSeries) -> str:
    return " x ".join(map(str, _sides(series)))


def _n_pixels(series: tifffile.TiffPageSeries) -> int:
    return math.prod(_sides(series))


def _lazy_values(series: tifffile.TiffPageSeries, path: Path) -> Any:
    page = series.keyframe
    if series.dataoffset is not None and page.is_memmappable:
        dtype = series.dtype.newbyteorder(page.parent.byteorder)
        return np.memmap(path, dtype, "r", series.dataoffset, series.shape)
    import dask.array
    import zarr

    # The store keeps a file of its own open.
    tiff = tifffile.TiffFile(path)
    check_pictures(tiff.series[0].keyframe, path)
    data = dask.array.from_zarr(zarr.open_array(tiff.aszarr(series=0, level=0), mode="r"))
    # A missing codec raises at the first pixel: here, not later.
    np.asarray(data[(slice(0, 1),) * data.ndim])
    return data


def _arrange(data: Any, file_axes: str, colour: bool, page: tifffile.TiffPage, title: str) -> tuple[Any, str, bool]:
    """Return the array with axes of this package: colour last, alpha of other images dropped, nothing unnamed."""
    axes = file_axes
    for axis in [a for a in axes if a not in "YX" and data.shape[axes.index(a)] == 1]:
        data = data[(slice(None),) * axes.index(axis) + (0,)]
        axes = axes.replace(axis, "")
    n_samples = data.shape[axes.index("S")] if "S" in axes else 1
    colour = colour and n_samples in (3, 4)
    if colour:
        data = np.moveaxis(data, axes.index("S"), -1)
        axes = axes.replace("S", "") + "S"
    else:
        data, axes = without_alpha(data, axes, page)
    if "S" in axes and "C" not in axes:
        axes = axes.replace("S", "C")
    unknown = [axis for axis in axes if axis not in AXES]
    if unknown:
        raise AxesError(
            f"{title} has axes {axes} of lengths {tuple(data.shape)}, and the meaning of {', '.join(unknown)} is not "
            "known. Name them with axes, a letter per dimension, such as axes='CYX' (--axes CYX) for channels."
        )
    return data, axes, colour
