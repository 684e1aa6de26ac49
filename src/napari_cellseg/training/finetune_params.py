"""Settings of a fine-tune with their ranges, labels and help, for window and command line. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..network.devices import POLICIES
from .settings import check_settings, setting, settings_from_dict

FREEZE = ("nothing", "norms", "encoder")


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
    learning_rate: float = setting(
        3e-4, "Learning rate", "peak of the schedule: up over the first tenth, then down to a thousandth", 1e-7, 1.0
    )
    batch_size: int = setting(6, "Crops per step", "crops that each step learns from", 1, 256)
    crop: int = setting(192, "Crop", "side of the crops in pixels; a multiple of 16 is best", 32, 2048)
    general: float = setting(
        0.5,
        "General samples",
        "part of the crops that come from the bundled general samples, against forgetting",
        0,
        0.9,
    )
    freeze: str = setting(
        "norms",
        "Keep fixed",
        "norms: the statistics of the layers; encoder: the whole contracting half too",
        choices=FREEZE,
    )
    blend: float = setting(
        0.6,
        "How far from the parent",
        "1: the weights that were learned; less: between them and the parent's",
        0.05,
        1.0,
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

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FineTuneParams:
        """Rebuild settings; unknown entries are refused."""
        return settings_from_dict(cls, values, "Fine-tuning")


def is_expert(name: str) -> bool:
    """Whether a setting is shown only to those who ask for more."""
    meta = {f.name: f.metadata for f in fields(FineTuneParams)}[name]
    return bool(meta.get("expert", True))
