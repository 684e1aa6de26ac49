"""What all images of a batch have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..network.versions import ModelVersion
from ..segmentation.options import DEFAULT_OPTIONS, RunOptions
from ..segmentation.recipe import Recipe
from .outputs import check_outputs


@dataclass(frozen=True, eq=False)
class Job:
    """What all images of a batch have in common.

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
        Also replace what a person corrected, or made.
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
    def of(
        cls,
        recipe: Recipe,
        out: Path,
        options: RunOptions = DEFAULT_OPTIONS,
        overwrite: bool = False,
        resume: bool = False,
    ) -> Job:
        """Load the recipe's model.

        Raises
        ------
        ParamsError
            An output is unknown, or makes no sense with the recipe.
        ModelError
            There is no such model, or it is not the one that the recipe was made with.
        """
        options = replace(options, outputs=check_outputs(options.outputs, recipe))
        model = recipe.load_model()
        out = Path(out).absolute()
        return cls(recipe.resolved(model), options, model, recipe.digest(model), out, overwrite, resume)
