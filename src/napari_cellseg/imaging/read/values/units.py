"""Units of length and time, as files spell them."""

from __future__ import annotations

import re

# Micrometres in each unit, as OME, OME-Zarr and ImageJ spell them; and seconds.
_LENGTHS = {
    1e6: "m meter",
    1e4: "cm centimeter",
    1e3: "mm millimeter",
    1.0: "um micron microns micrometer micrometers micrometre micrometres",
    1e-3: "nm nanometer",
    1e-4: "å angstrom",
    1e-6: "pm picometer",
    25400.0: "in inch inches",
}
_TIMES = {
    86400.0: "d day",
    3600.0: "h hr hour hours",
    60.0: "min minute minutes",
    1.0: "s sec second seconds",
    1e-3: "ms msec millisecond milliseconds",
    1e-6: "us microsecond",
    1e-9: "ns nanosecond",
}


def micrometres(unit: str) -> float | None:
    """Micrometres in a unit of length; None for any other text."""
    return _found(unit, _LENGTHS)


def seconds(unit: str) -> float | None:
    """Seconds in a unit of time; None for any other text."""
    return _found(unit, _TIMES)


def _found(unit: str, known: dict[float, str]) -> float | None:
    # The micro sign has two code points, and ImageJ escapes it.
    plain = re.sub(r"\\u00b5|\\u03bc|\u00b5|\u03bc", "u", unit.strip().lower())
    return next((factor for factor, names in known.items() if plain in names.split()), None)
