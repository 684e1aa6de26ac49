"""Events of a running batch, and the summary at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..imaging.progress import Note
from ..results.rows import BatchRow


@dataclass(frozen=True)
class Planned:
    """Names of all images, sent before the first one begins."""

    images: tuple[str, ...]


@dataclass(frozen=True)
class Running:
    """Work on an image began."""

    image: str


@dataclass(frozen=True)
class Step:
    """Progress of an image; an empty name stands for the whole batch."""

    image: str
    done: int
    total: int
    message: str


@dataclass(frozen=True)
class RowDone:
    """An image, or a plane of one, is finished."""

    row: BatchRow


BatchEvent = Planned | Running | Step | RowDone | Note

_NAMES: dict[type, str] = {Planned: "plan", Running: "running", Step: "progress", Note: "note"}


@dataclass(frozen=True)
class BatchSummary:
    """Numbers of rows of a batch by their state.

    Attributes
    ----------
    n_done, n_failed, n_skipped, n_kept : int
        By state.
    n_cells : int
        In all that have a result.
    stopped : bool
        Whether the user stopped it before its last image.
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
    def from_rows(cls, rows: Sequence[BatchRow], stopped: bool, seconds: float) -> BatchSummary:
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
