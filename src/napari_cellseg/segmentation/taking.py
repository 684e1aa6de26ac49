"""Labels of whatever tool, taken as the cells of an image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..imaging.errors import ImageError
from ..imaging.image import Image
from ..instances.live import Instances
from ..instances.measure import disc_diameter
from ..instances.prediction import Prediction
from ..network.versions import ModelVersion
from .recipe import Recipe
from .segmented import Segmented

# Ids up to here are kept as they are; of larger ones a table of all would take too much memory.
_LARGEST_ID = 65535


def take_labels(labels: np.ndarray, image: Image, recipe: Recipe, name: str) -> Segmented:
    """Take labels as the cells of an image: they are corrected, reviewed, measured and learned from like others.

    There is no probability: every pixel of a cell has 1, so that the threshold changes nothing.

    Parameters
    ----------
    labels : numpy.ndarray
        Whole numbers (Y, X), 0 = no cell. Each number is one cell and keeps its number, unless there are some above
        65,535.
    image : Image
    recipe : Recipe
        Its channel and percentiles are those in which the cells are measured and learned from, by its model.
    name : str
        Of the labels: their file or layer.

    Raises
    ------
    ImageError
        They are not whole numbers from 0, or not of the image's size.
    ModelError
        The recipe's model cannot be used.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "bui" or (labels.size and int(labels.min()) < 0):
        raise ImageError(f"{name} holds {labels.dtype} values; labels are whole numbers, 0 where there is no cell.")
    if labels.shape != tuple(image.shape_yx):
        size, wanted = (" x ".join(f"{n:,}" for n in shape) for shape in (labels.shape, image.shape_yx))
        raise ImageError(f"{name} has {size} pixels, but {image.title} {wanted}. Choose the image of these labels.")
    if int(labels.max(initial=0)) > _LARGEST_ID:
        ids, places = np.unique(labels, return_inverse=True)
        labels = places.reshape(labels.shape) + (0 if ids[0] == 0 else 1)
    model = recipe.load_model()
    probability = (labels > 0).astype(np.float32)
    plane = image.plane(recipe.channel)
    instances = Instances(probability, labels.astype(np.int32)).filtered(recipe.sieve, plane)
    zoom = _zoom(instances, model)
    recipe = replace(
        recipe, model=f"labels of {name}", model_sha256=None, threshold=0.5, min_size=0, fit_min_size=False
    )
    prediction = Prediction(probability, None, model=recipe.model, device="", zoom=zoom)
    return Segmented(image, plane, prediction, instances, model, recipe, taken_from=name)


def _zoom(instances: Instances, model: ModelVersion) -> float:
    """Magnification at which the model would look at cells of this size."""
    areas = instances.areas_at(0)
    areas = areas[areas > 0]
    if model.diameter is None or not areas.size:
        return 1.0
    from ..network.sizing import zoom_for

    return zoom_for(float(disc_diameter(np.median(areas))), model.diameter, instances.shape)
