"""Events of a training run: its steps, looks, notes and phases. Loads no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..imaging.progress import Note

EARLIER_POINTS = 600


@dataclass(frozen=True)
class Started:
    """Learning begins: settings and numbers of images."""

    version: Path
    parent: str
    n_images: int
    n_cells: int
    n_held_out: int
    n_held_out_cells: int
    hold_out: str
    device: str
    minutes: float
    resumed: bool = False
    step: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainProgress:
    """Where a training run stands; `validation_loss`, `iou` and `dice` of the foreground are NaN between looks."""

    step: int
    done: float
    seconds: float
    loss: float
    validation_loss: float
    parts: Mapping[str, float]
    iou: float = math.nan
    dice: float = math.nan
    rate: float = math.nan

    @property
    def seconds_left(self) -> float:
        """Time left at the present pace."""
        return self.seconds * (1 / self.done - 1) if self.done > 0 else math.inf


@dataclass(frozen=True)
class Looked:
    """A look at what is held out: loss, F1 at IoU .5, IoU and Dice of the foreground; `best`: these weights were kept.

    What was not measured is NaN.
    """

    step: int
    validation_loss: float
    f1: float
    iou: float
    best: bool
    dice: float = math.nan


@dataclass(frozen=True)
class Phase:
    """A step of the run besides learning."""

    text: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Earlier:
    """Curves of a run before it was stopped: places are the part of the run that was done.

    `places` and `losses` are means of neighbouring steps; the others have an entry for each look, NaN where something
    was not measured. `best`: which look's weights were kept.
    """

    places: tuple[float, ...]
    losses: tuple[float, ...]
    check_places: tuple[float, ...]
    check_losses: tuple[float, ...]
    check_f1: tuple[float, ...]
    check_iou: tuple[float, ...]
    check_dice: tuple[float, ...]
    best: int | None


Event = Started | TrainProgress | Looked | Note | Phase | Earlier

_NAMES = {
    Started: "start", TrainProgress: "step", Looked: "validation", Note: "note", Phase: "phase", Earlier: "earlier",
}  # fmt: skip


def earlier(history: Sequence[TrainProgress], looks: Sequence[Looked]) -> Earlier:
    """Put a run's past together; a look before the first step lies at the start."""
    known = [p for p in history if math.isfinite(p.loss)]
    every = max(1, -(-len(known) // EARLIER_POINTS))
    blocks = [known[i : i + every] for i in range(0, len(known), every)]
    places = {p.step: p.done for p in history}
    there = [look for look in looks if math.isfinite(look.validation_loss)]
    kept = [i for i, look in enumerate(there) if look.best]
    return Earlier(
        tuple(block[-1].done for block in blocks),
        tuple(math.fsum(p.loss for p in block) / len(block) for block in blocks),
        tuple(places.get(look.step, 0.0) for look in there),
        tuple(look.validation_loss for look in there),
        tuple(look.f1 for look in there),
        tuple(look.iou for look in there),
        tuple(look.dice for look in there),
        kept[-1] if kept else None,
    )


def event_dict(event: Event) -> dict[str, Any]:
    """Return an event as JSON-able values, its kind first."""
    values = asdict(event)
    if isinstance(event, TrainProgress):
        for name in ("validation_loss", "iou", "dice"):
            values.pop(name)  # they are in the look that follows
        values["seconds_left"] = event.seconds_left
    if isinstance(event, Started):
        values["name"] = event.version.name
    return {"event": _NAMES[type(event)], **values}
