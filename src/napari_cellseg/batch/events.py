"""What a batch says while it runs, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..results.rows import BatchRow


@dataclass(frozen=True)
class Planned:
    """All images, as they are called, before the first is looked at."""

    images: tuple[str, ...]


@dataclass(frozen=True)
class Running:
    """An image is being worked on."""

    image: str


@dataclass(frozen=True)
class Step:
    """How far an image has come; an empty name stands for the whole batch."""

    image: str
    done: int
    total: int
    message: str


@dataclass(frozen=True)
class RowDone:
    """An image, or a page of one, is finished."""

    row: BatchRow


@dataclass(frozen=True)
class BatchNote:
    """Something that the person should know."""

    text: str


BatchEvent = Planned | Running | Step | RowDone | BatchNote

_NAMES: dict[type, str] = {Planned: "plan", Running: "running", Step: "progress", BatchNote: "note"}


@dataclass(frozen=True)
class BatchSummary:
    """What became of a batch, in rows.

    Attributes
    ----------
    n_done, n_failed, n_skipped, n_kept : int
        By state.
    n_cells : int
        In all that have a result.
    stopped : bool
        Whether it ended before its last image because somebody wanted it.
    seconds : float
    """

    n_done: int = 0
    n_failed: int = 0
    n_skipped: int = 0
    n_kept: int = 0
    n_cells: int = 0
    stopped: bool = False
    seconds: float = 0.0

    @classmethod
    def of(cls, rows: Sequence[BatchRow], stopped: bool, seconds: float) -> BatchSummary:
        """Count rows."""
        states = [row.state for row in rows]
        counts = {f"n_{state}": states.count(state) for state in ("done", "failed", "skipped", "kept")}
        n_cells = sum(row.count or 0 for row in rows if row.has_result)
        return cls(**counts, n_cells=n_cells, stopped=stopped, seconds=seconds)


def event_dict(event: BatchEvent | BatchSummary) -> dict[str, Any]:
    """Return an event as JSON-able values, its kind first."""
    if isinstance(event, RowDone):
        return {"event": "row", **event.row.to_dict()}
    if isinstance(event, BatchSummary):
        return {"event": "done", **asdict(event)}
    values = asdict(event)
    return {
        "event": _NAMES[type(event)],
        **values,
        **({"images": list(event.images)} if isinstance(event, Planned) else {}),
    }
