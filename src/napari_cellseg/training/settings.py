"""Settings with range, label and help in their field metadata, for checks, forms and command-line options."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, field, fields
from typing import Any, TypeVar

from ..imaging.errors import ParamsError

Settings = TypeVar("Settings")


def setting(default: Any, label: str, help: str, low: Any = None, high: Any = None, **more: Any) -> Any:
    """Return a dataclass field with a label, a help text and a range (both ends allowed).

    Parameters
    ----------
    default : float, int, str, bool, None or tuple of two floats
        Its type is the setting's. A setting that may be None names its type as ``kind=float``.
    label, help : str
    low, high : number, optional
    **more
        ``choices``: the words allowed; ``expert=False``: shown to everybody; ``group``: heading on the command line.
        For forms also ``unit``, ``none`` (the text that stands for None), ``words`` (texts of the choices),
        ``suggestions`` and ``placeholder``.
    """
    return field(default=default, metadata={"label": label, "help": help, "min": low, "max": high, **more})


def kind_of(entry: Field[Any]) -> type:
    """Return the type of a setting's values: float, int, bool, str or tuple."""
    kind: type = entry.metadata.get("kind") or type(entry.default)
    return kind


def check_settings(values: Any, what: str) -> None:
    """Check every setting of a frozen dataclass against its range; pairs become tuples.

    Raises
    ------
    ParamsError
        Naming the setting, its value and its range.
    """
    for entry in fields(values):
        if not entry.metadata:
            continue
        value = getattr(values, entry.name)
        if value is None and entry.default is None:
            continue
        if kind_of(entry) is tuple:
            object.__setattr__(values, entry.name, _pair(value, entry, what))
        else:
            _check(value, entry, what)


def _check(value: Any, entry: Field[Any], what: str) -> None:
    meta, kind = entry.metadata, kind_of(entry)
    named = f"{what} setting {entry.name} is {value!r}"
    if "choices" in meta:
        if value not in meta["choices"]:
            raise ParamsError(f"{named}; it must be one of {', '.join(meta['choices'])}.")
        return
    if kind is bool:
        if not isinstance(value, bool):
            raise ParamsError(f"{named}; it must be true or false.")
        return
    allowed = int if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not math.isfinite(value):
        raise ParamsError(f"{named}; it must be {'a whole number' if kind is int else 'a number'}.")
    low, high = meta["min"], meta["max"]
    if not low <= value <= high:
        raise ParamsError(f"{named}; it must be from {low:g} to {high:g}.")


def _pair(value: Any, entry: Field[Any], what: str) -> tuple[float, float]:
    numbers = tuple(value) if isinstance(value, (tuple, list)) else ()
    low, high = entry.metadata["min"], entry.metadata["max"]
    good = len(numbers) == 2 and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in numbers)
    if not (good and low <= numbers[0] <= numbers[1] <= high):
        raise ParamsError(
            f"{what} setting {entry.name} is {value!r}; it must be two rising numbers from {low:g} to {high:g}."
        )
    return numbers[0], numbers[1]


def settings_from_dict(cls: type[Settings], values: Mapping[str, Any], what: str) -> Settings:
    """Build settings from names and values; missing ones take their default.

    Raises
    ------
    ParamsError
        If a name is unknown, or a value is out of its range.
    """
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ParamsError(f"{what} has no setting {', '.join(unknown)}. Known ones: {', '.join(known)}.")
    try:
        return cls(**dict(values))
    except (TypeError, AttributeError, OverflowError) as error:
        raise ParamsError(f"{what} has a setting of another type ({error}).") from error
