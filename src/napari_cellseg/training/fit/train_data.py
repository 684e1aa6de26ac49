"""What a training learns from and what it holds out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...imaging.errors import DatasetError
from ...network.config import UNetConfig
from ..data.datasets import Sample
from ..params import STILL, TrainParams
from .augment import TrainingImage, random_batch
from .learner import Batch

N_VALIDATION_CROPS = 48


@dataclass(frozen=True, eq=False)
class TrainData:
    """What is learned from and what is held out."""

    training: tuple[Sample, ...]
    validation: tuple[Sample, ...]


def validation_order(n: int, seed: int) -> np.ndarray:
    """Return which of `n` images are looked at, in which order."""
    return np.random.default_rng(seed).permutation(n)[:N_VALIDATION_CROPS]


def validation_batches(images: Sequence[TrainingImage], config: UNetConfig, params: TrainParams) -> list[Batch]:
    """Cut one crop from each image, as it is, always the same ones."""
    rng = np.random.default_rng(params.seed)
    starts = range(0, len(images), params.batch_size)
    groups = [range(start, min(start + params.batch_size, len(images))) for start in starts]
    return [random_batch(images, chosen, params.crop, config.in_channels, STILL, rng) for chosen in groups]


def refuse_data(data: TrainData, params: TrainParams) -> None:
    """Say what is missing in the images for such a training.

    Raises
    ------
    DatasetError
    """
    training, validation = data.training, data.validation
    if not any(sample.labels.any() for sample in training):
        raise DatasetError("There is no labelled cell to train on. Give images with at least one labelled cell.")
    unknown = sorted(set(params.kind_weights) - {sample.kind for sample in training})
    if unknown:
        kinds = ", ".join(sorted({sample.kind for sample in training} - {""})) or "none"
        raise DatasetError(f"A weight is given for {', '.join(unknown)}, but the kinds of the images are: {kinds}.")
    if not validation and (params.patience or params.schedule == "plateau"):
        asked = "Early stopping" if params.patience else "The schedule plateau"
        raise DatasetError(
            f"{asked} looks at images held out, but none is ({len(training)} in all). "
            "Give more images or a larger part to hold out, or train without it."
        )
