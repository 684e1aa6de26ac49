"""What a training run says while it runs, besides its steps."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .record import TrainProgress


@dataclass(frozen=True)
class Started:
    """What is going to be learned, from what."""

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
class Note:
    """Something that the person should know."""

    text: str


@dataclass(frozen=True)
class Phase:
    """What it is busy with besides learning."""

    text: str
    done: int = 0
    total: int = 0


Event = Started | TrainProgress | Looked | Note | Phase

_NAMES = {Started: "start", TrainProgress: "step", Looked: "validation", Note: "note", Phase: "phase"}


def event_dict(event: Event) -> dict[str, Any]:
    """Return an event as JSON-able values, its kind first."""
    values = asdict(event)
    if isinstance(event, TrainProgress):
        for name in ("validation_loss", "iou", "dice"):
            values.pop(name)  # the look that follows tells them
        values["seconds_left"] = event.seconds_left
    if isinstance(event, Started):
        values["name"] = event.version.name
    return {"event": _NAMES[type(event)], **values}
