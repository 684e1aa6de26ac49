"""Scale and channel names from the metadata of a TIFF: OME-XML, ImageJ, or its resolution tags."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import tifffile

from ..scale import is_interval, is_pixel_size

# Micrometres in each unit, as OME, OME-Zarr and ImageJ spell them.
_MICROMETRES = {
    "m": 1e6,
    "meter": 1e6,
    "cm": 1e4,
    "centimeter": 1e4,
    "mm": 1e3,
    "millimeter": 1e3,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometers": 1.0,
    "micrometre": 1.0,
    "micrometres": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "å": 1e-4,
    "angstrom": 1e-4,
    "pm": 1e-6,
    "picometer": 1e-6,
    "in": 25400.0,
    "inch": 25400.0,
    "inches": 25400.0,
}
# Seconds in each unit.
_SECONDS = {
    **{"h": 3600.0, "hr": 3600.0, "hour": 3600.0, "hours": 3600.0, "d": 86400.0, "day": 86400.0},
    **{"min": 60.0, "minute": 60.0, "minutes": 60.0},
    **{"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0},
    **{"ms": 1e-3, "msec": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3},
    **{"us": 1e-6, "microsecond": 1e-6, "ns": 1e-9, "nanosecond": 1e-9},
}
# Micrometres in the units of resolution tags, by their numbers: inch and centimetre.
_TAG_UNITS = {2: 25400.0, 3: 1e4}
# Scanners and drawing programs write 72 to 1200 dots per inch for printing: no microscope resolves so little.
_COARSEST_BELIEVED = 25400.0 / 1200


def pixel_size(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Micrometres per pixel along (Y, X), or None if the file does not define it.

    OME-XML comes first, then the unit of ImageJ, then the resolution tags. Resolutions for print, 1200 dots per inch
    and coarser, are ignored if only the tags give them, or if ImageJ gives inches or centimetres: it copies them from
    the tags of the files that it opens.
    """
    if tiff.is_ome and (pixels := _ome_pixels(tiff)) is not None:
        return _valid(*(_ome_length(pixels, axis) for axis in "YX"))
    per_unit_x, per_unit_y = page.resolution
    imagej = (tiff.imagej_metadata or {}) if tiff.is_imagej else {}
    if unit := imagej.get("unit"):
        x = micrometres(str(unit))
        y = micrometres(str(imagej.get("yunit") or unit))
    else:
        x = y = _TAG_UNITS.get(int(page.resolutionunit))
    size = _valid(_over(y, per_unit_y), _over(x, per_unit_x))
    for_print = x in _TAG_UNITS.values() and size is not None and max(size) >= _COARSEST_BELIEVED
    return None if for_print else size


def slice_spacing(tiff: tifffile.TiffFile) -> float | None:
    """Micrometres from slice to slice, or None if neither OME-XML nor ImageJ defines it."""
    if tiff.is_ome and (pixels := _ome_pixels(tiff)) is not None:
        step = _ome_length(pixels, "Z")
    else:
        imagej = (tiff.imagej_metadata or {}) if tiff.is_imagej else {}
        unit = micrometres(str(imagej.get("zunit") or imagej.get("unit") or ""))
        given = _number(imagej.get("spacing"))
        # ImageJ sometimes counts slices downwards.
        step = None if unit is None or given is None else abs(given) * unit
    return step if step is not None and is_pixel_size(step) else None


def frame_interval(tiff: tifffile.TiffFile) -> float | None:
    """Seconds from time point to time point, or None if neither OME-XML nor ImageJ defines it."""
    if tiff.is_ome and (pixels := _ome_pixels(tiff)) is not None:
        given, unit = _number(pixels.get("TimeIncrement")), seconds(pixels.get("TimeIncrementUnit", "s"))
    else:
        imagej = (tiff.imagej_metadata or {}) if tiff.is_imagej else {}
        given, unit = _number(imagej.get("finterval")), seconds(str(imagej.get("tunit") or "s"))
    step = None if unit is None or given is None else given * unit
    return step if step is not None and is_interval(step) else None


def channel_names(tiff: tifffile.TiffFile, n_channels: int) -> tuple[str, ...]:
    """Names of the channels; empty unless there is one for each."""
    names: list[str | None] = []
    if tiff.is_ome and (pixels := _ome_pixels(tiff)) is not None:
        names = [element.get("Name") for element in pixels if _plain_tag(element) == "Channel"]
    elif tiff.is_imagej:
        labels = (tiff.imagej_metadata or {}).get("Labels") or []
        names = [str(label) for label in labels]
    known = tuple(name for name in names if name)
    return known if len(known) == len(names) == n_channels else ()


def _ome_pixels(tiff: tifffile.TiffFile) -> ElementTree.Element | None:
    try:
        root = ElementTree.fromstring(tiff.ome_metadata or "")
    except ElementTree.ParseError:
        return None
    return next((element for element in root.iter() if _plain_tag(element) == "Pixels"), None)


def _plain_tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _ome_length(pixels: ElementTree.Element, axis: str) -> float | None:
    try:
        size = float(pixels.get(f"PhysicalSize{axis}", ""))
    except ValueError:
        return None
    unit = micrometres(pixels.get(f"PhysicalSize{axis}Unit", "um"))
    return None if unit is None else size * unit


def micrometres(unit: str) -> float | None:
    """Micrometres in a unit of length; None for any other text."""
    # The micro sign has two code points, and ImageJ escapes it.
    plain = re.sub(r"\\u00b5|\\u03bc|\u00b5|\u03bc", "u", unit.strip().lower())
    return _MICROMETRES.get(plain)


def seconds(unit: str) -> float | None:
    """Seconds in a unit of time; None for any other text."""
    plain = re.sub(r"\\u00b5|\\u03bc|\u00b5|\u03bc", "u", unit.strip().lower())
    return _SECONDS.get(plain)


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _over(unit: float | None, per_unit: float) -> float | None:
    return unit / per_unit if unit is not None and per_unit > 0 else None


def _valid(y: float | None, x: float | None) -> tuple[float, float] | None:
    if y is None or x is None or not (is_pixel_size(y) and is_pixel_size(x)):
        return None
    return y, x
