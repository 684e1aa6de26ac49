"""Segment one image, a stack of planes, or a folder; open cells that were saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from ..corrections.exchange import read_corrections
from ..corrections.tools import import_labels
from ..imaging.channels import Channel
from ..imaging.errors import ImageError, ParamsError
from ..imaging.image import Image
from ..imaging.normalize import NormalizerParams
from ..imaging.progress import Progress, drain
from ..imaging.read.finding import find_images, named_apart
from ..imaging.read.zarr_places import allow
from ..imaging.stack_planes import plane_image, planes_of, stack_shape
from ..imaging.write.write import read_labels
from ..instances.linking import link_cells, without_small
from ..network.versions import ModelVersion
from ..results.counts import in_order
from ..results.outputs import check_outputs
from ..results.reopening import saved_cells
from ..results.rows import BatchRow
from ..segmentation.options import RunOptions, overridden, read_settings
from ..segmentation.recipe import Recipe
from ..segmentation.segment import iter_predict_image, open_image
from ..segmentation.taking import take_labels
from .segmentation import Segmentation

if TYPE_CHECKING:
    import pandas

    from ..batch.events import BatchEvent, BatchSummary

PathOf = str | Path
RecipeOf = Recipe | PathOf | None
ImageOf = Any
Heard = Callable[[Progress], object]


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
    device : {'auto', 'cpu', 'cuda', 'mps'}
    pages : {'one', 'each', 'stack'}
        Of `segment_folder`: refuse a file of several planes, one result for each, or one for all.
    link : {'none', 'z', 't'}
        Of `segment_folder` and `segment_stack`: give a cell one id on all planes, as 3D cells or tracks.
    link_iou : float
        Overlap from which cells of neighbouring planes are one.
    blocks : bool
        Of `segment_folder`: block by block, for images larger than memory.
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
    device: str
    pages: str
    link: str
    link_iou: float
    blocks: bool
    csv: str


def segment(
    image: ImageOf, recipe: RecipeOf = None, *, callback: Heard | None = None, **settings: Unpack[Settings]
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
    return _segment(_opened(image, chosen.axes), chosen, options.device, callback)


def segment_stack(
    image: ImageOf,
    recipe: RecipeOf = None,
    *,
    callback: Heard | None = None,
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
    opened = _opened(image, chosen.axes)
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


@dataclass(frozen=True, eq=False)
class FolderResult:
    """What `segment_folder` did.

    Attributes
    ----------
    out : Path
        The folder of results, with ``counts.csv`` and ``recipe.json``.
    rows : tuple of BatchRow
        One per image, or per plane of a stack: count, areas, files, notes and, of a bad image, the error.
    summary : BatchSummary
    """

    out: Path
    rows: tuple[BatchRow, ...]
    summary: BatchSummary

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the rows as a data frame of pandas."""
        import pandas

        return pandas.DataFrame([row.to_dict() for row in self.rows])


def segment_folder(
    images: PathOf | Iterable[PathOf],
    out: PathOf,
    recipe: RecipeOf = None,
    *,
    outputs: Sequence[str] | None = None,
    pattern: str | None = None,
    subfolders: bool = True,
    resume: bool = False,
    overwrite: bool = False,
    scheduler: str | None = None,
    callback: Callable[[BatchEvent], object] | None = None,
    **settings: Unpack[Settings],
) -> FolderResult:
    """Segment folders and files into a folder of results, as the Batch widget and ``napari-cellseg segment`` do.

    Parameters
    ----------
    images : path or iterable of paths
        Files and folders.
    out : path
        Folder for the results; made if missing.
    recipe : Recipe or path, optional
    outputs : sequence of str, optional
        Names of :data:`napari_cellseg.results.outputs.OUTPUTS`; by default those of the recipe file, or labels.
    pattern : str, optional
        Only files of folders that match, such as ``"*.tif"``.
    subfolders : bool
        Whether to look in the folders of a folder.
    resume : bool
        Skip what was done before with the same recipe.
    overwrite : bool
        Also replace labels that were edited manually, and files of other programs.
    scheduler : str, optional
        Address of a Dask cluster that does the work.
    callback : callable, optional
        Called with every event, such as :class:`napari_cellseg.batch.events.RowDone`; it may raise to stop.
    **settings
        Of `Settings`; ``pages``, ``link`` and ``blocks`` do stacks, volumes, tracks and images larger than memory.

    Returns
    -------
    FolderResult

    Raises
    ------
    CellsegError
        The model or the folder cannot be used; a bad image does not raise, its row has an error.
    """
    from ..batch.events import RowDone
    from ..batch.run import iter_batch

    pages = {"pages": "stack"} if settings.get("link") in ("z", "t") else {}
    chosen, options = chosen_recipe(recipe, {**pages, **settings, "outputs": outputs})
    options = replace(options, outputs=check_outputs(options.outputs, chosen))
    given = [images] if isinstance(images, (str, Path)) else list(images)
    for path in given:
        allow(path)
    files = named_apart(find_images(given, pattern, subfolders))
    rows: list[BatchRow] = []

    def hear(event: BatchEvent) -> None:
        if isinstance(event, RowDone):
            rows.append(event.row)
        if callback is not None:
            callback(event)

    steps = iter_batch(files, Path(out), chosen, options, resume=resume, overwrite=overwrite, scheduler=scheduler)
    summary = drain(steps, hear)
    return FolderResult(Path(out), tuple(in_order(rows)), summary)


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
        opened = _opened(_needed(image, "the labels"), chosen.axes)
        return Segmentation(take_labels(np.asarray(labels), opened, chosen, "labels of an array"))
    path = Path(labels)
    saved = saved_cells(path)
    if image is None and saved is not None:
        image = saved.find_image()
    opened = _opened(_needed(image, path.name), chosen.axes)
    found = read_corrections(path, opened.shape_yx) if saved is None or saved.corrected else {}
    if saved is not None and saved.recipe is not None and saved.is_of(opened):
        cells = _segment(opened, replace(saved.recipe, axes=chosen.axes, pages="one", link="none"), "auto")
        if found:
            cells.correct(import_labels, **found)
        if saved.count in (None, cells.count):
            return cells
    # Another device or version finds others: what was saved is what counts.
    taken = found["labels"] if found else read_labels(path)
    return Segmentation(take_labels(taken, opened, chosen, path.name))


def _segment(image: Image, recipe: Recipe, device: str, callback: Heard | None = None) -> Segmentation:
    return Segmentation(drain(iter_predict_image(image, recipe, device), callback or (lambda _: None)))


def _needed(image: ImageOf, name: str) -> ImageOf:
    if image is None:
        raise ImageError(f"The image of {name} is not known, or not where it was. Give it, as the second argument.")
    return image


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
    if "percentiles" in settings:
        settings["normalizer"] = NormalizerParams(*settings.pop("percentiles"))
    values = overridden(base, settings)
    return Recipe.from_dict(values), RunOptions.from_dict(values)


def _opened(image: ImageOf, axes: str | None) -> Image:
    if isinstance(image, tuple) and len(image) == 3 and image[2] == "image":
        from napari.layers import Layer

        image = Layer.create(*image)
    if type(image).__module__.startswith("napari."):
        from ..gui.viewer.layer_image import image_from_layer

        return image_from_layer(image, axes)
    if isinstance(image, (str, Path)):
        # What a script names is as good as typed.
        allow(image)
    return open_image(image, axes)
