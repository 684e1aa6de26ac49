"""Segmented images made of maps, without running a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.instances import Instances, Prediction
from napari_cellseg.network.versions import ModelVersion, load_model
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segmented import Segmented
from napari_cellseg.training.data.datasets import Sample


def segmented(
    probability: np.ndarray, basins: np.ndarray, name: str = "a", threshold: float = 0.5, min_size: int = 5
) -> Segmented:
    """What the network would have said, with basins that are given."""
    model: ModelVersion = load_model("cells")
    image = as_image((100 * probability).astype(np.float32), name=name)
    prediction = Prediction(probability.astype(np.float32), None, model.name)
    instances = Instances(prediction.probability, basins)
    return Segmented(image, image.plane(), prediction, instances, model, Recipe("cells", threshold, min_size))


def squares(
    places: Sequence[tuple[int, int]],
    side: int = 10,
    shape: tuple[int, int] = (60, 80),
    name: str = "a",
    kind: str = "",
) -> Sample:
    """An image with square cells at these upper left corners."""
    labels = np.zeros(shape, np.int32)
    for i, (y, x) in enumerate(places, start=1):
        labels[y : y + side, x : x + side] = i
    return Sample(name, np.where(labels > 0, 200, 10).astype(np.uint8), labels, kind=kind, group=name)
