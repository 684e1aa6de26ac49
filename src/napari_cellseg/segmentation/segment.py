"""Segment one image: window, command line and batch all get labels, counts and tables from here."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..imaging.channels import Channel
from ..imaging.from_array import as_image
from ..imaging.image import Image
from ..imaging.memory import check_room
from ..imaging.normalize import normalize
from ..imaging.progress import Progress, drain
from ..imaging.read.read import read_image
from ..instances.live import Instances
from ..instances.prediction import Prediction
from ..network.versions import ModelVersion
from .marker import Marker, markers_of
from .notices import notices
from .options import RunOptions
from .peak import peak_bytes
from .recipe import Recipe
from .segmented import Segmented, SegmentResult

if TYPE_CHECKING:
    from os import PathLike


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image that is ready for the network.

    Parameters
    ----------
    image : Image
    plane : ndarray
        ``(Y, X)`` or ``(Y, X, 3)``, raw.
    normalized : ndarray of float32
        The same, normalised.
    model : ModelVersion
    recipe : Recipe
    device : str
    """

    image: Image
    plane: np.ndarray
    normalized: np.ndarray
    model: ModelVersion
    recipe: Recipe
    device: str = "auto"

    def separate(self, prediction: Prediction) -> Segmented:
        """Split the prediction into cells; what the user should know about the result joins the notes."""
        instances = Instances.from_prediction(prediction, self.model.split)
        found = Segmented(self.image, self.plane, prediction, instances, self.model, self.recipe, self.device)
        count = instances.count(found.threshold, found.min_size)
        noticed = notices(self.plane, found.normalizer, self.model, prediction, count)
        return replace(found, prediction=replace(prediction, notes=(*prediction.notes, *noticed)))


def prepare(image: Image, recipe: Recipe, model: ModelVersion | None = None, device: str = "auto") -> Prepared:
    """Choose the plane and normalise it; `model` is the recipe's, where it is loaded already.

    Raises
    ------
    CellsegError
        If the image, the channel or the model cannot be used.
    """
    model = recipe.load_model() if model is None else model
    plane = image.plane(recipe.channel)
    shape = image.shape_yx
    check_room(peak_bytes(shape), f"{image.title}: what finding its cells takes", shape)
    return Prepared(image, plane, normalize(plane, recipe.normalizer or model.normalizer), model, recipe, device)


def iter_predict_prepared(prepared: Prepared) -> Generator[Progress, None, Prediction]:
    """Run the network; see :func:`iter_predict_image`."""
    yield Progress(0, 0, f"loading model {prepared.model.name}")
    # Importing torch takes seconds; the window shows the message above meanwhile.
    from ..network.predict_sized import iter_predict_sized

    recipe = prepared.recipe
    steps = iter_predict_sized(prepared.normalized, prepared.model, prepared.device, recipe.diameter, recipe.accurate)
    return (yield from steps)


def iter_predict_image(image: Image, recipe: Recipe, device: str = "auto") -> Generator[Progress, None, Segmented]:
    """Run the network on an image and split the prediction into cells.

    Parameters
    ----------
    image : Image
    recipe : Recipe
    device : str
        One of :data:`~napari_cellseg.segmentation.options.DEVICES`.

    Yields
    ------
    Progress
        Closing the generator cancels within one batch of tiles.

    Returns
    -------
    Segmented

    Raises
    ------
    CellsegError
        If the image, the channel, the model or the device cannot be used; the message names the next step.
    """
    yield Progress(0, 0, "reading the image")
    prepared = prepare(image, recipe, device=device)
    prediction = yield from iter_predict_prepared(prepared)
    yield Progress(1, 1, "separating cells")
    return prepared.separate(prediction)


def open_image(source: Image | np.ndarray | str | PathLike[str], axes: str | None = None) -> Image:
    """Return a path, an array or an Image as an Image."""
    if isinstance(source, (str, Path)) or hasattr(source, "__fspath__"):
        return read_image(Path(source), axes, in_parts=True)
    return as_image(source, axes)


def segment(
    image: Image | np.ndarray | str | PathLike[str],
    model: str | Path | ModelVersion = "cells",
    threshold: float | None = None,
    min_size: int | None = None,
    *,
    channel: Channel | None = None,
    axes: str | None = None,
    device: str = "auto",
    diameter: float | None = None,
    accurate: bool = False,
    grow: str | None = None,
    positive: Sequence[Marker | str] = (),
) -> SegmentResult:
    """Segment the cells of one image.

    Parameters
    ----------
    image : array, path or Image
        ``(Y, X)``, ``(Y, X, 3 or 4)`` colour, or anything else together with `axes`. Any real dtype.
    model : str, path or ModelVersion
        Name or folder of a model version, or the version itself.
    threshold : float, optional
        Foreground probability from which a pixel belongs to a cell, 0 to 1; None takes the model's.
    min_size : int, optional
        Smallest area of a cell in pixels; None takes the model's, or less where the image's cells are small.
    channel : int or str, optional
        Channel to segment where there are several: its number, its name, or a mix such as ``"DAPI+GFP"``.
    axes : str, optional
        A letter of TZCYX per dimension, needed where the image does not name its axes.
    device : {'auto', 'cpu', 'cuda', 'mps'}
    diameter : float, optional
        Typical diameter of the cells in pixels; None estimates it, 0 takes the image as it is.
    accurate : bool
        Average over flips, turns and magnifications.
    grow : str, optional
        Length by which nuclei are grown, such as ``"3um"`` or ``"5px"``.
    positive : sequence of Marker or str
        By which channels cells are called positive, such as ``["GFP>320"]``.

    Returns
    -------
    SegmentResult
        With `labels`, `probability`, `count`, `table`, and what was `counted` besides.

    Raises
    ------
    CellsegError
        If the image, the channel, the model or the device cannot be used.
    """
    name = str(model.path) if isinstance(model, ModelVersion) else str(model)
    device = RunOptions(device).device
    recipe = Recipe(name, threshold, min_size, channel, axes, diameter=diameter, accurate=accurate)
    recipe = replace(recipe, grow=grow, positive=markers_of(positive))
    return drain(iter_predict_image(open_image(image, axes), recipe, device)).result()
