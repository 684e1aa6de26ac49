"""Units of length and time, as files spell them."""

from __future__ import annotations

import re

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


def micrometres(unit: str) -> float | None:
    """Micrometres in a unit of length; None for any other text."""
    # The micro sign has two code points, and ImageJ escapes it.
    plain = re.sub(r"\\u00b5|\\u03bc|\u00b5|\u03bc", "u", unit.strip().lower())
    return _MICROMETRES.get(plain)


def seconds(unit: str) -> float | None:
    """Seconds in a unit of time; None for any other text."""
    plain = re.sub(r"\\u00b5|\\u03bc|\u00b5|\u03bc", "u", unit.strip().lower())
    return _SECONDS.get(plain)
