"""The recipe that the Segment widget stands for, to be saved, loaded, and run on a folder."""

from __future__ import annotations

from dataclasses import replace

from ...segmentation.recipe import Recipe
from ..shared import preferences
from .bench import Workbench

RECIPE_FILTER = "Recipe (*.json);;All files (*)"


def present_recipe(bench: Workbench, asked: Recipe | None = None) -> Recipe:
    """Return what a person sees: model and sliders of the chosen image, or what would be asked for without cells.

    Parameters
    ----------
    bench : Workbench
    asked : Recipe, optional
        What the Segment widget's choosers say; without it what the preferences say.

    Returns
    -------
    Recipe
        Checked and complete only after its :meth:`~napari_cellseg.segmentation.recipe.Recipe.resolved`.
    """
    cells = bench.session.cells
    if cells is None:
        return asked or Recipe(preferences.default_model())
    return replace(cells.recipe, model_sha256=cells.segmented.model.sha256)
