"""What a training is asked for, what its curves are so far, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...evaluation.compare import Comparison
from ...network.versions import ModelVersion
from ...training.data.choice import DataChoice
from ..jobs.reports import columns, number


@dataclass(frozen=True)
class TrainRequest:
    """The settings of one training.

    Attributes
    ----------
    training_set : Path
        Folder of corrections, or of images with masks.
    parent : str
        Name or folder of the version to start from; empty to start from nothing.
    out : Path
        Folder of the new version.
    minutes : float
        0 if the options define how long.
    options : tuple of str
        Further words of the command line: the expert settings that differ from their defaults.
    resume : bool
        Go on with the interrupted run in `out`, as it was begun.
    data : DataChoice or None
        Images with masks that are trained on; None to fine-tune on corrections.
    command : {'finetune', 'train'}
    """

    training_set: Path
    parent: str
    out: Path
    minutes: float
    options: tuple[str, ...] = ()
    resume: bool = False
    data: DataChoice | None = None
    command: str = "finetune"

    def words(self) -> list[str]:
        """Return the command line that carries this out."""
        if self.resume:
            return [self.command, "--resume", "--out", str(self.out)]
        if self.data is not None:
            words = ["train", *self.data.words(), "--out", str(self.out)]
            words += ["--parent", self.parent] if self.parent else []
            return [*words, *(["--minutes", f"{self.minutes:g}"] if self.minutes else []), *self.options]
        words = ["finetune", str(self.training_set), "--parent", self.parent, "--out", str(self.out)]
        return [*words, "--minutes", f"{self.minutes:g}", *self.options]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a training.

    Attributes
    ----------
    request : TrainRequest
    version : ModelVersion or None
        The new version; None when nothing usable came out.
    comparison : Comparison or None
        Old against new; None when the run was ended before.
    stopped_early, failed : bool
    sentence : str
        What happened and what can be done next.
    """

    request: TrainRequest
    version: ModelVersion | None
    comparison: Comparison | None
    stopped_early: bool
    failed: bool
    sentence: str


@dataclass
class CurvePoints:
    """Points of the curves; places are the part of the run that was done, 0 to 1."""

    places: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    check_places: list[float] = field(default_factory=list)
    check_losses: list[float] = field(default_factory=list)
    check_f1: list[float] = field(default_factory=list)
    check_iou: list[float] = field(default_factory=list)
    check_dice: list[float] = field(default_factory=list)
    best: int | None = None

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> CurvePoints:
        """Take the curves from the report of a resumed run on what it has reached before."""
        places, losses = columns(event, ("places", "losses"), 2)
        names = ("check_places", "check_losses", "check_f1", "check_iou", "check_dice")
        check_places, check_losses, f1, iou, dice = columns(event, names, 2)
        points = cls(places, losses, check_places, check_losses, f1, iou, dice)
        best = number(event.get("best"))
        if best is not None and 0 <= best < len(points.check_losses):
            points.best = int(best)
        return points
