"""Scale and channel names from the metadata of a TIFF: OME-XML, ImageJ, or its resolution tags."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import tifffile

from ...scale import is_interval, is_pixel_size
from ..values.units import micrometres, seconds
from .makers import maker_channels, maker_steps

# Micrometres in the units of resolution tags, by their numbers: inch and centimetre.
_TAG_UNITS = {2: 25400.0, 3: 1e4}
# Scanners and drawing programs write 72 to 1200 dots per inch for printing: no microscope resolves so little.
_COARSEST_BELIEVED = 25400.0 / 1200


class TiffMetadata:
    """The metadata of one of the images of a file. OME-XML and private tags are looked at once.

    Parameters
    ----------
    tiff : tifffile.TiffFile
    series : tifffile.TiffPageSeries
        The image.
    """

    def __init__(self, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> None:
        self._tiff, self._page = tiff, series.keyframe
        self._ome = _ome_pixels(tiff, series) if tiff.is_ome else None
        self._maker = maker_steps(tiff) if self._ome is None else {}
        self._imagej: dict[str, Any] = (tiff.imagej_metadata or {}) if tiff.is_imagej else {}

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """Micrometres per pixel along (Y, X), or None if the file does not define it.

        OME-XML comes first, then the private tags of microscopes (`maker_steps`), the unit of ImageJ, and the
        resolution tags. Resolutions for print, 1200 dots per inch and coarser, are ignored if only the tags give
        them, or if ImageJ gives inches or centimetres: it copies them from the tags of the files that it opens.
        """
        if self._ome is not None:
            return _valid(_ome_length(self._ome, "Y"), _ome_length(self._ome, "X"))
        if (of_maker := _valid(self._maker.get("Y"), self._maker.get("X"))) is not None:
            return of_maker
        per_unit_x, per_unit_y = self._page.resolution
        if unit := self._imagej.get("unit"):
            x = micrometres(str(unit))
            y = micrometres(str(self._imagej.get("yunit") or unit))
        else:
            x = y = _TAG_UNITS.get(int(self._page.resolutionunit))
        size = _valid(_over(y, per_unit_y), _over(x, per_unit_x))
        for_print = x in _TAG_UNITS.values() and size is not None and max(size) >= _COARSEST_BELIEVED
        return None if for_print else size

    @property
    def slice_spacing(self) -> float | None:
        """Micrometres from slice to slice, or None if the metadata do not define it."""
        if self._ome is not None:
            step = _ome_length(self._ome, "Z")
        elif (step := self._maker.get("Z")) is None:
            unit = micrometres(str(self._imagej.get("zunit") or self._imagej.get("unit") or ""))
            given = _number(self._imagej.get("spacing"))
            # ImageJ sometimes counts slices downwards.
            step = None if unit is None or given is None else abs(given) * unit
        return step if step is not None and is_pixel_size(step) else None

    @property
    def frame_interval(self) -> float | None:
        """Seconds from time point to time point, or None if the metadata do not define it."""
        if self._ome is not None:
            given, unit = _number(self._ome.get("TimeIncrement")), seconds(self._ome.get("TimeIncrementUnit", "s"))
        elif "T" in self._maker:
            given, unit = self._maker["T"], 1.0
        else:
            given, unit = _number(self._imagej.get("finterval")), seconds(str(self._imagej.get("tunit") or "s"))
        step = None if unit is None or given is None else given * unit
        return step if step is not None and is_interval(step) else None

    def channel_names(self, n_channels: int) -> tuple[str, ...]:
        """Names of the channels; empty unless there is one for each."""
        names: list[str | None] = []
        if self._ome is not None:
            names = [element.get("Name") for element in self._ome if _plain_tag(element) == "Channel"]
        elif self._tiff.is_imagej:
            names = [str(label) for label in self._imagej.get("Labels") or []]
        else:
            names = list(maker_channels(self._tiff))
        known = tuple(name for name in names if name)
        return known if len(known) == len(names) == n_channels else ()


def _ome_pixels(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> ElementTree.Element | None:
    """The OME-XML of the pixels of an image: that of its name, or of its place among all."""
    try:
        root = ElementTree.fromstring(tiff.ome_metadata or "")
    except ElementTree.ParseError:
        return None
    images = [element for element in root.iter() if _plain_tag(element) == "Image"]
    named = [image for image in images if series.name and image.get("Name") == series.name]
    place = tiff.series.index(series)
    image = named[0] if len(named) == 1 else images[place] if place < len(images) else None
    return next((element for element in image or () if _plain_tag(element) == "Pixels"), None)


def _plain_tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _ome_length(pixels: ElementTree.Element, axis: str) -> float | None:
    try:
        size = float(pixels.get(f"PhysicalSize{axis}", ""))
    except ValueError:
        return None
    unit = micrometres(pixels.get(f"PhysicalSize{axis}Unit", "um"))
    return None if unit is None else size * unit


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
