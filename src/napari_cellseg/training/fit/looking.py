"""A look at what is held out: a still crop of each image, pixel by pixel, or whole images with the cells in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...imaging.normalize import normalize
from ...instances.live import Instances
from ...instances.measure import typical_diameter
from ...instances.metrics import foreground_scores, match, summarize
from ...instances.prediction import Prediction
from ...network.config import DISTANCE, FOREGROUND, UNetConfig
from ...network.sizing import at_own_size, zoom_for
from ...network.smallest import usual_min_size
from ...network.smoothing import smoothed
from ...network.versions import ModelVersion
from ..data.hold_out import count_cells, keep_inside, reviewed_area
from ..data.sample import Sample
from ..data.sizes import magnified
from ..params import STILL, TrainParams
from .augment import TrainingImage, random_batch, still_crop, with_targets
from .learner import Batch, Learner

# As the network sees them, in all images that are looked at.
LOOK_PIXELS = 800_000
# Around the reviewed area, in pixels as the network sees them.
CONTEXT = 48
N_CROPS = 48


@dataclass(frozen=True)
class Figures:
    """Measurements of one look: the loss, F1 of cells at IoU .5, IoU and Dice of the foreground; NaN if missing."""

    loss: float = math.nan
    f1: float = math.nan
    iou: float = math.nan
    dice: float = math.nan


@dataclass(frozen=True, eq=False)
class Window:
    """An image as a look needs it: network input and targets, magnified; true labels and reviewed area as they are.

    Parameters
    ----------
    x : Tensor
    targets : dict of str to Tensor
    labels : ndarray of int
        ``(Y, X)``.
    area : ndarray of bool
        ``(Y, X)``: where the labels are to be trusted.
    zoom : float
        Magnification of `x` and `targets`.
    min_size : int
        Smallest cell that counts, in pixels of `labels`.
    """

    x: Tensor
    targets: dict[str, Tensor]
    labels: np.ndarray
    area: np.ndarray
    zoom: float
    min_size: int


def still_windows(
    samples: Sequence[Sample],
    model: ModelVersion,
    cell_diameter: float | None = None,
    gap_width: float | None = None,
    most: int = LOOK_PIXELS,
) -> list[Window]:
    """Cut the reviewed areas out of images, magnified as prediction does it; if too much, those with most cells.

    Parameters
    ----------
    samples : sequence of Sample
    model : ModelVersion
    cell_diameter : float, optional
        In pixels, that prediction is going to start from; None takes the typical one of each image.
    gap_width : float, optional
        That of :func:`napari_cellseg.training.fit.augment.prepare`.
    most : int
        Pixels, as the network sees them. Of a larger image its middle is looked at.
    """
    windows: list[Window] = []
    left = float(most)
    for sample in sorted(samples, key=lambda one: -count_cells([one])):
        size = typical_diameter(sample.labels) if cell_diameter is None else cell_diameter
        wanted = model.diameter
        zoom = 1.0 if size is None or wanted is None else zoom_for(size, wanted, sample.labels.shape)
        area = reviewed_area(sample)
        box = _middle_box(area, CONTEXT / zoom, math.sqrt(most) / zoom)
        n_pixels = area[box].size * zoom**2
        if windows and n_pixels > left:
            continue
        left -= n_pixels
        normalized = normalize(sample.image, model.normalizer)[box]
        cut = replace(sample, labels=sample.labels[box], reviewed=area[box])
        seen = magnified(cut, normalized, zoom)
        whole = (slice(0, seen.labels.shape[0]), slice(0, seen.labels.shape[1]))
        inputs, targets = still_crop(with_targets(seen, 0, gap_width), whole, model.config.in_channels)
        min_size = usual_min_size(model.min_size, None if wanted is None else size)
        windows.append(Window(inputs, targets, cut.labels, area[box], zoom, min_size))
    return windows


def _middle_box(area: np.ndarray, context: float, side: float) -> tuple[slice, slice]:
    """Rows and columns of an area and some context, but of at most `side` pixels: then its middle."""
    slices = []
    for axis in (1, 0):
        inside = np.flatnonzero(area.any(axis=axis))
        first, last = max(inside[0] - int(context), 0), min(inside[-1] + 1 + int(context), area.shape[1 - axis])
        surplus = max(last - first - int(side), 0)
        slices.append(slice(int(first + surplus // 2), int(last - (surplus - surplus // 2))))
    return slices[0], slices[1]


def look_at_windows(learner: Learner, windows: Sequence[Window], model: ModelVersion) -> Figures:
    """Measure the weights to keep on windows, whose cells are made as `model` makes them; NaN without any.

    Cells are found as prediction finds them, in an image of this size, at the model's threshold and smallest size.
    """
    losses, weights, matches, overlaps = [], [], [], []
    with learner.averaged():
        for window in windows:
            outputs = learner.forward(window.x)
            losses.append(learner.loss_on(outputs, window.targets))
            weights.append(int(window.area.sum()))
            found = _cells(outputs, window, model)
            true = keep_inside(window.labels, window.area)
            matches.append(match(true, keep_inside(found, window.area), (0.5,)))
            overlaps.append(foreground_scores(window.labels * window.area, found * window.area)["iou"])
    if not losses:
        return Figures()
    return Figures(
        float(np.average(losses, weights=weights)),
        f1=float(summarize(matches)["f1_pooled"]),
        iou=float(np.average(overlaps, weights=weights)),
    )


def _cells(outputs: Mapping[str, Tensor], window: Window, model: ModelVersion) -> np.ndarray:
    """Labels of the cells in a window, int32 ``(Y, X)``, at the image's own size."""
    probability = smoothed(torch.sigmoid(outputs[FOREGROUND][:, 0].float()), model.config.smooth)[0].cpu().numpy()
    distance = outputs[DISTANCE][0, 0].float().clamp(0, 1).cpu().numpy() if DISTANCE in outputs else None
    shape = (window.labels.shape[0], window.labels.shape[1])
    prediction = at_own_size(Prediction(probability, distance), shape, window.zoom)
    return Instances.from_prediction(prediction, model.split).labels(model.threshold, window.min_size).astype(np.int32)


def looked_at(n: int, seed: int) -> np.ndarray:
    """Return which of `n` images a crop is looked at of, in which order."""
    return np.random.default_rng(seed).permutation(n)[:N_CROPS]


def still_crops(images: Sequence[TrainingImage], config: UNetConfig, params: TrainParams) -> list[Batch]:
    """Cut one crop from each image, as it is, always the same ones."""
    rng = np.random.default_rng(params.seed)
    starts = range(0, len(images), params.batch_size)
    groups = [range(start, min(start + params.batch_size, len(images))) for start in starts]
    return [random_batch(images, chosen, params.crop, config.in_channels, STILL, rng) for chosen in groups]


def look_at_crops(learner: Learner, batches: Sequence[Batch]) -> Figures:
    """Measure the weights to keep on batches of crops; NaN without any.

    IoU and Dice are those of the foreground at probability .5, mean over the crops, where the labels were reviewed.
    """
    if not batches:
        return Figures()
    losses, overlaps = [], []
    with learner.averaged():
        for x, targets in batches:
            outputs = learner.forward(x)
            losses.append(learner.loss_on(outputs, targets))
            overlaps.append(foreground_overlap(outputs[FOREGROUND].cpu(), targets))
    iou, dice = torch.cat(overlaps, dim=1).mean(dim=1).tolist()
    return Figures(float(np.mean(losses)), iou=iou, dice=dice)


def foreground_overlap(logits: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
    """Return ``(2, N)``: IoU and Dice of the foreground of each crop; 1 where there is none and none was found."""
    counts = targets["weight"] > 0
    found, true = (logits >= 0) & counts, (targets[FOREGROUND] > 0.5) & counts
    both = (found & true).sum(dim=(1, 2, 3)).double()
    either = (found | true).sum(dim=(1, 2, 3)).double()
    iou = torch.where(either > 0, both / either.clamp(min=1), 1.0)
    return torch.stack([iou, 2 * iou / (1 + iou)])
