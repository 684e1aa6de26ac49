"""Settings of a fine-tune with their ranges, labels and help, for window and command line. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ..network.devices import POLICIES
from .settings import check_settings, setting, settings_from_dict

FREEZE = ("nothing", "norms", "encoder")
AUTO, GENTLE, THOROUGH = "auto", "gentle", "thorough"
# What an approach sets where the user did not. Gentle keeps what the parent knows about images like these; thorough
# learns a kind of images that the parent does not know, at the cost of what it knows about others.
APPROACHES: Mapping[str, Mapping[str, Any]] = {
    GENTLE: {"learning_rate": 3e-4, "general": 0.5, "freeze": "norms", "blend": 0.6},
    THOROUGH: {"learning_rate": 1e-3, "general": 0.2, "freeze": "nothing", "blend": 1.0},
}
_BY_APPROACH = "by approach"


def _by_approach(name: str) -> str:
    return ", ".join(f"{values[name]} if {approach}" for approach, values in APPROACHES.items())


@dataclass(frozen=True)
class FineTuneParams:
    """Settings of a fine-tune; the defaults suit one to ten images on two cores.

    Raises
    ------
    ParamsError
        If a value is out of its range.
    """

    minutes: float = setting(5.0, "Time budget", "minutes of training", 0.01, 1440, expert=False, unit="min")
    steps: int = setting(20_000, "Most steps", "optimiser steps at most, whatever the time budget", 1, 10**7)
    approach: str = setting(
        AUTO,
        "Approach",
        "gentle: for images like those the parent knows; thorough: for a new kind of images; auto: thorough where the "
        "parent finds less than half of the reviewed cells",
        choices=(AUTO, GENTLE, THOROUGH),
    )
    learning_rate: float | None = setting(
        None,
        "Learning rate",
        "peak of the schedule: up over the first tenth, then down to a thousandth; default: "
        + _by_approach("learning_rate"),
        1e-7,
        1.0,
        kind=float,
        none=_BY_APPROACH,
    )
    batch_size: int = setting(6, "Crops per step", "crops that each step learns from", 1, 256)
    crop: int = setting(192, "Crop", "side of the crops in pixels; a multiple of 16 is best", 32, 2048)
    general: float | None = setting(
        None,
        "General samples",
        "part of the crops that come from the bundled general samples, against forgetting; default: "
        + _by_approach("general"),
        0,
        0.9,
        kind=float,
        none=_BY_APPROACH,
    )
    freeze: str | None = setting(
        None,
        "Keep fixed",
        "norms: the statistics of the layers; encoder: the whole contracting half too; default: "
        + _by_approach("freeze"),
        choices=FREEZE,
        none=_BY_APPROACH,
    )
    blend: float | None = setting(
        None,
        "How far from the parent",
        "1: the weights that were learned; less: between them and the parent's; default: 0.6 if gentle, "
        "if thorough the least that does as well on what was held out",
        0.05,
        1.0,
        kind=float,
        none=_BY_APPROACH,
    )
    hold_out: float = setting(
        0.2, "Held out", "part of what was reviewed that is kept for checking and not learned from", 0.05, 0.5
    )
    average: float = setting(0.98, "Averaging", "decay of the running average of the weights", 0.0, 0.9999)
    weight_decay: float = setting(1e-3, "Weight decay", "pull of the weights towards zero", 0.0, 1.0)
    validate_every: int = setting(20, "Look every", "steps between two looks at what is held out", 1, 10**6)
    checkpoint_seconds: float = setting(30.0, "Checkpoint every", "seconds between two checkpoints", 0.0, 3600)
    seed: int = setting(0, "Seed", "of every random choice", 0, 2**31 - 1)
    device: str = setting("auto", "Runs on", "where the network is trained", choices=POLICIES)

    def __post_init__(self) -> None:
        check_settings(self, "Fine-tuning")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able values."""
        return asdict(self)

    def resolved(self, new_kind: bool = False) -> FineTuneParams:
        """Return the settings with the approach chosen, and with its values where the user gave none, but for `blend`.

        Parameters
        ----------
        new_kind : bool
            Whether the images are of a kind that the parent does not know: decides where the approach is auto.
        """
        approach = (THOROUGH if new_kind else GENTLE) if self.approach == AUTO else self.approach
        own = {name: v for name, v in APPROACHES[approach].items() if name != "blend" and getattr(self, name) is None}
        return replace(self, approach=approach, **own)

    @property
    def blend_of_looks(self) -> float:
        """The way from the parent while it learns."""
        return float(APPROACHES[self.resolved().approach]["blend"]) if self.blend is None else self.blend

    @property
    def chooses_blend(self) -> bool:
        """Whether the way from the parent is chosen at the end, by what was held out."""
        return self.approach == THOROUGH and self.blend is None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FineTuneParams:
        """Rebuild settings; unknown entries are refused."""
        return settings_from_dict(cls, values, "Fine-tuning")


def is_expert(name: str) -> bool:
    """Whether a setting is shown only to those who ask for more."""
    meta = {f.name: f.metadata for f in fields(FineTuneParams)}[name]
    return bool(meta.get("expert", True))
