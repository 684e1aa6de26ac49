"""Which images a TIFF file holds."""

from __future__ import annotations

import math
import re
from pathlib import Path

import tifffile

from ...errors import ImageError
from .ome_files import companion_xml, n_images_in

_SLIDES = ("svs", "ndpi", "scn", "bif", "philips", "qpi", "avs", "indica")
_BESIDE_A_SLIDE = r"(label|macro|thumbnail|overview)( mask)?( image)?"  # as OME-TIFFs name them
_THUMBNAIL = 1 / 16  # of the pixels of the image


def opened(path: Path) -> tifffile.TiffFile:
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


def images_in(tiff: tifffile.TiffFile) -> list[tifffile.TiffPageSeries]:
    """Return the images of a file without smaller copies of one, labels and maps of a slide, and parts of others."""
    here = [series for series in tiff.series if len(tiff.series) == 1 or _lies_in(series, tiff)]
    images = here or list(tiff.series)
    # Any other image might be the one to count.
    return images[:1] + [series for series in images[1:] if not _is_beside(series, images[0])]


def names_in(path: Path) -> list[str]:
    """Return the names of the images of a file; one that may be empty for a file of one image.

    Raises
    ------
    ImageError, ValueError, OSError, ...
        It cannot be read; see `damage.DAMAGE`.
    """
    with opened(path) as tiff:
        # Files of one image are not looked into: those of a set would all be opened for each.
        if tiff.is_ome and n_images_in(tiff.ome_metadata or "", path.name) < 2:
            return [""]
        return [series.name for series in images_in(tiff)]


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


def _n_pixels(series: tifffile.TiffPageSeries) -> int:
    return math.prod(_sides(series))
