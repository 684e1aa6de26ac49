"""Segment one image: window, command line and batch all get labels, counts and tables from here."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..imaging.from_array import as_image
from ..imaging.image import Image
from ..imaging.memory import check_room
from ..imaging.normalize import normalize
from ..imaging.progress import Progress
from ..imaging.read.read import read_image
from ..instances.live import Instances
from ..instances.prediction import Prediction
from ..network.versions import ModelVersion
from .notices import notices
from .peak import peak_bytes
from .recipe import Recipe
from .segmented import Segmented

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
        instances = Instances.from_prediction(prediction, self.model.split).filtered(self.recipe.sieve, self.plane)
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
