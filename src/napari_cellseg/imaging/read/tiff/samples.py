"""The samples of a TIFF's pixels: which are data, which are alpha, and what only describes how to display them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image as PillowImage

from ...errors import ImageError
from ..pictures.palettes import coloured, is_display_only

_KIND = tifffile.PHOTOMETRIC
_GREY = (_KIND.MINISBLACK, _KIND.MINISWHITE, _KIND.MASK, _KIND.PALETTE)
_COLOUR = (_KIND.RGB, _KIND.YCBCR, _KIND.SEPARATED)
_JPEG = (6, 7, 33003, 33004, 33005, 33007, 34712, 34892)
_ALPHA = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
# In these dialects a palette is how their program displays a grey image.
_NEVER_COLOURS = ("ome", "imagej", "lsm", "stk")
_WORDS: dict[int, str] = {
    _KIND.CIELAB: "CIE L*a*b* colours",
    _KIND.ICCLAB: "ICC L*a*b* colours",
    _KIND.ITULAB: "ITU L*a*b* colours",
    _KIND.CFA: "the raw mosaic of a colour camera",
    _KIND.LOGL: "logarithmic luminances",
    _KIND.LOGLUV: "logarithmic colours",
    _KIND.LINEAR_RAW: "raw colours of a camera",
}


def check_kind(page: tifffile.TiffPage, path: Path) -> None:
    """Raise ImageError for colours or a compression that are not supported, with their names."""
    kind, compression = page.photometric, page.compression
    reason = ""
    if compression != 1 and compression not in tifffile.TIFF.DECOMPRESSORS:
        reason = f"is compressed by {_name(compression)}, which is not supported. Save it without compression."
    elif kind == _KIND.SEPARATED and (page.samplesperpixel != 4 or page.extrasamples or page.dtype != np.uint8):
        reason = (
            f"holds colours for printing (CMYK), {page.samplesperpixel} samples of {page.dtype}, and only 4 samples of "
            "uint8 without alpha are supported. Save it as RGB."
        )
    elif kind == _KIND.YCBCR and compression not in _JPEG:
        reason = "holds YCbCr colours without JPEG compression, which is not supported. Save it as RGB."
    elif kind == _KIND.MINISWHITE and page.dtype is not None and page.dtype.kind == "f":
        reason = "calls 0 white, but its real numbers have no black. Save it with 0 as black."
    elif kind not in (*_GREY, *_COLOUR):
        reason = f"holds {_WORDS.get(int(kind), _name(kind))}, which is not supported. Save it as grey or RGB."
    if reason:
        raise ImageError(f"{path} {reason}")


def is_colour(series: tifffile.TiffPageSeries) -> bool:
    """Whether the samples of a page, or its palette, are red, green, blue, and maybe alpha; extra samples are not."""
    page = series.keyframe
    if page.photometric == _KIND.PALETTE:
        return _true_palette(series) is not None
    return page.photometric in _COLOUR and all(kind in _ALPHA for kind in page.extrasamples)


def bytes_per_value(series: tifffile.TiffPageSeries) -> int:
    """Bytes that reading takes for each stored byte."""
    return 5 if _true_palette(series) is not None else 1


def without_display(data: Any, series: tifffile.TiffPageSeries) -> tuple[Any, str]:
    """Return values whose meaning does not depend on the display, and their axes.

    A palette of colours is looked up, white as 0 is inverted, and colours for printing become RGB. Lazy arrays stay
    lazy. ImageJ's palettes and its white as 0 are settings of its window only, and are ignored.
    """
    page, axes = series.keyframe, series.axes
    if page.photometric == _KIND.SEPARATED:
        return _mapped(data, _rgb_of_cmyk, 3), axes
    if (table := _true_palette(series)) is not None:
        return _mapped(data[..., None], lambda block: coloured(block[..., 0], table), 3), axes + "S"
    if page.photometric == _KIND.MINISWHITE and series.kind != "imagej":
        return _inverted(data, page.bitspersample), axes
    return data, axes


def without_alpha(data: Any, axes: str, page: tifffile.TiffPage) -> tuple[Any, str]:
    """Drop the samples of an image that are alpha; a single one that is left needs no axis."""
    n_extra = len(page.extrasamples)
    if "S" not in axes or not n_extra:
        return data, axes
    place = axes.index("S")
    first = data.shape[place] - n_extra
    kept = [i for i in range(data.shape[place]) if i < first or page.extrasamples[i - first] not in _ALPHA]
    if len(kept) == data.shape[place] or not kept:
        return data, axes
    before = (slice(None),) * place
    return (data[(*before, kept[0])], axes.replace("S", "")) if len(kept) == 1 else (data[(*before, kept)], axes)


def _true_palette(series: tifffile.TiffPageSeries) -> np.ndarray | None:
    """Colour table (entries, 3) of an image whose colours are its data, else None."""
    page = series.keyframe
    if page.photometric != _KIND.PALETTE or series.kind in _NEVER_COLOURS or page.colormap is None:
        return None
    table = np.asarray(page.colormap).T
    return None if is_display_only(table) else table


def _inverted(data: Any, bits: int) -> Any:
    lazy = data
    if isinstance(data, np.memmap):
        import dask.array

        lazy = dask.array.from_array(data)
    dtype = np.dtype(data.dtype)
    if dtype.kind == "u" and bits < 8 * dtype.itemsize:
        return dtype.type((1 << bits) - 1) - lazy
    return ~lazy


def _mapped(data: Any, function: Any, n_samples: int) -> Any:
    """Apply a function of arrays with the samples last; lazily to a lazy array."""
    if isinstance(data, np.ndarray) and not isinstance(data, np.memmap):
        return function(data)
    import dask.array

    lazy = dask.array.asarray(data)
    lazy = lazy.rechunk({lazy.ndim - 1: -1})
    return lazy.map_blocks(function, dtype=np.uint8, chunks=(*lazy.chunks[:-1], (n_samples,)))


def _rgb_of_cmyk(values: np.ndarray) -> np.ndarray:
    flat = np.ascontiguousarray(values).reshape(-1, values.shape[-2], 4)
    return np.asarray(PillowImage.fromarray(flat, "CMYK").convert("RGB")).reshape(*values.shape[:-1], 3)


def _name(value: Any) -> str:
    return str(getattr(value, "name", value))
