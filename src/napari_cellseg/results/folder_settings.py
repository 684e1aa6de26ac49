"""Settings that all images of a folder of results share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..imaging.errors import ParamsError
from ..imaging.read.cells.outlines import Rings
from ..imaging.read.read import source_stamp
from ..instances.area_files import BESIDE, ENDINGS, read_outlines, regions_file
from ..instances.areas import Areas, areas_of
from ..network.versions import ModelVersion
from ..segmentation.options import DEFAULT_OPTIONS, RunOptions
from ..segmentation.recipe import Recipe
from .outputs import check_outputs

NO_REGIONS = f"No regions: there is no file IMAGE{' or '.join(ENDINGS)} beside it."


@dataclass(frozen=True, eq=False)
class FolderSettings:
    """Settings that all images of a folder of results share.

    Attributes
    ----------
    recipe : Recipe
        With all that it leaves to the model filled in.
    options : RunOptions
    model : ModelVersion
    digest : str
        The recipe's.
    out : Path
        Folder of the results.
    overwrite : bool
        Also replace labels that a user corrected or made.
    resume : bool
        Leave pages as they are whose values and recipe are those of an earlier run.
    """

    recipe: Recipe
    options: RunOptions
    model: ModelVersion
    digest: str
    out: Path
    overwrite: bool = False
    resume: bool = False

    @classmethod
    def from_recipe(
        cls,
        recipe: Recipe,
        out: Path,
        options: RunOptions = DEFAULT_OPTIONS,
        overwrite: bool = False,
        resume: bool = False,
    ) -> FolderSettings:
        """Load the recipe's model.

        Raises
        ------
        ParamsError
            An output is unknown, or makes no sense with the recipe.
        ModelError
            There is no such model, or it is not the one that the recipe was made with.
        """
        options = replace(options, outputs=check_outputs(options.outputs, recipe))
        if options.regions and recipe.link != "none":
            raise ParamsError(
                f"Cells are counted in regions of single planes, but the recipe links them over {recipe.link.upper()}. "
                "Link nothing (--link none), or leave --regions out."
            )
        if options.regions not in ("", BESIDE):
            # A cluster's workers may run elsewhere.
            options = replace(options, regions=str(Path(options.regions).absolute()))
            if not Path(options.regions).exists():
                raise ParamsError(
                    f"There is no file or folder {options.regions} with regions. Give another, or 'beside'."
                )
        model = recipe.load_model()
        out = Path(out).absolute()
        return cls(recipe.resolved(model), options, model, recipe.digest(model), out, overwrite, resume)

    def stamp(self, path: Path, name: str) -> dict[str, Any]:
        """Return what an image is recognized by: its file's path, size and time, and the hash of its regions.

        `name` is that of the image in the batch.

        Raises
        ------
        CellsegError
            The image cannot be read.
        """
        regions = regions_file(self.options.regions, str(path), name)
        known = {} if regions is None else {"regions": hashlib.sha256(regions.read_bytes()).hexdigest()}
        return {"path": str(path), **source_stamp(path), **known}

    def outlines(self, path: str, name: str, shape: tuple[int, int]) -> list[tuple[str, Rings]] | None:
        """Return the outlines of the regions of an image of a shape; None where there is no file with them.

        Raises
        ------
        ImageError
            They cannot be read.
        """
        regions = regions_file(self.options.regions, path, name)
        return None if regions is None else read_outlines(regions, shape)

    def areas(self, path: str, name: str, shape: tuple[int, int]) -> Areas | None:
        """Return the regions of an image of a shape; without a file beside it there are none, which is noted.

        Raises
        ------
        ImageError
            They cannot be read.
        """
        outlines = self.outlines(path, name, shape)
        if outlines is not None:
            return areas_of(outlines, shape)
        return Areas((), (NO_REGIONS,)) if self.options.regions == BESIDE else None
