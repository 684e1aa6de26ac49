"""An image that was opened from a row of a batch, and how it is read with the recipe of its results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...corrections import exchange
from ...imaging.errors import CellsegError, ImageError
from ...imaging.image import Image
from ...imaging.read.pyramid import pyramid
from ...imaging.read.read import read_image
from ...imaging.stack_planes import plane_image, planes_of
from ...imaging.write.write import read_label_stack, read_metadata
from ...instances.filters import Filters
from ...results.rows import BatchRow
from ...segmentation.cells import Cells
from ...segmentation.recipe import RECIPE_FILE, Recipe

Stand = tuple[int, float, int, Filters, str]


@dataclass
class OpenedRow:
    """An image layer that was opened from a batch.

    Attributes
    ----------
    out : Path
        Folder of the results.
    row : BatchRow
    made : Recipe
        What its results were made with.
    stored : tuple or None
        What of the cells on the screen is in the results, as `stand_of` returns it; None until they are there.
    importing : bool
        Whether the corrections in the results are still being taken over.
    """

    out: Path
    row: BatchRow
    made: Recipe
    stored: Stand | None = None
    importing: bool = False


def stand_of(cells: Cells) -> Stand:
    """Return what the user can change about cells: corrections, sliders, model."""
    return cells.revision, cells.threshold, cells.min_size, cells.filters, cells.segmented.model.sha256


def read_row(out: Path, row: BatchRow, path: Path, recipe: Recipe | None) -> tuple[Image, Recipe, Any, list[str], Any]:
    """Read an image and the recipe of its results; with their labels, where these are of linked slices."""
    made = _recipe_of(out, row, recipe)
    image = read_image(path, made.axes)
    volume = None
    if made.link == "z":
        if not row.files.get("labels"):
            raise ImageError(f"{row.title} has no cells yet. Drop the image onto napari to look at it.")
        volume, axes = read_label_stack(out / row.files["labels"])
        if axes != image.axes:
            raise ImageError(
                f"{path} has axes {image.axes} and its labels {axes}. Drop both onto napari to look at them."
            )
    elif row.page:
        page = next((page for page in planes_of(image) if page.name == row.page), None)
        if page is None:
            raise ImageError(f"{path} has no plane {row.page} any more. Press Resume to segment it again.")
        image = plane_image(image, page)
    notes = []
    if row.image_sha256 and image.content_hash() != row.image_sha256:
        notes.append("The image has changed since it was segmented; press Resume to bring its results up to date.")
    levels, left_out = pyramid(image)
    return image, made, levels, [*notes, *left_out], volume


def _recipe_of(out: Path, row: BatchRow, recipe: Recipe | None) -> Recipe:
    """Return the recipe that a row's labels were made with; of one without labels that of the batch."""
    if row.files.get("labels") and row.has_result:
        try:
            about = read_metadata(out / row.files["labels"])
            # Of a plane that the user corrected in a stack: as it was then.
            plane = (about.get(exchange.PLANES_KEY) or {}).get(row.page) or {}
            found = plane.get("recipe") or about.get("recipe")
            if isinstance(found, dict):
                return Recipe.from_dict(found)
        except CellsegError:
            # Its file is gone or another's: the recipe of the batch is still there.
            pass
    return recipe if recipe is not None else Recipe.read(out / RECIPE_FILE)
