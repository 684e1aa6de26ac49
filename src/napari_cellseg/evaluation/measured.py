"""Find the slider values that suit a model, and how well it does with them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from ..imaging.progress import Progress, relay
from ..segmentation.recipe import Recipe
from ..segmentation.segmented import Segmented
from ..training.data.sample import Sample
from .calibration_map import CalibrationMap, iter_calibration_map
from .evaluate import Evaluation, as_default, iter_predict_samples, score


@dataclass(frozen=True, eq=False)
class Measured:
    """How a version does on some images, and what it was measured on, for a report with pictures.

    Parameters
    ----------
    evaluation : Evaluation
    samples : tuple of Sample
    predicted : tuple of Segmented
        One for each sample.
    """

    evaluation: Evaluation
    samples: tuple[Sample, ...]
    predicted: tuple[Segmented, ...]


def iter_calibrated(
    samples: Sequence[Sample], recipe: Recipe, goal: str = "count", counting: str = "cells", device: str = "auto"
) -> Generator[Progress, None, tuple[CalibrationMap, Measured]]:
    """Find the threshold and smallest size that suit a model, and measure it with them; the model is not changed.

    Parameters
    ----------
    samples : sequence of Sample
    recipe : Recipe
        Names the model.
    goal, counting : str
        As :func:`napari_cellseg.evaluation.calibration_map.iter_calibration_map` takes them.
    device : str

    Yields
    ------
    Progress

    Returns
    -------
    found : CalibrationMap
    measured : Measured
    """
    predicted = yield from relay(iter_predict_samples(samples, recipe, device), _named("predicting"))
    found = yield from relay(iter_calibration_map(samples, predicted, goal, counting), _named("calibrating"))
    chosen = as_default(predicted, found.threshold, found.min_size)
    return found, Measured(score(samples, chosen, counting=counting), tuple(samples), tuple(chosen))


def _named(text: str) -> Callable[[Progress], Progress]:
    return lambda progress: replace(progress, message=text)
