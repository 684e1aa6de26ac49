"""Values of one segmented image: everything that the sliders need, and the cells at one place of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..imaging.image import Image
from ..imaging.normalize import NormalizerParams
from ..instances.areas import Areas
from ..instances.filters import Filters
from ..instances.live import Instances
from ..instances.measure import measure
from ..instances.prediction import Prediction
from ..network.versions import ModelVersion
from .counting import NOTHING, Counted, calling_of, count_markers
from .notices import still_true
from .provenance import provenance
from .recipe import Recipe


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
    counted : Counted
        Positive cells and grown nuclei, where the recipe asks for them; their columns are in `table` too.
    areas : Areas or None
        Regions in which cells are counted; `region` in `table` names those of a cell.
    """

    labels: np.ndarray
    probability: np.ndarray
    count: int
    table: dict[str, np.ndarray]
    threshold: float
    min_size: int
    metadata: dict[str, Any]
    counted: Counted = NOTHING
    areas: Areas | None = None


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
    device : str
        Where the network was asked to run; see :class:`~napari_cellseg.segmentation.options.RunOptions`.
    taken_from : str
        Name of the labels that were taken as these cells. They have no probability; empty where the model found them.
    areas : Areas or None
        Regions in which cells are counted.
    """

    image: Image
    plane: np.ndarray
    prediction: Prediction
    instances: Instances
    model: ModelVersion
    recipe: Recipe
    device: str = "auto"
    taken_from: str = ""
    areas: Areas | None = None

    @property
    def threshold(self) -> float:
        """The recipe's threshold, or the model's where it has none."""
        return self.model.threshold if self.recipe.threshold is None else self.recipe.threshold

    @property
    def min_size(self) -> int:
        """The recipe's min_size, or the model's where it has none; less where that fits the image's small cells."""
        return self.recipe.smallest(self.model, self.prediction.diameter)

    def recipe_at(self, threshold: float, min_size: int) -> Recipe:
        """Return the recipe with other sliders; a min_size that the recipe leaves open stays so unless it is moved."""
        recipe = replace(self.recipe, threshold=threshold)
        return recipe if min_size == self.min_size else replace(recipe, min_size=min_size, fit_min_size=False)

    def asked(self, **counting: Any) -> Segmented:
        """Return the same with other settings in its recipe that need no other prediction."""
        if all(getattr(self.recipe, name) == value for name, value in counting.items()):
            return self
        return self._having(recipe=replace(self.recipe, **counting))

    def in_areas(self, areas: Areas | None) -> Segmented:
        """Return the same with other regions."""
        return self if areas is self.areas else self._having(areas=areas)

    def _having(self, **values: Any) -> Segmented:
        other = replace(self, **values)
        # Hashing a large image takes a while, and its values are the same.
        other.__dict__["image_sha256"] = self.image_sha256
        return other

    def filtered(self, filters: Filters) -> Segmented:
        """Return the same with other filters, in its recipe and on its cells."""
        instances = self.instances.filtered(filters, self.plane)
        other = self if instances is self.instances else self._having(instances=instances)
        return other.asked(filters=filters.bounds, edges=filters.edges)

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

    def number(self, cells: str, threshold: float | None = None, min_size: int | None = None) -> int | None:
        """Count some cells, such as ``GFP_pos``, or all (empty), without corrections; None where they are not called.

        `cells` is one of `counting.number_names`. Calling takes up to a second on large images.
        """
        where = self._settings(threshold, min_size)
        if not cells:
            return self.instances.count(*where)
        labels, ids = self.instances.labels(*where), self.instances.ids(*where)
        return count_markers(self.image, labels, ids, calling_of(self.recipe, cells)).numbers.get(cells)

    def labels(self, threshold: float | None = None, min_size: int | None = None) -> np.ndarray:
        """Return the label image; None stands for the recipe's value."""
        return self.instances.labels(*self._settings(threshold, min_size))

    def table(self, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Measure the cells of a label image of this image."""
        probability = None if self.taken_from else self.prediction.probability
        table = measure(labels, probability, self.plane, self.image.pixel_size)
        if self.areas is not None:
            members = self.areas.members(table["centroid_y"], table["centroid_x"])
            table["region"] = self.areas.in_words(members)
        return table

    def result(self, threshold: float | None = None, min_size: int | None = None) -> SegmentResult:
        """Return labels, count and table; None stands for the recipe's value."""
        threshold, min_size = self._settings(threshold, min_size)
        labels = self.instances.labels(threshold, min_size)
        table, metadata = self.table(labels), self.metadata(threshold, min_size)
        counted = count_markers(self.image, labels, table["index"], self.recipe)
        return SegmentResult(
            labels,
            self.prediction.probability,
            self.instances.count(threshold, min_size),
            {**table, **counted.columns},
            threshold,
            min_size,
            with_counted(metadata, counted),
            counted,
            self.areas,
        )

    def metadata(self, threshold: float | None = None, min_size: int | None = None) -> dict[str, Any]:
        """Return the provenance that every result file and layer carries, as JSON-able values."""
        threshold, min_size = self._settings(threshold, min_size)
        count = self.instances.count(threshold, min_size)
        about = provenance(
            self.recipe_at(threshold, min_size).resolved(self.model),
            self.model,
            self.image,
            size_yx=self.plane.shape[:2],
            image_sha256=self.image_sha256,
            min_size=min_size,
            count=count,
            device=self.device,
            ran_on=self.prediction.device,
            notes=[*still_true(self.prediction.notes, count), *(() if self.areas is None else self.areas.notes)],
            diameter=self.prediction.diameter,
            zoom=self.prediction.zoom,
        )
        if self.taken_from:
            # No model found them, and no recipe gives them again.
            about["recipe"]["model_sha256"] = None
            about |= {"taken_from": self.taken_from, "model": {"name": self.recipe.model, "sha256": ""}}
            about |= {"recipe_sha256": "", "diameter": None, "zoom": None}
        return about

    def _settings(self, threshold: float | None, min_size: int | None) -> tuple[float, int]:
        return (
            self.threshold if threshold is None else threshold,
            self.min_size if min_size is None else min_size,
        )


def with_counted(metadata: dict[str, Any], counted: Counted) -> dict[str, Any]:
    """Return the provenance with what was counted besides cells, and why something of it is missing."""
    if counted is NOTHING:
        return metadata
    more = {"classes": counted.about} if counted.about else {}
    return {**metadata, "notes": [*metadata["notes"], *counted.notes], "positive": dict(counted.numbers), **more}
