"""Scale and channel names from the private tags of microscopes and slide scanners."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import tifffile

from ..values.units import micrometres

_METRE = 1e6
# What a tag without the expected entries raises.
_MISSING = (KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError)


def maker_steps(tiff: tifffile.TiffFile) -> Mapping[str, float]:
    """Return micrometres per pixel along ``X``, ``Y`` and ``Z``, and seconds along ``T``, if the maker stores them.

    Known are Zeiss (LSM and SEM), MetaMorph (STK and single files), Aperio, Ventana, FEI and Olympus SIS. Others, such
    as Hamamatsu and Leica, use the resolution tags.
    """
    page = tiff.pages.first
    read = next((read for code, read in _BY_TAG if code in page.tags), None)
    if read is None:
        read = next((read for start, read in _BY_DESCRIPTION if page.description.startswith(start)), None)
    if read is None:
        return {}
    try:
        return {axis: float(step) for axis, step in read(tiff).items()}
    except _MISSING:
        return {}


def maker_channels(tiff: tifffile.TiffFile) -> list[str]:
    """Return the names of the channels in LSM files and slides of Akoya; empty for others."""
    try:
        if tiff.is_lsm:
            return [str(name) for name in _known(tiff.lsm_metadata)["ChannelColors"]["ColorNames"]]
        if tiff.is_qpi:
            return [_qpi_name(page.description) for page in tiff.series[0].pages]  # type: ignore[union-attr]
    except _MISSING:
        return []
    return []


def _lsm(tiff: tifffile.TiffFile) -> dict[str, Any]:
    found = _known(tiff.lsm_metadata)
    steps = {axis: found[f"VoxelSize{axis}"] * _METRE for axis in "XYZ"}
    return {**steps, "T": found["TimeIntervall"]}


def _stk(tiff: tifffile.TiffFile) -> dict[str, Any]:
    found = _known(tiff.stk_metadata)
    distances = np.unique(found.get("ZDistance", ()))
    steps = {"Z": distances[0]} if len(distances) == 1 else {}
    unit = micrometres(str(found.get("CalibrationUnits", "")))
    if found.get("SpatialCalibration") and unit is not None:
        steps |= {axis: found[f"{axis}Calibration"] * unit for axis in "XY"}
    return steps


def _metaseries(tiff: tifffile.TiffFile) -> dict[str, Any]:
    found = _known(tiff.metaseries_metadata)["PlaneInfo"]
    unit = micrometres(str(found["spatial-calibration-units"])) if found["spatial-calibration-state"] else None
    return {} if unit is None else {axis: found[f"spatial-calibration-{axis.lower()}"] * unit for axis in "XY"}


def _svs(tiff: tifffile.TiffFile) -> dict[str, Any]:
    found = re.search(r"\bMPP\s*=\s*([0-9.]+)", tiff.pages.first.description)
    return {} if found is None else dict.fromkeys("XY", found[1])


def _bif(tiff: tifffile.TiffFile) -> dict[str, Any]:
    # Other programs write this tag too.
    found = re.search(rb"ScanRes=\"([0-9.]+)\"", bytes(tiff.pages.first.tags[700].value))
    return {} if found is None else dict.fromkeys("XY", found[1])


def _fei(tiff: tifffile.TiffFile) -> dict[str, Any]:
    found = _known(tiff.fei_metadata)["Scan"]
    return {"X": found["PixelWidth"] * _METRE, "Y": found["PixelHeight"] * _METRE}


def _sem(tiff: tifffile.TiffFile) -> dict[str, Any]:
    found = _known(tiff.sem_metadata)
    _, size, unit = found.get("ap_image_pixel_size") or found["ap_pixel_size"]
    factor = micrometres(str(unit))
    return {} if factor is None else dict.fromkeys("XY", size * factor)


def _sis(tiff: tifffile.TiffFile) -> dict[str, Any]:
    found = _known(tiff.sis_metadata)
    return {axis: found[f"pixelsize{axis.lower()}"] * _METRE for axis in "XY"}


_BY_TAG = (
    (34412, _lsm),
    (33628, _stk),
    (34680, _fei),
    (34682, _fei),
    (34118, _sem),
    (33560, _sis),
    (33471, _sis),
    (700, _bif),
)
_BY_DESCRIPTION = (("<MetaData>", _metaseries), ("Aperio ", _svs))


def _qpi_name(description: str) -> str:
    found = re.search(r"<Biomarker>([^<]+)</Biomarker>", description) or re.search(r"<Name>([^<]+)</Name>", description)
    return "" if found is None else found[1].strip()


def _known(metadata: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return {} if metadata is None else metadata
