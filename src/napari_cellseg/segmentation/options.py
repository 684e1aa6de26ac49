"""How a segmentation runs and which files it writes; the labels do not depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..imaging.errors import CellsegError, ParamsError
from ..imaging.read.values.json_file import read_values
from ..imaging.write.csv_style import COMMA, CSV_STYLES
from ..imaging.write.ome_metadata import OME_ZARR

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class RunOptions:
    """Where a recipe runs, in which way, and which files are written.

    Two runs of one recipe give equal labels whatever these options are. Recipe files hold them together with the
    settings of the recipe.

    Parameters
    ----------
    device : str
        One of `DEVICES`.
    outputs : tuple of str
        Names of :data:`napari_cellseg.results.outputs.OUTPUTS`.
    blocks : bool
    csv : str
        One of :data:`napari_cellseg.imaging.write.csv_style.CSV_STYLES`.
    regions : str
        File with the regions in which cells are counted, or `napari_cellseg.instances.areas.BESIDE`; empty for none.
    ome_zarr : str
        One of :data:`napari_cellseg.imaging.write.ome_metadata.OME_ZARR`.

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

    csv: str = field(
        default=COMMA,
        metadata={
            "help": "tables of counts and cells: comma parts columns by commas; semicolon is for Excel where the "
            "decimal sign is a comma: semicolons, decimal commas and a byte-order mark",
            "choices": CSV_STYLES,
        },
    )
    ome_zarr: str = field(
        default=OME_ZARR[0],
        metadata={
            "help": "version of OME-Zarr in which labels are written: 0.5 (Zarr 3), or 0.4 for programs that read "
            "Zarr 2 only",
            "choices": OME_ZARR,
        },
    )

    regions: str = field(
        default="",
        metadata={
            "help": "also count in regions: a zip of ImageJ ROIs, GeoJSON or label image for all images, 'beside' "
            "for IMAGE_regions.geojson, .zip or .tif beside each, or a folder with such files"
        },
    )

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ParamsError(f"Device {self.device!r} is unknown. Choose one of {', '.join(DEVICES)}.")
        if self.csv not in CSV_STYLES:
            raise ParamsError(f"The style of CSV files {self.csv!r} is unknown. Choose one of {', '.join(CSV_STYLES)}.")
        if self.ome_zarr not in OME_ZARR:
            raise ParamsError(f"The version of OME-Zarr {self.ome_zarr!r} is unknown. Choose {' or '.join(OME_ZARR)}.")
        if not isinstance(self.regions, str):
            raise ParamsError(f"The option regions is {self.regions!r}; it must be a file, or 'beside'.")
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
    next_step = "Give a recipe.json of an earlier run."
    values = read_values(Path(path), CellsegError, next_step)
    settings = values.get("recipe", values)
    if not isinstance(settings, dict):
        raise CellsegError(f"The recipe {path} holds no settings by name. {next_step}")
    return settings


def overridden(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a recipe file, overridden by those that are given and not None."""
    given = {name: value for name, value in given.items() if value is not None}
    # The recipe's own model was left for another one: its hash is about the first. A smallest size that was asked for
    # is meant for all images.
    dropped = {"model": "model_sha256", "min_size": "fit_min_size"}
    left = {dropped[name] for name in given if name in dropped}
    return {**{name: value for name, value in base.items() if name not in left}, **given}
