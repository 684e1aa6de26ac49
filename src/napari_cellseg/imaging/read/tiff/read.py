"""Read TIFF in its dialects: OME, ImageJ, microscopes and slide scanners; big files lazily."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ...axes import AXES
from ...errors import AxesError
from ...from_array import as_image
from ...image import Image
from ..packed.tiff_pieces import check_pictures, check_pieces
from .images import images_in, opened
from .metadata import TiffMetadata
from .samples import bytes_per_value, check_kind, is_colour, without_alpha, without_display


def read_tiff(path: Path, axes: str | None, lazy_bytes: int, choose: Callable[[Sequence[str]], int]) -> Image:
    """Read an image of a TIFF file.

    Parameters
    ----------
    path : Path
        The file.
    axes : str, optional
        Meaning of its dimensions, if the file does not define it or is wrong.
    lazy_bytes : int
        From this decoded size on the values stay in the file until they are requested.
    choose : callable
        Gives the place of the image among the names of all that the file holds (not only levels and thumbnails of
        one); it raises ImageError for none.

    Returns
    -------
    Image
        Values as they are stored, in the order of the file: an orientation tag is not applied. How they are displayed
        is not part of them: palettes of one hue are ignored, and 0 is black.

    Raises
    ------
    ImageError, AxesError
        The file is cut short, its colours or compression are not supported, or it does not name its axes.
    ValueError, OSError, ...
        Anything else of `damage.DAMAGE`: the caller makes an ImageError of it.
    """
    with opened(path) as tiff:
        images = images_in(tiff)
        series = images[choose([image.name for image in images])]
        page = series.keyframe
        check_kind(page, path)
        lazy = series.nbytes >= lazy_bytes
        check_pieces(tiff, series, path, lazy_bytes, 0 if lazy else series.nbytes * bytes_per_value(series))
        data = _lazy_values(series, tiff.series.index(series), path) if lazy else series.asarray()
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
        metadata = TiffMetadata(tiff, series)
        return as_image(
            data,
            axes,
            pixel_size=metadata.pixel_size,
            rgb=colour,
            name=path.name,
            channel_names=metadata.channel_names(n_channels) if n_channels > 1 else (),
            source=str(path),
            slice_spacing=metadata.slice_spacing,
            frame_interval=metadata.frame_interval,
        )


def _lazy_values(series: tifffile.TiffPageSeries, index: int, path: Path) -> Any:
    page = series.keyframe
    if series.dataoffset is not None and page.is_memmappable:
        dtype = series.dtype.newbyteorder(page.parent.byteorder)
        return np.memmap(path, dtype, "r", series.dataoffset, series.shape)
    import dask.array
    import zarr

    # The store keeps a file of its own open.
    tiff = tifffile.TiffFile(path)
    check_pictures(tiff.series[index].keyframe, path)
    data = dask.array.from_zarr(zarr.open_array(tiff.aszarr(series=index, level=0), mode="r"))
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
