"""Read TIFF, OME-TIFF and ImageJ TIFF; big ones lazily."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from . import raster
from .axes import AXES
from .errors import AxesError, ImageError
from .image import Image, as_image
from .tiff_metadata import channel_names, pixel_size

_COLOUR = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
# Deflate makes at most 1 byte out of 1032, and LZW of about as many.
_GREATEST_RATIO = 2000
_FOR_PILLOW = (tifffile.PHOTOMETRIC.SEPARATED, tifffile.PHOTOMETRIC.CIELAB)


def read_tiff(path: Path, axes: str | None, lazy_bytes: int) -> Image:
    """Read the first image of a TIFF file.

    Parameters
    ----------
    path : Path
        The file.
    axes : str, optional
        What its dimensions mean, where it does not say or is wrong.
    lazy_bytes : int
        From this decoded size on the values stay in the file until they are asked for.

    Raises
    ------
    ImageError, AxesError
        Cut short; several images; axes that the file does not name.
    ValueError, OSError, ...
        Anything else of `damage.DAMAGE`: the caller makes an ImageError of it.
    """
    with tifffile.TiffFile(path) as tiff:
        series = _only_series(tiff, path)
        _check_whole(tiff, series, path)
        _check_plausible(series, path, lazy_bytes)
        page = series.keyframe
        data, file_axes, colour = _load(tiff, series, path, lazy_bytes)
        if axes is None:
            data, axes, colour = _arrange(data, file_axes, colour, page, path.name)
        else:
            axes = axes.strip().upper().replace("S", "C")
            colour = colour and axes.endswith("C") and data.shape[-1] in (3, 4)
        n_channels = data.shape[axes.index("C")] if "C" in axes[: data.ndim] and not colour else 1
        return as_image(
            data,
            axes,
            pixel_size=pixel_size(tiff, page),
            rgb=colour,
            name=path.name,
            channel_names=channel_names(tiff, n_channels) if n_channels > 1 else (),
            source=str(path),
        )


def _only_series(tiff: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    if not tiff.series:
        raise ImageError(f"{path} holds no image. Give another file.")
    first, *others = tiff.series
    # Smaller ones are thumbnails and labels of slides; one as large might be what the person wants counted.
    rivals = [series for series in others if _n_pixels(series) >= _n_pixels(first) > 0]
    if rivals:
        raise ImageError(
            f"{path} holds {1 + len(rivals)} separate images, and one file is one image here. "
            "Save the ones that you want as files of their own."
        )
    return first


def _n_pixels(series: tifffile.TiffPageSeries) -> int:
    return math.prod(length for axis, length in zip(series.axes, series.shape, strict=True) if axis in "YX")


def _check_whole(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path) -> None:
    """Raise ImageError for a file that ends too early: the reader would fill in or leave out what is missing."""
    size = tiff.filehandle.size
    ends = [0]
    if series.dataoffset is not None:
        ends.append(series.dataoffset + series.nbytes)
    else:
        for page in series.pages:
            if page is None:
                raise ImageError(
                    f"{path}: some planes of this image lie in other files that are missing. "
                    "Put all files of the image into one folder."
                )
            if page.parent is tiff:
                counts = zip(page.dataoffsets, page.databytecounts, strict=False)
                ends += [offset + count for offset, count in counts]
    if not tiff.is_ndpi:
        ends.append(_next_page_offset(tiff))
    if max(ends) > size:
        raise ImageError(
            f"{path} cannot be read: it has {size} bytes, but speaks of {max(ends)}. It was cut short: copy it again."
        )


def _check_plausible(series: tifffile.TiffPageSeries, path: Path, lazy_bytes: int) -> None:
    """Raise ImageError for a size that the file cannot hold: believing it would use up all memory."""
    page = series.keyframe
    if series.dataoffset is not None:
        return
    announced, held = math.prod(page.chunked), len(page.dataoffsets)
    chunk_bytes = math.prod(page.chunks) * series.dtype.itemsize
    bloated = chunk_bytes >= lazy_bytes and chunk_bytes > _GREATEST_RATIO * max(page.databytecounts, default=0)
    if announced > held or bloated:
        raise ImageError(
            f"{path} cannot be read: it announces {' x '.join(map(str, page.shape))} values, but holds fewer. "
            "The file is damaged: copy it again."
        )


def _next_page_offset(tiff: tifffile.TiffFile) -> int:
    """Where the last page that was found says that another one begins; 0 where it is the last."""
    form, file = tiff.tiff, tiff.filehandle
    file.seek(tiff.pages[-1].offset)
    (n_tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
    file.seek(n_tags * form.tagsize, 1)
    (offset,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))
    return int(offset)


def _load(
    tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path, lazy_bytes: int
) -> tuple[Any, str, bool]:
    """Return the values, their axes in the file's own letters, and whether they are colours."""
    page = series.keyframe
    palette = page.photometric == tifffile.PHOTOMETRIC.PALETTE and not tiff.is_imagej
    colour = page.photometric in _COLOUR
    if page.photometric in _FOR_PILLOW:
        data = raster.decode(path)
        return data, "YXS"[: data.ndim], data.ndim == 3
    if math.prod(series.shape) * series.dtype.itemsize >= lazy_bytes and not palette:
        return _load_lazily(series, path), series.axes, colour
    try:
        data = series.asarray()
    except ValueError as error:
        # LZW, JPEG and fax: Pillow reads the common cases where the package of codecs is not installed.
        if "imagecodecs" not in str(error) or len(series.pages) != 1:
            raise
        data = raster.decode(path)
        if data.dtype != series.dtype and series.dtype != bool:
            raise
        return data, "YXS"[: data.ndim], data.ndim == 3
    if palette and page.colormap is not None:
        colours = page.colormap.T
        data = (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8)[data.astype(np.intp)]
        return data, series.axes + "S", True
    return data, series.axes, colour


def _load_lazily(series: tifffile.TiffPageSeries, path: Path) -> Any:
    page = series.keyframe
    if series.dataoffset is not None and page.is_memmappable:
        dtype = series.dtype.newbyteorder(page.parent.byteorder)
        return np.memmap(path, dtype, "r", series.dataoffset, series.shape)
    import dask.array
    import zarr

    store = tifffile.imread(path, aszarr=True, series=0, level=0)
    data = dask.array.from_zarr(zarr.open_array(store, mode="r"))
    # A codec that is missing shows when the first pixel is asked for, and should show now.
    np.asarray(data[(slice(0, 1),) * data.ndim])
    return data


def _arrange(data: Any, file_axes: str, colour: bool, page: tifffile.TiffPage, title: str) -> tuple[Any, str, bool]:
    """Turn the file's axes into ours: colour last, alpha of grey dropped, nothing unnamed."""
    axes = file_axes
    for axis in [a for a in axes if a not in "YX" and data.shape[axes.index(a)] == 1]:
        data = data[(slice(None),) * axes.index(axis) + (0,)]
        axes = axes.replace(axis, "")
    n_samples = data.shape[axes.index("S")] if "S" in axes else 1
    colour = colour and n_samples in (3, 4)
    if n_samples == 2 and page.extrasamples and not colour:
        data = data[(slice(None),) * axes.index("S") + (0,)]
        axes = axes.replace("S", "")
    elif colour:
        data = np.moveaxis(data, axes.index("S"), -1)
        axes = axes.replace("S", "") + "S"
    if "S" in axes and "C" not in axes:
        axes = axes.replace("S", "C")
    unknown = [axis for axis in axes if axis not in AXES]
    if unknown:
        raise AxesError(
            f"{title} has axes {axes} of lengths {tuple(data.shape)}, and nothing says how to read "
            f"{', '.join(unknown)}. Name them with axes, a letter per dimension, such as axes='CYX' (--axes CYX) "
            "for channels."
        )
    return data, axes, colour
