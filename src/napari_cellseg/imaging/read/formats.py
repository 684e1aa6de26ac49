"""The file formats that are known by their suffix: what reads each, and what to do where nothing does."""

from __future__ import annotations

import functools
import importlib.metadata
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

INSTALL = 'pip install "napari-cellseg[formats]"'
ZARR_SUFFIX = ".zarr"
# A folder of this ending belongs to the file in front: the planes of an OIF file.
PLANES = ".files"


@dataclass(frozen=True)
class Format:
    """A file format, and a row of the table in ``docs/formats.md``.

    Attributes
    ----------
    title : str
        Its name, and who writes it.
    suffixes : tuple of str
        In lower case, with the dot.
    package : str
        The package that reads it, as registries call it; empty for a format that has to be converted.
    licence, lazy, scenes, tested : str
        What stands in the table.
    oldest : str
        Oldest version of the package that will do; empty for one that is always installed.
    reader : str
        Module of `microscopes` with a function ``open_file``; else empty.
    instead : str
        A package that reads it where there is no `package` for the machine.
    remedy : str
        What makes another format of it, where nothing here reads it.
    """

    title: str
    suffixes: tuple[str, ...]
    package: str = ""
    licence: str = ""
    lazy: str = ""
    scenes: str = ""
    tested: str = ""
    oldest: str = ""
    reader: str = ""
    instead: str = ""
    remedy: str = ""

    def lacks(self) -> str:
        """What is missing to read it, as the end of a sentence that begins with the file; empty if nothing is."""
        if self.remedy:
            return f"is of a format that is not read here: {self.remedy}."
        if not self.oldest:
            return ""
        if find_spec(self.package) is None:
            return "" if self.instead and find_spec(self.instead) is not None else f"needs: {INSTALL}"
        version = _version(self.package)
        if _is_older(version, self.oldest):
            return f"needs {self.package} {self.oldest} or later, and {version} is installed: {INSTALL} --upgrade"
        return ""


# Microscopes and slide scanners write TIFF under these names.
TIFF_SUFFIXES = (".lsm", ".stk", ".svs", ".ndpi", ".scn", ".bif", ".qptiff", ".btf", ".tf8")
_BSD = "BSD-3-Clause"
_CONVERT = "convert it with Bio-Formats (bfconvert IN{0} OUT.ome.tiff), or save it as OME-TIFF in {1}"

# fmt: off
FORMATS = (
    Format("TIFF, OME-TIFF, ImageJ", (".tif", ".tiff"), "tifffile", _BSD, "above 1 GB", "images", "real files"),
    Format(
        "TIFF of microscopes and slide scanners", TIFF_SUFFIXES, "tifffile", _BSD, "above 1 GB", "images",
        "a real SVS; the tags of other makers as tifffile reads them",
    ),
    Format("PNG, JPEG, BMP", (".png", ".jpg", ".jpeg", ".bmp"), "pillow", "HPND", "no", "one", "real files"),
    Format("NumPy", (".npz", ".npy"), "numpy", _BSD, "`.npy` above 1 GB", "one", "what NumPy writes"),
    Format(
        "Nikon ND2", (".nd2",), "nd2", _BSD, "yes", "positions", "a real file (time points, slices, channels)",
        oldest="0.10", reader="nd2_file",
    ),
    Format(
        "Leica LIF, LOF, XLEF", (".lif", ".lof", ".xlef"), "liffile", _BSD, "yes", "series, tiles",
        "all three built by their descriptions",
        oldest="2026.2.15", reader="lif_file",
    ),
    Format(
        "Zeiss CZI", (".czi",), "pylibCZIrw", "LGPL-3.0", "yes, by regions", "scenes, views", "what pylibCZIrw writes",
        oldest="6.1", reader="czi_file", instead="czifile",
    ),
    Format("DeltaVision", (".dv", ".r3d"), "mrc", _BSD, "yes", "one", "a real file", oldest="0.3", reader="dv_file"),
    Format(
        "Olympus OIF, OIB", (".oif", ".oib"), "oiffile", _BSD, "yes", "one", "both built by their descriptions",
        oldest="2025.1.1", reader="oif_file",
    ),
    Format("DICOM", (".dcm", ".dicom"), "pydicom", "MIT", "no", "one", "pydicom's own samples", oldest="3.0"),
    Format(
        "OME-Zarr in a zip file", (".zarr.zip",), "zarr", "MIT", "above 1 GB", "wells and fields of a plate",
        "what zarr writes",
    ),
    Format("Olympus VSI", (".vsi",), remedy=_CONVERT.format(".vsi", "OlyVIA or cellSens")),
    Format("Imaris", (".ims",), remedy=_CONVERT.format(".ims", "Imaris")),
    Format("MIRAX slides", (".mrxs",), remedy=_CONVERT.format(".mrxs", "the program of the scanner")),
)
# fmt: on

SUFFIXES = tuple(suffix for one in FORMATS for suffix in one.suffixes)
_BY_SUFFIX = {suffix: one for one in FORMATS for suffix in one.suffixes}


def format_of(path: Path) -> Format | None:
    """Return the format of a file by its suffix; None where it is not known."""
    return _BY_SUFFIX.get(path.suffix.lower())


def needs(path: Path) -> str:
    """Return a sentence on what is missing to read a file of this name; empty if nothing is, or it is unknown."""
    known = format_of(path)
    words = known.lacks() if known is not None else ""
    return f"{path} {words}" if words else ""


def dialog_filter() -> str:
    """Return the filter of a file dialog that shows every known format."""
    return f"Images ({' '.join(f'*{suffix}' for suffix in SUFFIXES)});;All files (*)"


def table() -> list[str]:
    """Return the table of formats as lines of Markdown."""
    lines = ["| format | suffixes | reader | licence | lazy | scenes | tested on |", "|---|---|---|---|---|---|---|"]
    for one in FORMATS:
        names = ", ".join(f"`{suffix}`" for suffix in one.suffixes)
        packages = " or ".join(filter(None, (one.package, one.instead)))
        reader = f"{packages}{' (`[formats]`)' if one.oldest else ''}" if packages else f"none: {one.remedy}"
        lines.append(f"| {one.title} | {names} | {reader} | {one.licence} | {one.lazy} | {one.scenes} | {one.tested} |")
    rest = "zarr | MIT | above 1 GB | wells and fields of a plate | what zarr and ome-zarr write"
    return [*lines, f"| Zarr, OME-Zarr (folders) | `{ZARR_SUFFIX}` | {rest} |"]


@functools.cache
def _version(package: str) -> str:
    return importlib.metadata.version(package)


@functools.cache
def _is_older(version: str, other: str) -> bool:
    one, two = ([int(number) for number in re.findall(r"\d+", text)[:3]] for text in (version, other))
    return one < two
