"""Request and result of a segmentation block by block."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..imaging.errors import ImageError
from ..imaging.image import Image
from ..imaging.memory import has_room
from ..imaging.progress import Progress
from ..imaging.read.cells.outlines import Rings
from ..imaging.read.finding import LABELS_ZARR_SUFFIX
from ..imaging.regions import Region
from ..imaging.write.zarr_labels import read_zarr_metadata
from ..instances.compartments import Growth
from ..network.versions import ModelVersion
from ..results.inside import check_inside, source_of
from ..results.origin import foreign
from ..results.outputs import CELL_TABLES
from ..segmentation.options import DEFAULT_OPTIONS, RunOptions
from ..segmentation.peak import peak_bytes
from ..segmentation.recipe import Recipe

if TYPE_CHECKING:
    from ..network.tile_maps import TileMaps

BLOCK = 2048
# Below this size, blocks need as much memory as one piece.
FEWEST_PIXELS = 4 * BLOCK * BLOCK
# Above this size a plane is always done in blocks: in one piece it would be magnified less than its cells need.
MOST_PIXELS = 150_000_000
OUTPUTS = ("labels", *CELL_TABLES, "submission", "inside")


class TileHelpers(Protocol):
    """Processes that help with the tiles of a plane, such as the workers of a cluster."""

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
        Path of the image, and size and time of its files when it was opened. Empty for an array, of which nothing
        is resumed.
    overwrite : bool
        Also replace a folder of that name that this package did not write.
    options : RunOptions
    side : int
        Of the blocks, in pixels.
    helpers : TileHelpers, optional
        Processes that make tiles too.
    page : str
        Which plane of a stack it is, such as ``t003_z001``.
    smallest : int
        Smallest area in pixels, once the typical diameter of the cells is known.
    regions : sequence of (str, sequence of ndarray), optional
        Outlines in which cells are counted too, as `areas_of` takes them.
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
    page: str = ""
    smallest: int = 0
    regions: Sequence[tuple[str, Rings]] | None = None

    @property
    def labels(self) -> Path:
        """Path of the labels."""
        return self.out / f"{self.stem}{LABELS_ZARR_SUFFIX}"

    @property
    def measures(self) -> bool:
        """Whether a table of the cells is needed."""
        return not {*CELL_TABLES, "inside"}.isdisjoint(self.options.outputs)

    @property
    def reach(self) -> int:
        """How many pixels around its cells a block needs to see: neighbours into which they are not grown."""
        if self.recipe.grow is None:
            return 0
        growth, size = Growth.parse(self.recipe.grow), self.image.pixel_size
        if growth.unit == "um" and size is None:
            return 0
        return 2 * math.ceil(growth.amount / (1.0 if growth.unit == "px" or size is None else min(size)) + 1)


@dataclass(frozen=True, eq=False)
class MosaicResult:
    """Result of a segmentation block by block.

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
        What the user should know about how it was computed.
    metadata : dict
        Provenance, as it is in the labels.
    positive : dict of str to int
        How many cells are positive, and of each class; see `Counted.numbers`.
    """

    files: dict[str, str]
    areas: np.ndarray
    holes: list[Region]
    reason: str
    notes: tuple[str, ...]
    metadata: dict[str, Any]
    positive: Mapping[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of cells."""
        return len(self.areas)


def in_blocks(image: Image, options: RunOptions) -> bool:
    """Whether a plane is segmented block by block: on demand, or because it is too large for one piece."""
    n_pixels = math.prod(image.shape_yx)
    if options.blocks or n_pixels > MOST_PIXELS:
        return True
    return n_pixels > FEWEST_PIXELS and not has_room(peak_bytes(image.shape_yx))


def check_possible(mosaic: Mosaic) -> None:
    """Check whether a plane can be segmented block by block.

    Raises
    ------
    ImageError
        An output, a setting or the model is not possible block by block.
    OutputError
        There is a folder of that name that this package did not write, or the image cannot take labels.
    """
    title, recipe = mosaic.image.title, mosaic.recipe
    if mosaic.model.network:
        raise ImageError(
            f"{title} is segmented block by block, but {mosaic.model.name} is a network of another package, and those "
            "see an image as a whole. Choose another model, or cut the image."
        )
    others = [name for name in mosaic.options.outputs if name not in OUTPUTS]
    if others:
        raise ImageError(
            f"{title} is segmented block by block, and then only {', '.join(OUTPUTS)} can be saved, but "
            f"{', '.join(others)} was asked for too. Choose fewer outputs."
        )
    if recipe.accurate:
        raise ImageError(
            f"{title} is segmented block by block, where averaging over flips and magnifications (accurate) is not "
            "possible. Switch it off."
        )
    if "inside" in mosaic.options.outputs:
        check_inside(source_of(mosaic.image))
    if mosaic.labels.exists() and not mosaic.overwrite:
        try:
            read_zarr_metadata(mosaic.labels)
        except ImageError as error:
            raise foreign(mosaic.labels) from error
