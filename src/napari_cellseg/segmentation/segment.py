"""Segment one image: the one way from an image to labels, counts and a table, whoever asks."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..imaging.channels import Channel
from ..imaging.image import Image, Origin, as_image
from ..imaging.memory import check_room
from ..imaging.normalize import NormalizerParams, normalize
from ..imaging.progress import Progress, drain
from ..imaging.read.read import read_image
from ..imaging.write.write import write_labels, write_table
from ..instances.live import Instances
from ..instances.measure import measure
from ..instances.prediction import Prediction
from ..network.versions import ModelVersion
from .notices import notices
from .recipe import Recipe

if TYPE_CHECKING:
    from os import PathLike


# At the least: the normalised image, its padded copy, probability and distance, 32 bits each, are there at once.
_BYTES_PER_PIXEL = 16


@dataclass(frozen=True, eq=False)
class SegmentResult:
    """Cells of one image at one threshold and min_size.

    Parameters
    ----------
    labels : ndarray
        ``(Y, X)``, uint16 (int32 beyond 65,535 cells), 0 is background. Ids are those of the slider: stable, with gaps.
    probability : ndarray of float32
        ``(Y, X)``, 0 to 1.
    count : int
    table : dict of str to ndarray
        One entry per cell in every column; `index` is the id in `labels`, areas and positions are in pixels, and in
        micrometres too where the pixel size is known.
    threshold : float
    min_size : int
        In pixels.
    metadata : dict
        Recipe, model, versions and image that made this.
    """

    labels: np.ndarray
    probability: np.ndarray
    count: int
    table: dict[str, np.ndarray]
    threshold: float
    min_size: int
    metadata: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Segmented:
    """An image with its prediction and instances: everything that the two sliders need.

    Parameters
    ----------
    image : Image
    plane : ndarray
        ``(Y, X)`` or ``(Y, X, 3)``, raw: what was given to the normaliser.
    prediction : Prediction
    instances : Instances
    model : ModelVersion
    recipe : Recipe
        What it leaves open is up to the model and, for min_size, the image.
    """

    image: Image
    plane: np.ndarray
    prediction: Prediction
    instances: Instances
    model: ModelVersion
    recipe: Recipe

    @property
    def threshold(self) -> float:
        """The recipe's threshold, or the model's where it has none."""
        return self.model.threshold if self.recipe.threshold is None else self.recipe.threshold

    @property
    def min_size(self) -> int:
        """The recipe's min_size, or the model's where it has none; less where that fits the image's small cells."""
        return self.recipe.smallest(self.model, self.prediction.diameter)

    def recipe_at(self, threshold: float, min_size: int) -> Recipe:
        """Return the recipe with the sliders elsewhere; a min_size that the recipe gives itself stays as it says."""
        recipe = replace(self.recipe, threshold=threshold)
        return recipe if min_size == self.min_size else replace(recipe, min_size=min_size, fit_min_size=False)

    @property
    def normalizer(self) -> NormalizerParams:
        """The recipe's normaliser, or the model's where it has none."""
        return self.recipe.normalizer or self.model.normalizer

    @property
    def channels(self) -> tuple[int, ...]:
        """Which of the image's channels the cells are of, counted from 0; none for the only one and for all colours."""
        several = self.image.rgb or self.image.n_channels > 1
        return self.image.channel_places(self.recipe.channel) if several else ()

    @cached_property
    def image_sha256(self) -> str:
        """Hash of the image's values, which knows it again under another name."""
        return self.image.content_hash()

    def labels(self, threshold: float | None = None, min_size: int | None = None) -> np.ndarray:
        """Return the label image; None stands for the recipe's value."""
        return self.instances.labels(*self._settings(threshold, min_size))

    def table(self, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Measure the cells of a label image of this image."""
        return measure(labels, self.prediction.probability, self.plane, self.image.pixel_size)

    def result(self, threshold: float | None = None, min_size: int | None = None) -> SegmentResult:
        """Return labels, count and table; None stands for the recipe's value."""
        threshold, min_size = self._settings(threshold, min_size)
        labels = self.instances.labels(threshold, min_size)
        return SegmentResult(
            labels,
            self.prediction.probability,
            self.instances.count(threshold, min_size),
            self.table(labels),
            threshold,
            min_size,
            self.metadata(threshold, min_size),
        )

    def metadata(self, threshold: float | None = None, min_size: int | None = None) -> dict[str, Any]:
        """Return the provenance that every result file and layer carries, as JSON-able values."""
        threshold, min_size = self._settings(threshold, min_size)
        recipe = self.recipe_at(threshold, min_size).resolved(self.model)
        # What else was written beside the labels says nothing about them: they are the same file either way.
        settings = {name: value for name, value in recipe.to_dict().items() if name != "outputs"}
        return {
            "recipe": settings,
            "recipe_sha256": recipe.digest(self.model),
            "min_size": min_size,
            "model": {"name": self.model.name, "sha256": self.model.sha256},
            "device": self.prediction.device,
            "notes": list(self.prediction.notes),
            "diameter": self.prediction.diameter,
            "zoom": self.prediction.zoom,
            "image": {
                "name": self.image.name,
                "size_yx": list(self.plane.shape[:2]),
                "sha256": self.image_sha256,
                **cut_from(self.image.origin),
            },
            "count": self.instances.count(threshold, min_size),
            "corrected": False,
            "versions": versions(),
        }

    def _settings(self, threshold: float | None, min_size: int | None) -> tuple[float, int]:
        return (
            self.threshold if threshold is None else threshold,
            self.min_size if min_size is None else min_size,
        )


def cut_from(origin: Origin | None) -> dict[str, Any]:
    """Say what a part was cut out of; add the offset to the places in its table to get those in the whole image."""
    if origin is None:
        return {}
    return {"cut_from": {"image": origin.title, "offset_yx": list(origin.offset_yx)}}


def versions() -> dict[str, str]:
    """Return the versions that a result depends on, without importing torch."""
    found = {}
    for name in ("napari-cellseg", "torch", "numpy", "scikit-image"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


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
    """

    image: Image
    plane: np.ndarray
    normalized: np.ndarray
    model: ModelVersion
    recipe: Recipe

    def separate(self, prediction: Prediction) -> Segmented:
        """Split what the network said into cells; what the user should know of the result joins the notes."""
        instances = Instances.from_prediction(prediction, self.model.split)
        found = Segmented(self.image, self.plane, prediction, instances, self.model, self.recipe)
        count = instances.count(found.threshold, found.min_size)
        said = notices(self.plane, found.normalizer, self.model, prediction, count)
        return replace(found, prediction=replace(prediction, notes=(*prediction.notes, *said)))


def prepare(image: Image, recipe: Recipe, model: ModelVersion | None = None) -> Prepared:
    """Choose the plane and normalise it; `model` is the recipe's, where it is loaded already.

    Raises
    ------
    CellsegError
        If the image, the channel or the model cannot be used.
    """
    model = recipe.load_model() if model is None else model
    plane = image.plane(recipe.channel)
    height, width = plane.shape[:2]
    check_room(_BYTES_PER_PIXEL * height * width, f"{image.title}: what finding its cells takes", (height, width))
    return Prepared(image, plane, normalize(plane, recipe.normalizer or model.normalizer), model, recipe)


def iter_predict_prepared(prepared: Prepared) -> Generator[Progress, None, Prediction]:
    """Run the network; see :func:`iter_predict_image`."""
    yield Progress(0, 0, f"loading model {prepared.model.name}")
    # Importing torch takes seconds; the window shows the message above meanwhile.
    from ..network.predict_sized import iter_predict_sized

    recipe = prepared.recipe
    steps = iter_predict_sized(prepared.normalized, prepared.model, recipe.device, recipe.diameter, recipe.accurate)
    return (yield from steps)


def iter_predict_image(image: Image, recipe: Recipe) -> Generator[Progress, None, Segmented]:
    """Run the network on an image and split the prediction into cells.

    Parameters
    ----------
    image : Image
    recipe : Recipe

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
        If the image, the channel, the model or the device cannot be used; the message says what to do.
    """
    yield Progress(0, 0, "reading the image")
    prepared = prepare(image, recipe)
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
        A letter of TZCYX per dimension where the image does not say.
    device : {'auto', 'cpu', 'cuda', 'mps'}
    diameter : float, optional
        Typical diameter of the cells in pixels; None estimates it, 0 takes the image as it is.
    accurate : bool
        Average over flips, turns and magnifications.

    Returns
    -------
    SegmentResult
        With `labels`, `probability`, `count` and `table`.

    Raises
    ------
    CellsegError
        If the image, the channel, the model or the device cannot be used.
    """
    name = str(model.path) if isinstance(model, ModelVersion) else str(model)
    recipe = Recipe(name, threshold, min_size, channel, axes, device, diameter=diameter, accurate=accurate)
    return drain(iter_predict_image(open_image(image, axes), recipe)).result()


def save_labels(result: SegmentResult, path: Path, pixel_size: tuple[float, float] | None = None) -> Path:
    """Write the label image with its provenance; see :func:`napari_cellseg.imaging.write.write.write_labels`."""
    write_labels(path, result.labels, metadata=result.metadata, pixel_size=pixel_size)
    return path


def save_table(result: SegmentResult, path: Path) -> Path:
    """Write one row per cell as CSV."""
    write_table(path, result.table)
    return path
