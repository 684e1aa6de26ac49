"""Values from JSON that are what they should be: read without excess, and checked against a dataclass's own types."""

from __future__ import annotations

import json
import math
import sys
import types
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import PureWindowsPath
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints


def parse_json(text: str | bytes) -> Any:
    """Read JSON as its standard has it: without NaN and infinities.

    Raises
    ------
    ValueError
        If it is anything else, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def is_text(value: object) -> bool:
    """Whether a value is a text that files and their names can hold: without NUL and lone surrogates.

    Bytes of a file's name that are not text are allowed, in the form that Python gives them.
    """
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def is_inside(name: object) -> bool:
    """Whether a value is a path, with ``/``, that lies inside the folder to which it is relative."""
    if not is_text(name) or not name:
        return False
    windows = PureWindowsPath(str(name))
    # Elsewhere a colon is a sign as any other.
    drive = windows.drive if sys.platform == "win32" else ""
    return not (drive or windows.root or ".." in windows.parts)


def check_types(cls: type, values: Mapping[str, Any]) -> None:
    """Check values by name against the annotations of a dataclass; names that it does not know may hold anything.

    Numbers must be finite, texts must be such as :func:`is_text` accepts, and a bool is no number.

    Raises
    ------
    ValueError
        Naming the value that does not fit.
    """
    for name, hint in _hints(cls).items():
        if name in values and not _fits(values[name], hint):
            raise ValueError(f"{name} is {shortened(values[name])}")


def shortened(value: object) -> str:
    """Return a value as a message can show it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


@lru_cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _fits(value: Any, hint: Any) -> bool:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in args)
    if origin is Literal:
        return value in args if isinstance(value, str) else False
    if origin is tuple and args[-1] is not Ellipsis:
        return isinstance(value, (list, tuple)) and len(value) == len(args) and all(map(_fits, value, args))
    if origin in (tuple, list, Sequence):
        return isinstance(value, (list, tuple)) and all(_fits(one, args[0]) for one in value)
    if origin in (dict, Mapping):
        return isinstance(value, Mapping) and all(_fits(k, args[0]) and _fits(v, args[1]) for k, v in value.items())
    return _is_a(value, hint)


def _is_a(value: Any, kind: Any) -> bool:
    if kind is str:
        return is_text(value)
    if kind in (int, float):
        allowed = int if kind is int else (int, float)
        return isinstance(value, allowed) and not isinstance(value, bool) and abs(value) < 2**63
    return kind is Any or isinstance(value, kind)


def _whole(text: str) -> int:
    # A longer one has no float, and takes long to read.
    return int(text) if len(text) < 300 else _refuse(f"A number of {len(text)} digits")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number that JSON should hold")
