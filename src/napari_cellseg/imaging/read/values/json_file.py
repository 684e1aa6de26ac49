"""Values by name from JSON files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ...errors import CellsegError
from .json_types import parse_json

Thing = TypeVar("Thing")
# Bytes; settings, records and small tables have no more.
LARGEST = 1 << 26


def read_json(path: Path, largest: int | None = LARGEST) -> Any:
    """Read a JSON file.

    Parameters
    ----------
    path : Path
    largest : int or None
        Bytes; a larger file is not read.

    Raises
    ------
    OSError, ValueError
        The file is missing, is no regular file, is too large, or is not JSON.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no regular file")
    if largest is not None and path.stat().st_size > largest:
        raise ValueError(f"it has more than {largest >> 20} MB")
    return parse_json(path.read_text(encoding="utf-8-sig"))


def read_values(
    path: Path, failure: type[CellsegError] = CellsegError, next_step: str = "", largest: int | None = LARGEST
) -> dict[str, Any]:
    """Read a JSON file that holds values by name.

    Parameters
    ----------
    path : Path
    failure : type of CellsegError
        What is raised where the file is missing, is not JSON or holds anything else.
    next_step : str
        The end of that error's message.
    largest : int or None
        See :func:`read_json`.
    """
    try:
        values = read_json(path, largest)
    except (OSError, ValueError) as error:
        raise failure(f"{path} cannot be read ({error}). {next_step}".rstrip()) from error
    if not isinstance(values, dict):
        raise failure(
            f"{path} cannot be read (it holds {type(values).__name__}, not values by name). {next_step}".rstrip()
        )
    return values


def read_as(
    path: Path, build: Callable[[dict[str, Any]], Thing], failure: type[CellsegError], next_step: str
) -> Thing | None:
    """Build something from a JSON file that holds values by name; None where there is no file, else see `read_values`.

    `failure` is also raised where the values are not those that `build` expects.
    """
    if not path.is_file():
        return None
    values = read_values(path, failure, next_step)
    try:
        return build(values)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise failure(f"{path} cannot be read ({error!r}). {next_step}") from error


def values_if_any(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds values by name; empty where it is missing or cannot be read."""
    try:
        return read_values(path)
    except CellsegError:
        return {}
