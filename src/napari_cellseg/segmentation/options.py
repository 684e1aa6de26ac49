"""How a segmentation runs and what it writes: nothing of it decides a label."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..imaging.errors import CellsegError, ParamsError

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class RunOptions:
    """Where a recipe runs, in which way, and which files are written.

    Two runs of one recipe give equal labels whatever these options are. In recipe files they stand beside the settings
    of the recipe, under one key each.

    Parameters
    ----------
    device : str
        One of `DEVICES`.
    outputs : tuple of str
        Names of :data:`napari_cellseg.results.outputs.OUTPUTS`.
    blocks : bool

    Raises
    ------
    ParamsError
        If a value is not one of those allowed.
    """

    device: str = field(default="auto", metadata={"help": "where the network runs", "choices": DEVICES})
    outputs: tuple[str, ...] = field(default=("labels",), metadata={"help": "what is written for each image"})
    blocks: bool = field(
        default=False,
        metadata={
            "help": "segment block by block, in little memory, into OME-Zarr labels; an image that is too large is "
            "always segmented in this way"
        },
    )

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ParamsError(f"Device {self.device!r} is unknown. Choose one of {', '.join(DEVICES)}.")
        if not isinstance(self.blocks, bool):
            raise ParamsError(f"The option blocks is {self.blocks!r}; it must be true or false.")
        if not isinstance(self.outputs, (tuple, list)) or not all(isinstance(name, str) for name in self.outputs):
            raise ParamsError(f"The outputs are {self.outputs!r}; they must be a list of names.")
        object.__setattr__(self, "outputs", tuple(dict.fromkeys(self.outputs)))

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON-able values."""
        return {**asdict(self), "outputs": list(self.outputs)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunOptions:
        """Rebuild the options from the settings of a recipe file; other entries are those of the recipe."""
        return cls(**{name: values[name] for name in OPTIONS if name in values})

    @classmethod
    def read(cls, path: str | Path) -> RunOptions:
        """Read the options from a recipe file; see :meth:`napari_cellseg.segmentation.recipe.Recipe.read`."""
        return cls.from_dict(read_settings(path))


OPTIONS = tuple(f.name for f in fields(RunOptions))
DEFAULT_OPTIONS = RunOptions()


def read_settings(path: str | Path) -> dict[str, Any]:
    """Read the settings of a recipe file by name: those of the recipe and those of the run.

    Raises
    ------
    CellsegError
        The file cannot be read, or holds no settings.
    """
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
    return values
