"""Segment one image or a stack of planes; open cells that were saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from ..corrections.exchange import read_corrections
from ..corrections.tools import import_labels
from ..imaging.errors import ImageError
from ..imaging.image import Image
from ..imaging.progress import Progress, drain
from ..imaging.stack_planes import plane_image, planes_of, stack_shape
from ..imaging.write.write import read_labels
from ..instances.area_files import read_areas, regions_file
from ..instances.areas import Areas
from ..instances.linking import link_cells, without_small
from ..results.reopening import saved_cells
from ..segmentation.recipe import Recipe
from ..segmentation.segment import iter_predict_image
from ..segmentation.taking import take_labels
from .asking import Callback, ImageOf, PathOf, RecipeOf, Settings, chosen_recipe, open_any
from .segmentation import Segmentation

if TYPE_CHECKING:
    pass


def segment(
    image: ImageOf, recipe: RecipeOf = None, *, callback: Callback | None = None, **settings: Unpack[Settings]
) -> Segmentation:
    """Segment the cells of one image.

    Parameters
    ----------
    image : array, path, Image, or layer of napari
        ``(Y, X)``, ``(Y, X, 3 or 4)`` colour, or anything else together with ``axes``. Any real dtype. Of a layer, the
        layer itself or its ``LayerDataTuple``.
    recipe : Recipe or path, optional
        What was chosen in the window or an earlier run: a recipe, or a ``recipe.json``.
    callback : callable, optional
        Called with a `Progress` many times a second; it may raise to cancel.
    **settings
        Those of `Settings` that override the recipe, such as ``model``, ``threshold``, ``min_size``, ``channel``,
        ``axes``, ``diameter``, ``accurate``, ``percentiles`` and ``device``.

    Returns
    -------
    Segmentation

    Raises
    ------
    CellsegError
        If the image, the channel, the model or the device cannot be used, or a setting is unknown.

    Examples
    --------
    >>> from napari_cellseg import segment
    >>> cells = segment("image.tif", threshold=0.4)  # doctest: +SKIP
    >>> cells.count, cells.at(threshold=0.6).count  # doctest: +SKIP
    (312, 305)
    """
    chosen, options = chosen_recipe(recipe, settings)
    opened = open_any(image, chosen.axes)
    regions = regions_file(options.regions, opened.source)
    areas = None if regions is None else read_areas(regions, opened.shape_yx)
    return _segment(opened, chosen, options.device, callback, areas)


def segment_stack(
    image: ImageOf,
    recipe: RecipeOf = None,
    *,
    callback: Callback | None = None,
    **settings: Unpack[Settings],
) -> tuple[np.ndarray, list[Segmentation]]:
    """Segment every plane of a stack in memory; see `segment_folder` for files, tables and stacks beyond memory.

    Parameters
    ----------
    image : array, path, Image, or layer of napari
        With axes ``T`` or ``Z``.
    recipe : Recipe or path, optional
    callback : callable, optional
        Called with a `Progress` after each plane.
    **settings
        Of `Settings`; with ``link`` a cell has one id on all planes.

    Returns
    -------
    labels : ndarray of int32
        ``(T, Z, Y, X)``, of which single T or Z are left out.
    planes : list of Segmentation
        Of each plane, time before slice; their ids are those within the plane.

    Raises
    ------
    CellsegError
        As `segment`.
    """
    chosen, options = chosen_recipe(recipe, {**settings, "pages": "stack"})
    opened = open_any(image, chosen.axes)
    # All planes of a stack have one smallest size.
    alone = replace(chosen.resolved(), pages="one", link="none")
    places, segmented = planes_of(opened), []
    for i, place in enumerate(places):
        segmented.append(_segment(plane_image(opened, place), alone, options.device))
        if callback is not None:
            callback(Progress(i + 1, len(places), place.name))
    labels = np.zeros(stack_shape(opened), np.int32)
    if chosen.link == "none":
        for place, cells in zip(places, segmented, strict=True):
            labels[place.position] = cells.labels
        return labels, segmented
    volumes, least = chosen.link == "z", int(alone.min_size or 0)
    # Without a smallest size, which would break the links; then those are dropped that are too small.
    cut = [cells.at(min_size=0) for cells in segmented]
    found = ((place.position, cells.labels, None) for place, cells in zip(places, cut, strict=True))
    _, lookups = link_cells(found, volumes, float(chosen.link_iou))
    sizes = [(cells.table["index"], cells.table["area_px"]) for cells in cut]
    for place, cells, lookup in zip(places, cut, without_small(lookups, sizes, least, volumes), strict=True):
        labels[place.position] = lookup[cells.labels]
    return labels, segmented


def open_cells(labels: np.ndarray | PathOf, image: ImageOf = None, recipe: RecipeOf = None) -> Segmentation:
    """Open saved cells to go on with them, or take labels of any tool as the cells of an image.

    Parameters
    ----------
    labels : array or path
        A label TIFF that was saved here: its cells are found again by its recipe, and its corrections are laid over
        them. Or labels (Y, X), or a file of any tool with them: their cells have no probability, and the threshold
        changes nothing.
    image : array, path, Image, or layer of napari, optional
        By default the one that the saved file names.
    recipe : Recipe or path, optional
        For labels of other tools: channel and percentiles in which cells are measured, and the model that learns.

    Returns
    -------
    Segmentation

    Raises
    ------
    CellsegError
        The file, its image or its model cannot be used.
    """
    chosen, _ = chosen_recipe(recipe, {})
    if not isinstance(labels, (str, Path)):
        opened = open_any(_needed(image, "the labels"), chosen.axes)
        return Segmentation(take_labels(np.asarray(labels), opened, chosen, "labels of an array"))
    path = Path(labels)
    saved = saved_cells(path)
    if image is None and saved is not None:
        image = saved.find_image()
    opened = open_any(_needed(image, path.name), chosen.axes)
    found = {}
    if saved is None or saved.corrected:
        found = read_corrections(path, opened.shape_yx, image=opened.source or opened.name)
    if saved is not None and saved.recipe is not None and saved.is_of(opened):
        cells = _segment(opened, replace(saved.recipe, axes=chosen.axes, pages="one", link="none"), "auto")
        if found:
            cells.correct(import_labels, **found)
        if saved.count in (None, cells.count):
            return cells
    # Another device or version finds others: what was saved is what counts.
    taken = found["labels"] if found else read_labels(path)
    return Segmentation(take_labels(taken, opened, chosen, path.name))


def _segment(
    image: Image, recipe: Recipe, device: str, callback: Callback | None = None, areas: Areas | None = None
) -> Segmentation:
    found = drain(iter_predict_image(image, recipe, device), callback or (lambda _: None))
    return Segmentation(found.in_areas(areas))


def _needed(image: ImageOf, name: str) -> ImageOf:
    if image is None:
        raise ImageError(f"The image of {name} is not known, or not where it was. Give it, as the second argument.")
    return image
