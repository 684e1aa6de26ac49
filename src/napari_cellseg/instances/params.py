"""Parameters of the step that splits touching cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..imaging.errors import ParamsError

_NUMBERS = {
    "smoothing": (0.0, 50.0, "pixels"),
    "prominence": (0.0, 1.0, "of the centre distance"),
    "seed_probability": (0.0, 1.0, "of foreground probability"),
    "floor": (0.001, 0.999, "of foreground probability"),
}


@dataclass(frozen=True)
class SplitParams:
    """How a prediction is split into one basin per cell.

    Attributes
    ----------
    smoothing : float
        Standard deviation in pixels of the Gaussian that smooths the centre distance, 0 for none.
    prominence : float
        Two peaks of the centre distance (0 to 1) are two cells when the lower one stands further than this
        above the saddle between them; else they are one cell.
    seed_probability : float
        A peak counts only where the foreground probability is above this value.
    floor : float
        Pixels of a lower foreground probability belong to no basin, hence to no cell at any threshold.
    use_distance : bool
        Use the predicted centre distance where there is one; False takes seeds from the foreground map alone.

    Raises
    ------
    ParamsError
        When a value is outside its range or not a number.
    """

    smoothing: float = field(
        default=1.0,
        metadata={
            "label": "Smoothing",
            "tooltip": "Pixels by which the centre distance is smoothed before cells are split. "
            "Larger values split less.",
        },
    )
    prominence: float = field(
        default=0.1,
        metadata={
            "label": "Prominence",
            "tooltip": "How clear the dip between two centres must be (0 to 1) for them to be two cells. "
            "Larger values split less.",
        },
    )
    seed_probability: float = field(
        default=0.3,
        metadata={
            "label": "Seed probability",
            "tooltip": "A cell's centre counts only where the foreground probability is above this value.",
        },
    )
    floor: float = field(
        default=0.1,
        metadata={
            "label": "Floor",
            "tooltip": "Lowest foreground probability a cell can reach. The threshold works above it.",
        },
    )
    use_distance: bool = field(
        default=True,
        metadata={
            "label": "Use centre distance",
            "tooltip": "Split by the predicted centre distance; without it, by shape alone.",
        },
    )

    def __post_init__(self) -> None:
        for name, (low, high, unit) in _NUMBERS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise ParamsError(f"{name} must be a number from {low:g} to {high:g} ({unit}), got {value!r}.")
            object.__setattr__(self, name, float(value))
        if not isinstance(self.use_distance, bool):
            raise ParamsError(f"use_distance must be true or false, got {self.use_distance!r}.")

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters as a dictionary that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SplitParams:
        """Build the parameters from a dictionary; missing entries take their defaults.

        Raises
        ------
        ParamsError
            For an unknown entry or a value outside its range.
        """
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ParamsError(f"Unknown split parameters {unknown}; known are {known}.")
        return cls(**values)
