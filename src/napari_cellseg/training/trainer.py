"""The one trainer: from scratch and from a parent, in the window's child process and on the command line."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..imaging.errors import CellsegError, DatasetError, OutputError
from ..imaging.normalize import NormalizerParams
from ..imaging.writing import make_folder, write_json
from ..instances.params import SplitParams
from ..network.config import UNetConfig
from ..network.devices import resolve_device
from ..network.predict import load_network, place
from ..network.unet import UNet
from ..network.versions import CONFIG_FILE, TRAINING_FILE, WEIGHTS_FILE, ModelVersion, read_version, write_config
from .augment import AugmentParams, TrainingImage, prepare, random_batch
from .datasets import Sample
from .losses import LossParams, total_loss
from .record import TrainProgress, save_weights, training_record, write_history
from .schedule import RunningAverage, learning_rate_at

STILL = AugmentParams(zoom=(1, 1), rotate=0, stretch=0, gamma=(1, 1), noise=0, blur=0, invert=0, grey=0, shading=0)
N_VALIDATION_CROPS = 48
HISTORY_FILE = "history.csv"


@dataclass(frozen=True)
class TrainParams:
    """How long, how fast and on what the network is trained.

    Parameters
    ----------
    steps : int
        Optimiser steps at most.
    minutes : float, optional
        Time budget. The learning rate follows whichever of `steps` and `minutes` is further along, so that the
        schedule always comes to its end.
    batch_size, crop : int
        Crops per step, and their side in pixels.
    learning_rate : float
        Peak of the one-cycle schedule (Smith 2018): linear up over the first tenth, cosine down to a thousandth.
    weight_decay : float
        Of AdamW.
    average : float
        Decay of the running average of the weights, which is what is saved.
    validate_every : int
        Steps between two looks at the validation loss.
    kind_weights : mapping of str to float
        Relative chance of drawing an image of a kind; a kind not named has its share of the images. The chances are
        scaled to add up to 1.
    seed : int
    device : str
    network : UNetConfig
        Used from scratch; a parent brings its own.
    normalizer, split, loss, augment :
        Parameters of the other steps.
    """

    steps: int = 3000
    minutes: float | None = None
    batch_size: int = 8
    crop: int = 256
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-3
    average: float = 0.998
    validate_every: int = 250
    kind_weights: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    network: UNetConfig = field(default_factory=UNetConfig)
    normalizer: NormalizerParams = field(default_factory=NormalizerParams)
    split: SplitParams = field(default_factory=SplitParams)
    loss: LossParams = field(default_factory=LossParams)
    augment: AugmentParams = field(default_factory=AugmentParams)

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "crop", "validate_every"):
            if getattr(self, name) < 1:
                raise CellsegError(f"Training setting {name} is {getattr(self, name)}; it must be at least 1.")
        if self.minutes is not None and self.minutes <= 0:
            raise CellsegError(f"The time budget is {self.minutes} minutes; it must be above 0.")
        if not 0 < self.learning_rate <= 1:
            raise CellsegError(f"The learning rate is {self.learning_rate}; it must be above 0 and at most 1.")
        if self.crop < 2 * self.network.stride:
            raise CellsegError(
                f"Crops of {self.crop} pixels are too small for {self.network.levels} poolings; "
                f"they must be at least {2 * self.network.stride} pixels."
            )
        if self.seed < 0:
            raise CellsegError(f"The seed is {self.seed}; it must be 0 or more.")
        for kind, weight in self.kind_weights.items():
            if not 0 < weight < math.inf:
                raise CellsegError(f"The weight of kind {kind!r} is {weight}; it must be above 0.")


def draw_weights(images: Sequence[TrainingImage], kind_weights: Mapping[str, float]) -> np.ndarray:
    """Chance of drawing each image: kinds as asked, larger images more often (by the root of their area)."""
    weights = np.array([math.sqrt(image.image[0].numel()) for image in images])
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
    place(network, choice.device)
    run = _Run(network, choice.device, getattr(torch, choice.dtype), params)
    run.images = [prepare(sample, normalizer) for sample in training]
    run.validation_batches = _validation_batches([prepare(s, normalizer, 0) for s in validation], config, params)
    history: list[TrainProgress] = []
    best = math.inf
    try:
        for progress in run.steps():
            history.append(progress)
            if run.looks(progress):
                loss = progress.validation_loss
                if validation and math.isnan(loss):
                    raise CellsegError(
                        f"The loss is not a number any more after {progress.step} steps: the training ran away. "
                        f"Try a learning rate below {params.learning_rate:g}."
                    )
                if not loss >= best:
                    best = loss
                    _save_version(out, run.average.state, config, normalizer, params, parent)
            yield progress
    finally:
        # Also when the run is stopped: what was best so far is then a whole version.
        if (out / CONFIG_FILE).exists():
            write_history(out / HISTORY_FILE, history)
            record = training_record(params, training, validation, history, network, choice, parent)
            write_json(out / TRAINING_FILE, {"command": command, **record})
    return read_version(out)


def _save_version(
    out: Path,
    state: Mapping[str, Tensor],
    config: UNetConfig,
    normalizer: NormalizerParams,
    params: TrainParams,
    parent: ModelVersion | None,
) -> None:
    save_weights(state, out / WEIGHTS_FILE)
    write_config(
        out,
        config=config,
        normalizer=normalizer,
        split=parent.split if parent else params.split,
        threshold=parent.threshold if parent else 0.5,
        min_size=parent.min_size if parent else 20,
        parent=parent.name if parent else None,
    )


class _Run:
    """State of a run: network, optimiser, average, clock."""

    def __init__(self, network: UNet, device: str, dtype: torch.dtype, params: TrainParams) -> None:
        self.network, self.device, self.dtype, self.params = network, device, dtype, params
        self.average = RunningAverage(network, params.average)
        self.optimizer = torch.optim.AdamW(network.parameters(), params.learning_rate, weight_decay=params.weight_decay)
        self.images: list[TrainingImage] = []
        self.validation_batches: list[tuple[Tensor, dict[str, Tensor]]] = []

    def steps(self) -> Generator[TrainProgress, None, None]:
        params = self.params
        rng = np.random.default_rng(params.seed)
        chances = draw_weights(self.images, params.kind_weights)
        started = time.monotonic()
        done, step = 0.0, 0
        while done < 1:
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate_at(done, params.learning_rate)
            chosen = rng.choice(len(self.images), params.batch_size, p=chances)
            x, targets = random_batch(
                self.images, chosen, params.crop, self.network.config.in_channels, params.augment, rng
            )
            loss, parts = self.learn(x, targets)
            step += 1
            seconds = time.monotonic() - started
            done = step / params.steps
            if params.minutes is not None:
                done = max(done, seconds / (60 * params.minutes))
            progress = TrainProgress(step, min(done, 1.0), seconds, loss, math.nan, parts)
            yield replace(progress, validation_loss=self.validation_loss()) if self.looks(progress) else progress

    def looks(self, progress: TrainProgress) -> bool:
        """Whether this is a step after which the validation loss is looked at and the weights may be saved."""
        return progress.step % self.params.validate_every == 0 or progress.done >= 1

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = x.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device, self.dtype, enabled=self.dtype != torch.float32):
            outputs: dict[str, Tensor] = self.network(x)
        return outputs

    def learn(self, x: Tensor, targets: Mapping[str, Tensor]) -> tuple[float, dict[str, float]]:
        self.network.train()
        loss, parts = total_loss(self.forward(x), self.moved(targets), self.params.loss)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.average.update(self.network)
        return float(loss.detach()), parts

    def moved(self, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.to(self.device) for name, value in targets.items()}

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Mean loss of the averaged weights on the validation crops; NaN without any."""
        if not self.validation_batches:
            return math.nan
        learning = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.average.state)
        self.network.eval()
        losses = [
            float(total_loss(self.forward(x), self.moved(targets), self.params.loss)[0])
            for x, targets in self.validation_batches
        ]
        self.network.load_state_dict(learning)
        return float(np.mean(losses))


def _validation_batches(
    images: Sequence[TrainingImage], config: UNetConfig, params: TrainParams
) -> list[tuple[Tensor, dict[str, Tensor]]]:
    if not images:
        return []
    rng = np.random.default_rng(params.seed)
    order = rng.permutation(len(images))[:N_VALIDATION_CROPS]
    groups = [order[i : i + params.batch_size] for i in range(0, len(order), params.batch_size)]
    return [random_batch(images, chosen, params.crop, config.in_channels, STILL, rng) for chosen in groups]
