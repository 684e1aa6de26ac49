"""Learn while correcting: refit the network's last layer to what the user corrected in the open image.

The foreground logit gets an addition that is linear in the network's features: a logistic regression on the pixels
that were reviewed, which starts from the parent's logit and is pulled back to it. The pull is a mixture of
ridge and of the change that an addition makes over the whole image, so that a few cells change only what is like them;
and the parent's own answers at random pixels count a little. Both classes weigh the same. The centre distance stays
the parent's: in trials, refitting it to a few cells made results worse.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..imaging.errors import CellsegError
from ..instances.prediction import Prediction
from .settings import check_settings, setting

if TYPE_CHECKING:
    from ..corrections.corrected import CorrectedInstances
    from ..corrections.doubt import Doubt
    from ..network.features import Features

PROMISING = 0.6  # mean doubt about an image's cells from which learning helped (docs/quick_learning.md)
_MAX_PIXELS = 1500  # of each class: neighbours are alike
_MAX_STEPS = 12
_CLOSE_ENOUGH = 0.02  # in logits


class NothingToLearnError(CellsegError):
    """Nothing is corrected or reviewed yet."""


@dataclass(frozen=True)
class QuickParams:
    """How strongly corrections move the prediction.

    Raises
    ------
    ParamsError
        If a value is out of its range.
    """

    evidence: float = setting(
        30.0, "Evidence", "independent pixels that a corrected cell counts as: its pixels look much alike", 0.1, 1e4
    )
    pull: float = setting(20.0, "Pull", "strength of the pull to the parent", 1e-3, 1e6)
    whole_image: float = setting(
        0.3, "Whole image", "part of the pull that goes by the change over the whole image; the rest is ridge", 0, 1
    )
    pull_of_all: float = setting(
        0.2, "Pull of all", "pull, relative to the pull, on an addition that is the same everywhere", 1e-3, 1e3
    )
    parent: float = setting(10.0, "Parent", "pixels that the parent's own answers count as", 0, 1e6)

    def __post_init__(self) -> None:
        check_settings(self, "Quick learning")


@dataclass(frozen=True, eq=False)
class Draft:
    """A prediction that follows the corrections; shown, then kept or dropped.

    Attributes
    ----------
    prediction : Prediction
        Its notes name what it was learned from.
    n_cells : int
        Corrected, erased and reviewed cells that it was learned from.
    n_pixels : int
        Reviewed pixels.
    seconds : float
        How long learning took.
    """

    prediction: Prediction
    n_cells: int
    n_pixels: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Changes:
    """Differences between two label images.

    Attributes
    ----------
    n_gained, n_lost : int
        Cells that only the later, only the earlier one has (no cell of the other overlaps them by IoU .5).
    n_reshaped : int
        Cells that both have, with an IoU below .8.
    pixels : numpy.ndarray
        int8 (Y, X): 1 where foreground came, -1 where it went, 0 elsewhere.
    """

    n_gained: int
    n_lost: int
    n_reshaped: int
    pixels: np.ndarray

    def __str__(self) -> str:
        return f"{self.n_gained} new, {self.n_lost} gone, {self.n_reshaped} changed in shape"


def mean_doubt(found: Doubt) -> float:
    """Mean doubt about the automatic cells of an image, 0 to 1; 1 where none is shown: nothing could be worse."""
    automatic = np.isfinite(next(iter(found.parts.values())))
    return float(found.score[automatic].mean()) if automatic.any() else 1.0


def advice(found: Doubt) -> str:
    """Whether learning from a few cells is likely to help in this image, in a sentence.

    It helps where the image is unlike those the model has seen, which shows as doubt about most cells. Where the
    model is mostly sure, fixing the doubtful cells by hand and fine-tuning are better.
    """
    doubted = mean_doubt(found)
    if doubted >= PROMISING:
        return f"The model doubts most cells here (mean doubt {doubted:.0%}): a few corrections are likely to help."
    return (
        f"The model is mostly at home in this image (mean doubt {doubted:.0%}): a few corrections rarely make the rest "
        "better. Look at the draft closely, or fine-tune instead."
    )


def learn(
    features: Features,
    cells: CorrectedInstances,
    threshold: float,
    min_size: int = 0,
    params: QuickParams | None = None,
) -> Draft:
    """Refit to everything that was corrected and reviewed in an image.

    Parameters
    ----------
    features : Features
        Of the image, from the model that the automatic cells come from.
    cells : CorrectedInstances
        What is shown: manually edited cells over automatic ones.
    threshold : float
        Probability, 0 to 1, of the slider.
    min_size : int
        In pixels, of the slider.
    params : QuickParams, optional

    Returns
    -------
    Draft

    Raises
    ------
    NothingToLearnError
        If nothing was corrected or reviewed yet.
    """
    revision = None
    while revision != cells.corrections.revision:  # the user goes on correcting meanwhile
        revision = cells.corrections.revision
        labels = cells.labels(threshold, min_size)
        reviewed = cells.reviewed_area(threshold, min_size)
        n_erased = cells.corrections.n_erased
    n_cells = len(np.unique(labels[reviewed & (labels > 0)])) + n_erased
    return refit(features, labels, reviewed, n_cells, params)


def refit(
    features: Features,
    labels: np.ndarray,
    reviewed: np.ndarray,
    n_cells: int | None = None,
    params: QuickParams | None = None,
) -> Draft:
    """Refit the foreground to some pixels of an image. Takes about a second for 1024 x 1024.

    Parameters
    ----------
    features : Features
    labels : numpy.ndarray
        Whole numbers (Y, X), 0 = background; read only where reviewed.
    reviewed : numpy.ndarray
        bool (Y, X): reviewed pixels.
    n_cells : int, optional
        How many corrections they stand for; by default the number of cells among them, and at least 1.
    params : QuickParams, optional

    Returns
    -------
    Draft

    Raises
    ------
    NothingToLearnError
        If nothing is reviewed.
    """
    started = time.perf_counter()
    params = params or QuickParams()
    parent = features.prediction
    if labels.shape != features.shape or reviewed.shape != features.shape:
        raise ValueError(
            f"labels {labels.shape} and reviewed {reviewed.shape} must have the image's shape {features.shape}."
        )
    if not reviewed.any():
        raise NothingToLearnError(
            "Correct or accept a cell first, or mark an area as reviewed: there is nothing to learn from."
        )
    n_cells = max(len(np.unique(labels[reviewed & (labels > 0)])) if n_cells is None else n_cells, 1)
    foreground = labels.ravel() > 0
    logits = _logit(parent.probability.ravel())
    rng = np.random.default_rng(0)
    pixels, targets, weights = _evidence(foreground, reviewed.ravel(), params.evidence * n_cells, rng)
    if params.parent > 0:
        others = rng.choice(logits.size, min(_MAX_PIXELS, logits.size), replace=False)
        pixels = np.concatenate([pixels, others])
        targets = np.concatenate([targets, _sigmoid(logits[others])])
        weights = np.concatenate([weights, np.full(len(others), params.parent / len(others))])
    n = features.n_channels
    pull = np.zeros((n + 1, n + 1))
    pull[:n, :n] = (1 - params.whole_image) * np.eye(n) + params.whole_image * features.covariance
    pull[n, n] = params.pull_of_all
    inputs = np.column_stack([features.at(pixels), np.ones(len(pixels), np.float32)])
    added = _fit(inputs, logits[pixels], targets, weights, params.pull * pull)
    moved = features.weigh(added[:n])
    moved += logits.reshape(features.shape) + np.float32(added[n])
    note = f"Last layer refitted to {n_cells} corrected or reviewed {'cell' if n_cells == 1 else 'cells'}."
    prediction = Prediction(_sigmoid(moved), parent.distance, parent.model, parent.device, (*parent.notes, note))
    return Draft(prediction, n_cells, int(np.count_nonzero(reviewed)), time.perf_counter() - started)


def what_changes(before: np.ndarray, after: np.ndarray) -> Changes:
    """Compare two label images of one shape, ids aside."""
    from ..instances.metrics import iou_matrix

    iou = iou_matrix(before, after)
    pairs = iou.tocoo()
    best_before, best_after = np.zeros(iou.shape[0]), np.zeros(iou.shape[1])
    np.maximum.at(best_before, pairs.row, pairs.data)
    np.maximum.at(best_after, pairs.col, pairs.data)
    return Changes(
        int(np.count_nonzero(best_after < 0.5)),
        int(np.count_nonzero(best_before < 0.5)),
        int(np.count_nonzero((best_after >= 0.5) & (best_after < 0.8))),
        (after > 0).astype(np.int8) - (before > 0).astype(np.int8),
    )


def _evidence(
    foreground: np.ndarray, reviewed: np.ndarray, weight: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels to learn from, their targets and weights: both classes weigh the same, all together `weight`."""
    parts = []
    for inside in (True, False):
        pixels = np.flatnonzero(reviewed & (foreground == inside))
        if len(pixels):
            parts.append((rng.choice(pixels, min(len(pixels), _MAX_PIXELS), replace=False), float(inside)))
    share = weight / len(parts)
    return (
        np.concatenate([pixels for pixels, _ in parts]),
        np.concatenate([np.full(len(pixels), target) for pixels, target in parts]),
        np.concatenate([np.full(len(pixels), share / len(pixels)) for pixels, _ in parts]),
    )


def _fit(
    inputs: np.ndarray, offsets: np.ndarray, targets: np.ndarray, weights: np.ndarray, pull: np.ndarray
) -> np.ndarray:
    """Logistic regression with offsets and a quadratic pull to 0, by Newton's method."""
    found = np.zeros(inputs.shape[1])
    for _ in range(_MAX_STEPS):
        probability = _sigmoid(offsets + inputs @ found)
        gradient = inputs.T @ (weights * (probability - targets)) + pull @ found
        slope = weights * np.maximum(probability * (1 - probability), 1e-3)
        step = np.linalg.solve(inputs.T @ (inputs * slope[:, None].astype(inputs.dtype)) + pull, gradient)
        largest = float(np.abs(inputs @ step).max())
        # Newton's step is trusted only so far: beyond a few logits the curve has bent.
        found -= step * min(1.0, 5.0 / max(largest, 1e-9))
        if largest < _CLOSE_ENOUGH:
            break
    return found


def _logit(probability: np.ndarray) -> np.ndarray:
    p = np.clip(np.nan_to_num(probability), np.float32(1e-3), np.float32(1 - 1e-3)).astype(np.float32)
    result: np.ndarray = np.log(p / (1 - p))
    return result


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    result: np.ndarray = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    return result
