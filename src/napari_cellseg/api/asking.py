"""What the functions for scripts take: images of any kind, recipes, and settings that override them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from ..imaging.channels import Channel
from ..imaging.errors import ParamsError
from ..imaging.image import Image
from ..imaging.normalize import NormalizerParams
from ..imaging.progress import Progress
from ..imaging.read.ome_zarr.places import allow
from ..network.versions import ModelVersion
from ..segmentation.options import RunOptions, overridden, read_settings
from ..segmentation.recipe import Recipe
from ..segmentation.segment import open_image

PathOf = str | Path
RecipeOf = Recipe | PathOf | None
ImageOf = Any
Callback = Callable[[Progress], object]


class Settings(TypedDict, total=False):
    """Settings that override those of a recipe; what neither gives is the model's.

    Keys
    ----
    model : str, path or ModelVersion
        Name or folder of a model version, or the version itself; by default ``"cells"``.
    threshold : float
        Foreground probability from which a pixel belongs to a cell, 0 to 1.
    min_size : int
        Smallest area of a cell in pixels.
    channel : int or str
        Channel to segment where there are several: its number, its name, or a mix such as ``"DAPI+GFP"``.
    axes : str
        A letter of TZCYX per dimension, needed where the image does not name its axes.
    diameter : float
        Typical diameter of the cells in pixels; None estimates it, 0 takes the image as it is.
    accurate : bool
        Average over flips, turns and magnifications.
    percentiles : tuple of float
        Percentiles of the image that become 0 and 1.
    grow : str
        Length by which nuclei are grown to cells, such as ``"3um"`` or ``"5px"``.
    positive : sequence of str
        By which channels cells are called positive, such as ``["GFP>320"]``; see docs/measuring.md.
    filters : sequence of str
        Which cells count, such as ``["area<=900", "circularity>=0.6"]``; see docs/measuring.md.
    edges : {'all', 'none', 'frame'} or str
        Which cells at the edges count: all, none that touch one, or those of a counting frame; ``frame:40`` has it 40
        pixels within the image.
    device : {'auto', 'cpu', 'cuda', 'mps'}
    pages : {'one', 'each', 'stack'}
        Of `segment_folder`: refuse a file of several planes, one result for each, or one for all.
    link : {'none', 'z', 't'}
        Of `segment_folder` and `segment_stack`: give a cell one id on all planes, as 3D cells or tracks.
    link_iou : float
        Overlap from which cells of neighbouring planes are one.
    blocks : bool
        Of `segment_folder`: block by block, for images larger than memory.
    regions : path
        Of `segment` and `segment_folder`: regions in which cells are counted too, a file for all images, or
        ``"beside"``; see docs/measuring.md.
    csv : {'comma', 'semicolon'}
        Of `segment_folder`: style of the tables.
    """

    model: str | Path | ModelVersion
    threshold: float | None
    min_size: int | None
    channel: Channel | None
    axes: str | None
    diameter: float | None
    accurate: bool
    percentiles: tuple[float, float]
    grow: str
    positive: Sequence[str]
    filters: Sequence[str]
    edges: str
    device: str
    pages: str
    link: str
    link_iou: float
    blocks: bool
    regions: str | Path
    csv: str


def chosen_recipe(recipe: RecipeOf, given: Mapping[str, Any]) -> tuple[Recipe, RunOptions]:
    """Return a recipe and options with the settings that were given."""
    base = {}
    if recipe is not None:
        if isinstance(recipe, Recipe):
            base = recipe.to_dict()
        elif isinstance(recipe, (str, Path)) and Path(recipe).is_file():
            base = read_settings(recipe)
        else:
            raise ParamsError(f"{recipe} is no recipe, nor a file of one. Give a recipe.json, or a model by model=.")
    settings = {name: value for name, value in given.items() if value is not None}
    if isinstance(settings.get("model"), ModelVersion):
        settings["model"] = str(settings["model"].path)
    elif "model" in settings:
        settings["model"] = str(settings["model"])
    if "regions" in settings:
        settings["regions"] = str(settings["regions"])
    if "percentiles" in settings:
        settings["normalizer"] = NormalizerParams(*settings.pop("percentiles"))
    values = overridden(base, settings)
    return Recipe.from_dict(values), RunOptions.from_dict(values)


def open_any(image: ImageOf, axes: str | None) -> Image:
    """Return an array, path, Image, layer of napari or its ``LayerDataTuple`` as an Image."""
    if isinstance(image, tuple) and len(image) == 3 and image[2] == "image":
        from ..gui.viewer.layer_image import image_from_layer_data

        return image_from_layer_data(image, axes)
    if type(image).__module__.startswith("napari."):
        from ..gui.viewer.layer_image import image_from_layer

        return image_from_layer(image, axes)
    if isinstance(image, (str, Path)):
        # What a script names is as good as typed.
        allow(image)
    return open_image(image, axes)
