"""The one trainer: from scratch and from a parent, in the window's child process and on the command line."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..imaging.errors import CellsegError, DatasetError, OutputError
from ..imaging.writing import make_folder, write_json
from ..network.config import UNetConfig
from ..network.devices import resolve_device
from ..network.predict import load_network
from ..network.unet import UNet
from ..network.versions import CONFIG_FILE, TRAINING_FILE, WEIGHTS_FILE, ModelVersion, read_version
from .augment import TrainingImage, prepare, random_batch
from .datasets import Sample
from .learner import Batch, Learner, RanAwayError
from .params import STILL, TrainParams
from .record import HISTORY_FILE, TrainProgress, save_version, training_record, write_history
from .schedule import learning_rate_at

__all__ = ["STILL", "TrainParams", "draw_weights", "iter_train"]

N_VALIDATION_CROPS = 48


def draw_weights(images: Sequence[TrainingImage], kind_weights: Mapping[str, float]) -> np.ndarray:
    """Chance of drawing each image: kinds as asked, larger images more often (by the root of their area).

    The area of an image is the part of it that was reviewed.
    """
    weights = np.array([math.sqrt(image.area) for image in images])
    kinds = np.array([image.kind for image in images])
    for kind in set(kinds):
        share = kind_weights.get(str(kind), float((kinds == kind).mean()))
        weights[kinds == kind] *= share / weights[kinds == kind].sum()
    chances: np.ndarray = weights / weights.sum()
    return chances


def iter_train(
    training: Sequence[Sample],
    validation: Sequence[Sample],
    out: str | Path,
    params: TrainParams | None = None,
    parent: ModelVersion | None = None,
    command: str = "",
) -> Generator[TrainProgress, None, ModelVersion]:
    """Train a network step by step and leave a model version in `out`.

    From the first look at the validation loss on, `out` holds a whole version with the weights of the lowest loss so
    far, so that stopping early keeps them.

    Parameters
    ----------
    training, validation : sequence of Sample
        Without validation samples the last weights are kept.
    out : path
        Folder of the new version; it must not hold one.
    params : TrainParams, optional
    parent : ModelVersion, optional
        Start from its weights, with its network and normaliser.
    command : str
        The command line that asked for this, for the record.

    Yields
    ------
    TrainProgress
        After every step.

    Returns
    -------
    ModelVersion

    Raises
    ------
    DatasetError
        If there is nothing to train on, or a weight is given for a kind that no image has.
    OutputError
        If `out` holds a version already or cannot be written.
    """
    params = params or TrainParams()
    out = Path(out)
    if not any(sample.labels.any() for sample in training):
        raise DatasetError("There is no labelled cell to train on. Give images with at least one labelled cell.")
    unknown = sorted(set(params.kind_weights) - {sample.kind for sample in training})
    if unknown:
        kinds = ", ".join(sorted({sample.kind for sample in training} - {""})) or "none"
        raise DatasetError(f"A weight is given for {', '.join(unknown)}, but the kinds of the images are: {kinds}.")
    if (out / WEIGHTS_FILE).exists():
        raise OutputError(f"{out} holds a model version already. Versions are never overwritten: choose a new folder.")
    make_folder(out)
    torch.manual_seed(params.seed)
    choice = resolve_device(params.device)
    config = parent.config if parent else params.network
    normalizer = parent.normalizer if parent else params.normalizer
    network = load_network(parent) if parent else UNet(config)
    learner = Learner(
        network, choice, params.learning_rate, params.weight_decay, params.average, params.loss
    )  # fmt: skip
    images = [prepare(sample, normalizer) for sample in training]
    looked_at = _validation_batches([prepare(s, normalizer, 0) for s in validation], config, params)
    history: list[TrainProgress] = []
    best = math.inf
    try:
        for progress in _steps(learner, images, looked_at, params):
            history.append(progress)
            if _looks(progress, params):
                loss = progress.validation_loss
                if not loss >= best:
                    best = loss
                    save_version(
                        out,
                        learner.average.state,
                        config=config,
                        normalizer=normalizer,
                        split=parent.split if parent else params.split,
                        threshold=parent.threshold if parent else 0.5,
                        min_size=parent.min_size if parent else 20,
                        parent=parent.name if parent else None,
                    )
            yield progress
    except RanAwayError as error:
        raise CellsegError(f"{error} Try a learning rate below {params.learning_rate:g}.") from error
    finally:
        # Also when the run is stopped: what was best so far is then a whole version.
        if (out / CONFIG_FILE).exists():
            write_history(out / HISTORY_FILE, history)
            record = training_record(params, training, validation, history, network, choice, parent)
            write_json(out / TRAINING_FILE, {"command": command, **record})
    return read_version(out)


def _steps(
    learner: Learner, images: Sequence[TrainingImage], looked_at: Sequence[Batch], params: TrainParams
) -> Generator[TrainProgress, None, None]:
    rng = np.random.default_rng(params.seed)
    chances = draw_weights(images, params.kind_weights)
    started = time.monotonic()
    done, step = 0.0, 0
    while done < 1:
        learner.set_rate(learning_rate_at(done, params.learning_rate))
        chosen = rng.choice(len(images), params.batch_size, p=chances)
        x, targets = random_batch(images, chosen, params.crop, learner.network.config.in_channels, params.augment, rng)
        loss, parts = learner.learn(x, targets)
        step += 1
        seconds = time.monotonic() - started
        done = step / params.steps
        if params.minutes is not None:
            done = max(done, seconds / (60 * params.minutes))
        progress = TrainProgress(step, min(done, 1.0), seconds, loss, math.nan, parts)
        yield replace(progress, validation_loss=learner.mean_loss(looked_at)) if _looks(progress, params) else progress


def _looks(progress: TrainProgress, params: TrainParams) -> bool:
    """Whether this is a step after which the validation loss is looked at and the weights may be saved."""
    return progress.step % params.validate_every == 0 or progress.done >= 1


def _validation_batches(images: Sequence[TrainingImage], config: UNetConfig, params: TrainParams) -> list[Batch]:
    if not images:
        return []
    rng = np.random.default_rng(params.seed)
    order = rng.permutation(len(images))[:N_VALIDATION_CROPS]
    groups = [order[i : i + params.batch_size] for i in range(0, len(order), params.batch_size)]
    return [random_batch(images, chosen, params.crop, config.in_channels, STILL, rng) for chosen in groups]
