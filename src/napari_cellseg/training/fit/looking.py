"""A look at what is held out: a still crop of each image, pixel by pixel, or windows with the cells found in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...imaging.normalize import normalize
from ...instances.live import Instances
from ...instances.metrics import foreground_scores, match, summarize
from ...instances.prediction import Prediction
from ...network.config import DISTANCE, FOREGROUND, UNetConfig
from ...network.smoothing import smoothed
from ...network.versions import ModelVersion
from ..data.datasets import Sample
from ..data.hold_out import keep_inside, reviewed_area
from ..data.sizes import magnified, zoom_to
from ..params import STILL, TrainParams
from .augment import TrainingImage, random_batch, still_crop, with_targets
from .learner import Batch, Learner

N_WINDOWS = 12
N_CROPS = 48


@dataclass(frozen=True)
class Figures:
    """What a look measured: the loss, F1 of cells at IoU .5, IoU and Dice of the foreground; NaN where it did not."""

    loss: float = math.nan
    f1: float = math.nan
    iou: float = math.nan
    dice: float = math.nan


@dataclass(frozen=True, eq=False)
class Window:
    """One window: network input, targets, true labels and where they are to be trusted."""

    x: Tensor
    targets: dict[str, Tensor]
    labels: np.ndarray
    area: np.ndarray


def still_windows(
    samples: Sequence[Sample], model: ModelVersion, size: int, n: int = N_WINDOWS, gap_width: float | None = None
) -> list[Window]:
    """Cut the reviewed areas into windows of `size` pixels; the `n` fullest ones where there are more.

    Cells are brought to the size that the model wants first. `gap_width` is that of
    :func:`napari_cellseg.training.fit.augment.prepare`.
    """
    windows = []
    for as_it_is in samples:
        normalized = normalize(as_it_is.image, model.normalizer)
        sample = magnified(as_it_is, normalized, zoom_to(as_it_is, model.diameter))
        area = reviewed_area(sample)
        ready = with_targets(sample, 0, gap_width)
        rows, columns = (np.flatnonzero(area.any(axis=axis)) for axis in (1, 0))
        for y in range(rows[0], rows[-1] + 1, size):
            for x in range(columns[0], columns[-1] + 1, size):
                box = (slice(y, min(y + size, rows[-1] + 1)), slice(x, min(x + size, columns[-1] + 1)))
                if area[box].any():
                    inputs, targets = still_crop(ready, box, model.config.in_channels)
                    windows.append(Window(inputs, targets, sample.labels[box], area[box]))
    windows.sort(key=lambda window: -int(window.area.sum()))
    return windows[:n]


def look_at_windows(learner: Learner, windows: Sequence[Window], model: ModelVersion) -> Figures:
    """Measure the weights to keep on windows, whose cells are made as `model` makes them; NaN without any."""
    losses, weights, matches, overlaps = [], [], [], []
    with learner.averaged():
        for window in windows:
            outputs = learner.forward(window.x)
            losses.append(learner.loss_on(outputs, window.targets))
            weights.append(int(window.area.sum()))
            probability = (
                smoothed(torch.sigmoid(outputs[FOREGROUND][:, 0].float()), model.config.smooth)[0].cpu().numpy()
            )
            distance = outputs[DISTANCE][0, 0].float().clamp(0, 1).cpu().numpy() if DISTANCE in outputs else None
            instances = Instances.from_prediction(Prediction(probability, distance), model.split)
            found = instances.labels(model.threshold, model.min_size)
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
