"""How good a model is on images with known cells, and the thresholds that suit it best."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..imaging.errors import DatasetError
from ..imaging.image import as_image
from ..imaging.progress import Progress, drain
from ..instances.metrics import MatchResult, foreground_scores, match, summarize
from ..training.datasets import Sample
from .recipe import Recipe
from .segment import Segmented, iter_predict_image

CALIBRATION_THRESHOLDS = tuple(round(0.3 + 0.05 * i, 2) for i in range(10))
CALIBRATION_SIZES = (0, 8, 12, 16, 20, 25, 30, 40)
STANDARD_IOUS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, eq=False)
class ImageScore:
    """Result for one image: matched cells at each IoU threshold, and overlap of the foreground."""

    name: str
    kind: str
    match: MatchResult
    dice: float
    iou: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of a model on a set of images.

    Parameters
    ----------
    scores : tuple of ImageScore
    model : str
    threshold : float
    min_size : int
    """

    scores: tuple[ImageScore, ...]
    model: str
    threshold: float
    min_size: int

    def to_dict(self) -> dict[str, Any]:
        """Return the metrics over all images and per kind, then one row per image, JSON-able."""
        kinds = sorted({s.kind for s in self.scores if s.kind})
        return {
            "model": self.model,
            "threshold": self.threshold,
            "min_size": self.min_size,
            "all": self._summary(self.scores),
            **{kind: self._summary([s for s in self.scores if s.kind == kind]) for kind in kinds},
            "images": [
                {
                    "image": s.name,
                    "kind": s.kind,
                    "count_true": s.match.n_true,
                    "count": s.match.n_pred,
                    "ap50": float(s.match.ap[0]),
                    "ap": float(s.match.ap.mean()),
                    "f1": float(s.match.f1[0]),
                    "dice": s.dice,
                    "iou": s.iou,
                }
                for s in self.scores
            ],
        }

    def _summary(self, scores: Sequence[ImageScore]) -> dict[str, Any]:
        summary = summarize([s.match for s in scores])
        summary["ap_mean_50_90"] = float(np.mean([summary["ap_mean"][f"{t:.2f}"] for t in STANDARD_IOUS]))
        summary["dice"] = float(np.mean([s.dice for s in scores]))
        summary["iou"] = float(np.mean([s.iou for s in scores]))
        return summary


def iter_predict_samples(samples: Sequence[Sample], recipe: Recipe) -> Generator[Progress, None, list[Segmented]]:
    """Predict every sample once; thresholds can then be tried at no cost."""
    if not samples:
        raise DatasetError("There is no image to evaluate on. Give a dataset, or a split that leaves some out.")
    results = []
    for i, sample in enumerate(samples):
        results.append(drain(iter_predict_image(as_image(sample.image, name=sample.name), recipe)))
        yield Progress(i + 1, len(samples), f"predicting {sample.name[:12]}")
    return results


def score(
    samples: Sequence[Sample],
    predicted: Sequence[Segmented],
    threshold: float | None = None,
    min_size: int | None = None,
) -> Evaluation:
    """Compare predictions with the truth at one threshold and min_size (None: the recipe's or the model's)."""
    scores = []
    for sample, segmented in zip(samples, predicted, strict=True):
        labels = segmented.labels(threshold, min_size)
        overlap = foreground_scores(sample.labels, labels)
        scores.append(
            ImageScore(sample.name, sample.kind, match(sample.labels, labels), overlap["dice"], overlap["iou"])
        )
    first = predicted[0]
    return Evaluation(
        tuple(scores),
        first.model.name,
        first.threshold if threshold is None else threshold,
        first.min_size if min_size is None else min_size,
    )


def calibrate(
    samples: Sequence[Sample],
    predicted: Sequence[Segmented],
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> tuple[float, int]:
    """Find the threshold and min_size of the highest mean AP (IoU .5 to .9, mean over images).

    Parameters
    ----------
    samples, predicted : sequences of equal length
    on_progress : callable
        Called after each combination tried.

    Returns
    -------
    threshold : float
    min_size : int
        Among equals the ones nearest to 0.5 and to the smallest size.
    """
    best = (-1.0, 0.5, 0)
    n_total = len(CALIBRATION_THRESHOLDS) * len(CALIBRATION_SIZES)
    trials = [(t, s) for t in sorted(CALIBRATION_THRESHOLDS, key=lambda t: abs(t - 0.5)) for s in CALIBRATION_SIZES]
    for i, (threshold, min_size) in enumerate(trials):
        figures = [
            match(sample.labels, segmented.labels(threshold, min_size), STANDARD_IOUS).ap.mean()
            for sample, segmented in zip(samples, predicted, strict=True)
        ]
        best = max(best, (float(np.mean(figures)), threshold, min_size), key=lambda trial: trial[0])
        on_progress(Progress(i + 1, n_total, "calibrating"))
    return best[1], best[2]
