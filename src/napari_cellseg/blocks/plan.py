"""A plane that is segmented block by block: what is asked for, and what becomes of it."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..imaging.errors import ImageError, OutputError
from ..imaging.image import Image, as_image
from ..imaging.memory import free_bytes
from ..imaging.progress import Progress
from ..imaging.read.finding import LABELS_ZARR_SUFFIX
from ..imaging.tiles import Region
from ..imaging.write.zarr_labels import read_zarr_metadata
from ..network.versions import ModelVersion
from ..segmentation.options import DEFAULT_OPTIONS, RunOptions
from ..segmentation.recipe import Recipe

if TYPE_CHECKING:
    from ..network.tile_maps import TileMaps

BLOCK = 2048
# Below this blocks need no less memory than one piece.
FEWEST_PIXELS = 4 * BLOCK * BLOCK
# Above this a plane is always done in blocks: in one piece it would be magnified less than its cells need.
MOST_PIXELS = 150_000_000
# What finding cells in one piece takes at its peak.
BYTES_PER_PIXEL = 100
OUTPUTS = ("labels", "cells", "submission")


class TileHelpers(Protocol):
    """Others who make tiles of a plane, such as the workers of a cluster."""

    def begin(self, begun: Mapping[str, Any], maps: TileMaps) -> None:
        """Start to help with a plane, of which `survey.iter_survey` found out `begun`."""

    def ask(self, maps: TileMaps, indices: list[int]) -> None:
        """Ask for tiles that will be needed soon."""

    def iter_share(self, maps: TileMaps, region: Region) -> Generator[Progress, None, None]:
        """Make the tiles of a region together; the caller makes those that are missing afterwards."""

    def end(self) -> None:
        """Ask for no more tiles."""


@dataclass(frozen=True, eq=False)
class Mosaic:
    """A plane to be segmented block by block.

    Attributes
    ----------
    image : Image
        Of one time point and one slice.
    recipe : Recipe
        With threshold and min_size filled in.
    model : ModelVersion
    out : Path
        Folder of the results.
    stem : str
        Beginning of the file names, relative to `out`.
    digest : str
        The recipe's.
    source : dict
        What tells the image from another: its path, and size and time of its files when it was opened. Empty for an
        array, of which nothing is resumed then.
    overwrite : bool
        Also replace a folder in the place of the labels that no run of ours wrote.
    options : RunOptions
    side : int
        Of the blocks, in pixels.
    helpers : TileHelpers, optional
        Others who make tiles too.
    smallest : int
        Smallest area in pixels, once the typical diameter of the cells is known.
    """

    image: Image
    recipe: Recipe
    model: ModelVersion
    out: Path
    stem: str
    digest: str = ""
    source: Mapping[str, Any] = field(default_factory=dict)
    overwrite: bool = False
    options: RunOptions = DEFAULT_OPTIONS
    side: int = BLOCK
    helpers: TileHelpers | None = None
    smallest: int = 0

    @property
    def labels(self) -> Path:
        """Where the labels will be."""
        return self.out / f"{self.stem}{LABELS_ZARR_SUFFIX}"

    @classmethod
    def of(cls, image: Any, recipe: Recipe, out: Path, stem: str, **more: Any) -> Mosaic:
        """Ask for an image, or an array of any kind, by a recipe.

        Raises
        ------
        CellsegError
            The image, its axes or the model cannot be used.
        """
        model = recipe.load_model()
        image = as_image(image, recipe.axes)
        return cls(image, recipe.resolved(model), model, Path(out).absolute(), stem, recipe.digest(model), **more)


@dataclass(frozen=True, eq=False)
class MosaicResult:
    """What became of it.

    Attributes
    ----------
    files : dict of str to str
        Paths of the results by output, relative to the folder of results, with ``/``.
    areas : numpy.ndarray
        Of all cells, in pixels, in the order of their ids.
    holes : list of (slice, slice)
        Parts of the plane that could not be read, taken as empty.
    reason : str
        Why the first of them could not be read.
    notes : tuple of str
        What the person should know about how it was computed.
    metadata : dict
        Provenance, as it is in the labels.
    """

    files: dict[str, str]
    areas: np.ndarray
    holes: list[Region]
    reason: str
    notes: tuple[str, ...]
    metadata: dict[str, Any]

    @property
    def count(self) -> int:
        """Number of cells."""
        return len(self.areas)


def in_blocks(image: Image, options: RunOptions) -> bool:
    """Whether a plane is to be done block by block: on demand, or because it is too large for one piece."""
    n_pixels = math.prod(image.shape_yx)
    if options.blocks or n_pixels > MOST_PIXELS:
        return True
    return n_pixels > FEWEST_PIXELS and n_pixels * BYTES_PER_PIXEL > free_bytes()


def check_possible(mosaic: Mosaic) -> None:
    """See whether it can be done.

    Raises
    ------
    ImageError
        Something is asked for that is not possible block by block.
    OutputError
        There is a folder in the place of the labels that is none of ours.
    """
    title, recipe = mosaic.image.title, mosaic.recipe
    others = [name for name in mosaic.options.outputs if name not in OUTPUTS]
    if others:
        raise ImageError(
            f"{title} is segmented block by block, and then only {', '.join(OUTPUTS)} can be saved, but "
            f"{', '.join(others)} was asked for too. Save it without that."
        )
    if recipe.accurate:
        raise ImageError(
            f"{title} is segmented block by block, where averaging over flips and magnifications (accurate) is not "
            "possible. Leave it out."
        )
    if mosaic.labels.exists() and not mosaic.overwrite:
        try:
            read_zarr_metadata(mosaic.labels)
        except ImageError as error:
            raise OutputError(
                f"{mosaic.labels} was not written by napari-cellseg and is left as it is. "
                "Choose another folder, or give --overwrite."
            ) from error
