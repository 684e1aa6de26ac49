"""A look at what is held out: loss, and how many cells are found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...imaging.normalize import normalize
from ...instances.live import Instances
from ...instances.metrics import foreground_scores, match, summarize
from ...instances.prediction import Prediction
from ...network.config import DISTANCE, FOREGROUND
from ...network.versions import ModelVersion
from ..data.datasets import Sample
from ..data.hold_out import keep_inside, reviewed_area
from ..data.sizes import magnified, zoom_to
from .augment import still_crop, with_targets
from .learner import Learner

N_WINDOWS = 12


@dataclass(frozen=True, eq=False)
class Look:
    """One window: network input, targets, true labels and where they are to be trusted."""

    x: Tensor
    targets: dict[str, Tensor]
    labels: np.ndarray
    area: np.ndarray


def still_windows(samples: Sequence[Sample], model: ModelVersion, size: int, n: int = N_WINDOWS) -> list[Look]:
    """Cut the reviewed areas into windows of `size` pixels; the `n` fullest ones where there are more.

    Cells are brought to the size that the model wants first.
    """
    looks = []
    for as_it_is in samples:
        normalized = normalize(as_it_is.image, model.normalizer)
        sample = magnified(as_it_is, normalized, zoom_to(as_it_is, model.diameter))
        area = reviewed_area(sample)
        ready = with_targets(sample, 0)
        rows, columns = (np.flatnonzero(area.any(axis=axis)) for axis in (1, 0))
        for y in range(rows[0], rows[-1] + 1, size):
            for x in range(columns[0], columns[-1] + 1, size):
                window = (slice(y, min(y + size, rows[-1] + 1)), slice(x, min(x + size, columns[-1] + 1)))
                if area[window].any():
                    inputs, targets = still_crop(ready, window, model.config.in_channels)
                    looks.append(Look(inputs, targets, sample.labels[window], area[window]))
    looks.sort(key=lambda look: -int(look.area.sum()))
    return looks[:n]


def look_at(learner: Learner, looks: Sequence[Look], model: ModelVersion) -> tuple[float, float, float]:
    """Return the loss of the averaged weights, F1 at IoU .5 over all cells, and IoU of the foreground."""
    losses, weights, matches, overlaps = [], [], [], []
    with learner.averaged():
        for look in looks:
            outputs = learner.forward(look.x)
            losses.append(learner.loss_on(outputs, look.targets))
            weights.append(int(look.area.sum()))
            probability = torch.sigmoid(outputs[FOREGROUND][0, 0].float()).cpu().numpy()
            distance = outputs[DISTANCE][0, 0].float().clamp(0, 1).cpu().numpy() if DISTANCE in outputs else None
            instances = Instances.from_prediction(Prediction(probability, distance), model.split)
            found = instances.labels(model.threshold, model.min_size)
            true = keep_inside(look.labels, look.area)
            matches.append(match(true, keep_inside(found, look.area), (0.5,)))
            overlaps.append(foreground_scores(look.labels * look.area, found * look.area)["iou"])
    if not losses:
        return math.nan, math.nan, math.nan
    return (
        float(np.average(losses, weights=weights)),
        float(summarize(matches)["f1_pooled"]),
        float(np.average(overlaps, weights=weights)),
    )
