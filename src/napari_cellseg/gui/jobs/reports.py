"""Values in the reports of a child process, which may be anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def number(value: object) -> float | None:
    """Return a finite number; None for all else."""
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None  # type: ignore[arg-type]


def columns(event: Mapping[str, Any], names: Sequence[str], n_needed: int) -> list[list[float]]:
    """Return columns of one length, without the rows in which one of the first `n_needed` is no number."""
    found = [event.get(name) for name in names]
    if not all(isinstance(column, list) for column in found):
        return [[] for _ in names]
    rows = [[number(value) for value in row] for row in zip(*found, strict=False)]
    kept = [[math.nan if v is None else v for v in row] for row in rows if None not in row[:n_needed]]
    return [list(column) for column in zip(*kept, strict=True)] if kept else [[] for _ in names]


def texts(values: object) -> list[str]:
    """Return the entries of a list that are not empty, as texts."""
    return [str(value) for value in values if value] if isinstance(values, list) else []
