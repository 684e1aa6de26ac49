"""What was chosen for a segmentation, as one small value that can be saved and run again."""

from __future__ import annotations

import json
import numbers
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..imaging.errors import CellsegError, ParamsError

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Recipe:
    """Model and parameters of a segmentation.

    The model's own defaults stand in for a `threshold` or `min_size` of None.

    Raises
    ------
    ParamsError
        If a value is out of its range.
    """

    model: str = field(default="cells", metadata={"help": "model name (see: napari-cellseg models) or folder"})
    threshold: float | None = field(
        default=None, metadata={"help": "foreground probability from which a pixel belongs to a cell, 0 to 1"}
    )
    min_size: int | None = field(default=None, metadata={"help": "smallest area of a cell in pixels"})
    channel: int | None = field(default=None, metadata={"help": "channel to segment, counted from 0"})
    axes: str | None = field(
        default=None, metadata={"help": "axes of the image, such as CYX, where its file does not say"}
    )
    device: str = field(default="auto", metadata={"help": "where the network runs"})

    def __post_init__(self) -> None:
        for name, kinds, meant in (
            ("model", str, "a name or folder"),
            ("threshold", numbers.Real, "a number"),
            ("min_size", numbers.Real, "a number"),
            ("channel", numbers.Real, "a number"),
            ("axes", str, "a text such as CYX"),
        ):
            value = getattr(self, name)
            wanted = value is None and name != "model"
            if not wanted and (not isinstance(value, kinds) or isinstance(value, bool) or value != value):
                raise ParamsError(f"The recipe's {name} is {value!r}; it must be {meant}.")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ParamsError(f"The threshold is {self.threshold}; it is a probability and must lie from 0 to 1.")
        if self.min_size is not None and (not 0 <= self.min_size < 2**53 or self.min_size % 1):
            raise ParamsError(f"min_size is {self.min_size}; it must be a whole number of pixels, 0 or more.")
        if self.channel is not None and (not 0 <= self.channel < 2**31 or self.channel % 1):
            raise ParamsError(f"The channel is {self.channel}; channels are counted 0, 1, 2, ...")
        if self.device not in DEVICES:
            raise ParamsError(f"Device '{self.device}' is unknown. Choose one of {', '.join(DEVICES)}.")

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Rebuild a recipe; unknown entries are refused, so that none is silently ignored."""
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ParamsError(f"The recipe has unknown entries: {', '.join(unknown)}. Known ones: {', '.join(known)}.")
        return cls(**values)

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Read a recipe from the JSON file that a run left beside its results."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CellsegError(
                f"The recipe {path} cannot be read ({error}). Give a recipe.json of an earlier run."
            ) from error
        if isinstance(values, dict) and "recipe" in values:
            values = values["recipe"]
        if not isinstance(values, dict):
            raise CellsegError(f"The recipe {path} holds no settings by name. Give a recipe.json of an earlier run.")
        return cls.from_dict(values)
