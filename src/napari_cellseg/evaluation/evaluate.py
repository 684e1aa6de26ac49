"""Score a model on images with known cells."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from operator import add
from typing import Any

import numpy as np

from ..imaging.errors import DatasetError, ParamsError
from ..imaging.from_array import as_image
from ..imaging.progress import Progress, drain
from ..instances.components import component_labels
from ..instances.metrics import MatchResult, match, summarize
from ..instances.pixels import CLASSES, PixelCounts, thinned
from ..network.smallest import smallest_in_words
from ..segmentation.recipe import Recipe
from ..segmentation.segment import iter_predict_image
from ..segmentation.segmented import Segmented
from ..training.data.datasets import Sample
from ..training.data.hold_out import keep_inside, reviewed_area

STANDARD_IOUS = (0.5, 0.6, 0.7, 0.8, 0.9)
COUNTINGS = ("cells", "components")
CURVES_FILE = "curves.json"


@dataclass(frozen=True, eq=False)
class ImageScore:
    """Result for one image: matched cells at each IoU threshold, and pixels."""

    name: str
    kind: str
    match: MatchResult
    pixels: PixelCounts

    @property
    def count_error(self) -> int:
        """Number of predicted cells minus number of true cells."""
        return self.match.n_pred - self.match.n_true

    def to_dict(self) -> dict[str, Any]:
        """Return one row of figures, JSON-able; ``f1`` is that of cells at IoU .5."""
        pixels = self.pixels.scores()
        return {
            "image": self.name,
            "kind": self.kind,
            "count_true": self.match.n_true,
            "count": self.match.n_pred,
            "ap50": float(self.match.ap[0]),
            "ap": float(self.match.ap.mean()),
            "f1": float(self.match.f1[0]),
            "dice": pixels["dice"],
            "iou": pixels["iou"],
            "pixel_precision": pixels["precision"],
            "pixel_recall": pixels["recall"],
            "pixel_f1_weighted": pixels["f1_weighted"],
            "auc": pixels["auc"],
        }


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of a model on a set of images.

    Parameters
    ----------
    scores : tuple of ImageScore
    model : str
    threshold : float
    min_size : int
    counting : {'cells', 'components'}
    fitted : bool
        Whether min_size was less where cells are small: :func:`napari_cellseg.network.smallest.usual_min_size`.
    """

    scores: tuple[ImageScore, ...]
    model: str
    threshold: float
    min_size: int
    counting: str = "cells"
    fitted: bool = False

    @property
    def smallest(self) -> str:
        """Smallest area, in words."""
        return smallest_in_words(self.min_size, self.fitted)

    @property
    def groups(self) -> dict[str, list[ImageScore]]:
        """All images, and those of each kind."""
        kinds = sorted({s.kind for s in self.scores if s.kind})
        return {"all": list(self.scores), **{kind: [s for s in self.scores if s.kind == kind] for kind in kinds}}

    def worst_first(self) -> list[ImageScore]:
        """The images by rising AP (mean over IoU .5 to .95); among equals the larger count error first."""
        return sorted(self.scores, key=lambda s: (s.match.ap.mean(), -abs(s.count_error)))

    def to_dict(self) -> dict[str, Any]:
        """Return the metrics over all images and per kind, then one row per image, JSON-able."""
        return {
            "model": self.model,
            "threshold": self.threshold,
            "min_size": self.min_size,
            "min_size_fitted": self.fitted,
            "counting": self.counting,
            **{name: summarize_scores(scores) for name, scores in self.groups.items()},
            "images": [s.to_dict() for s in self.scores],
        }

    def curves(self) -> dict[str, Any]:
        """Return ROC curve, reliability curve and classification report of all pixels and of each kind's, JSON-able."""
        return {name: _curves(pixels_of(scores)) for name, scores in self.groups.items()}


def pixels_of(scores: Sequence[ImageScore]) -> PixelCounts:
    """Sum the pixel counts of some images."""
    return reduce(add, (s.pixels for s in scores))


def summarize_scores(scores: Sequence[ImageScore]) -> dict[str, Any]:
    """Return the figures of a set of images, JSON-able.

    Returns
    -------
    dict
        What :func:`napari_cellseg.instances.summarize` gives, and: ``ap_mean_50_90``; ``dice`` and ``iou`` of the
        foreground as mean over images; ``pixels``, the figures and the confusion matrix of all pixels
        together.
    """
    summary = summarize([s.match for s in scores])
    summary["ap_mean_50_90"] = float(np.mean([summary["ap_mean"][f"{t:.2f}"] for t in STANDARD_IOUS]))
    of_images = [s.pixels.scores() for s in scores]
    for name in ("dice", "iou"):
        summary[name] = float(np.mean([figures[name] for figures in of_images]))
    pixels = pixels_of(scores)
    names = [f"{true}_found_{found}" for true in CLASSES for found in CLASSES]
    summary["pixels"] = {
        **pixels.scores(),
        "confusion": dict(zip(names, pixels.confusion.ravel().tolist(), strict=True)),
    }
    return summary


def _curves(pixels: PixelCounts) -> dict[str, Any]:
    false, true = thinned(*pixels.roc())
    return {
        "roc": {"false_positive_rate": false.tolist(), "true_positive_rate": true.tolist()},
        "reliability": pixels.reliability(),
        "classification_report": pixels.classification_report(),
    }


def in_squares(samples: Sequence[Sample], side: int) -> list[Sample]:
    """Cut samples into squares that share no pixel; the rest at the borders is dropped.

    Raises
    ------
    DatasetError
        If no image is that large.
    """
    if side < 1:
        raise DatasetError(f"Squares of {side} pixels cannot be cut. Give 1 or more, for example 128.")
    squares = []
    for sample in samples:
        height, width = sample.labels.shape
        for y, x in product(range(0, height - side + 1, side), range(0, width - side + 1, side)):
            window = (slice(y, y + side), slice(x, x + side))
            reviewed = None if sample.reviewed is None else sample.reviewed[window]
            name = f"{sample.name}_y{y}_x{x}"
            cut = replace(sample, name=name, image=sample.image[window], labels=sample.labels[window])
            squares.append(replace(cut, reviewed=reviewed))
    if samples and not squares:
        raise DatasetError(f"No image is {side} pixels high and wide. Choose smaller squares.")
    return squares


def predict_sample(sample: Sample, recipe: Recipe, device: str = "auto") -> Segmented:
    """Run the network on the image of a sample."""
    image = as_image(sample.image, "YXC"[: sample.image.ndim], rgb=sample.image.ndim == 3, name=sample.name)
    return drain(iter_predict_image(image, recipe, device))


def iter_predict_samples(
    samples: Sequence[Sample], recipe: Recipe, device: str = "auto"
) -> Generator[Progress, None, list[Segmented]]:
    """Predict every sample once; thresholds can then be tried at no cost."""
    if not samples:
        raise DatasetError("There is no image to evaluate on. Give a dataset, or a split that holds some out.")
    results = []
    for i, sample in enumerate(samples):
        results.append(predict_sample(sample, recipe, device))
        yield Progress(i + 1, len(samples), f"predicting {sample.name[:12]}")
    return results


def match_reviewed(sample: Sample, found: np.ndarray) -> MatchResult:
    """Match true and found cells at the standard IoUs; of both only those more than half in the reviewed area."""
    area = reviewed_area(sample)
    return match(keep_inside(sample.labels, area), keep_inside(found, area))


def as_default(predicted: Sequence[Segmented], threshold: float, min_size: int) -> list[Segmented]:
    """Return predictions as if a threshold and min_size were the model's defaults and the recipe chose no others."""
    return [
        replace(
            segmented,
            model=replace(segmented.model, threshold=threshold, min_size=min_size),
            recipe=replace(segmented.recipe, threshold=None, min_size=None, fit_min_size=False),
        )
        for segmented in predicted
    ]


def score(
    samples: Sequence[Sample],
    predicted: Sequence[Segmented],
    threshold: float | None = None,
    min_size: int | None = None,
    counting: str = "cells",
) -> Evaluation:
    """Compare predictions with the truth at one threshold and min_size.

    Parameters
    ----------
    samples, predicted : sequences of equal length
        Only pixels in a sample's reviewed area count, and cells that lie more than half inside, true and predicted
        ones alike.
    threshold, min_size : optional
        None takes those of each prediction's recipe and model.
    counting : {'cells', 'components'}
        What a cell is: as the sliders show them, or every connected component of the foreground, which makes one of
        cells that touch.
    """
    if counting not in COUNTINGS:
        raise ParamsError(f"Counting by {counting!r} is unknown; choose one of {', '.join(COUNTINGS)}.")
    scores = []
    for sample, segmented in zip(samples, predicted, strict=True):
        found = segmented.threshold if threshold is None else threshold
        smallest = segmented.min_size if min_size is None else min_size
        if counting == "components":
            labels = component_labels(segmented.prediction.probability, found, smallest)
        else:
            labels = segmented.labels(found, smallest)
        matched = match_reviewed(sample, labels)
        pixels = PixelCounts.from_maps(sample.labels, segmented.prediction.probability, labels, sample.reviewed)
        scores.append(ImageScore(sample.name, sample.kind, matched, pixels))
    first = predicted[0]
    asked = first.recipe.smallest(first.model, None) if min_size is None else min_size
    return Evaluation(
        tuple(scores),
        first.model.name,
        first.threshold if threshold is None else threshold,
        asked,
        counting,
        min_size is None and any(segmented.min_size < asked for segmented in predicted),
    )
