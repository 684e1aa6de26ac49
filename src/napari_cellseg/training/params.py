"""Settings of training from scratch and of augmentation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..imaging.errors import CellsegError
from ..imaging.normalize import NormalizerParams
from ..instances.params import SplitParams
from ..network.config import UNetConfig
from .losses import LossParams


@dataclass(frozen=True)
class AugmentParams:
    """How strongly training images are varied.

    Parameters
    ----------
    zoom : tuple of float
        Smallest and largest magnification, drawn evenly on a log scale.
    rotate : float
        Chance of an arbitrary angle; else a quarter turn. Flips come on top.
    stretch : float
        Largest relative difference between the two axes' magnification.
    gamma : tuple of float
        Smallest and largest exponent on intensities, drawn evenly on a log scale.
    noise : float
        Largest standard deviation of added Gaussian noise, in units of the normalised range.
    blur : float
        Chance of a blur of 0.5 to 1.5 px.
    invert : float
        Chance of swapping dark and bright in a grey image.
    grey : float
        Chance of dropping a colour image's colours.
    shading : float
        Chance of multiplying by a smooth field, as from uneven illumination.
    """

    zoom: tuple[float, float] = (0.65, 1.6)
    rotate: float = 0.4
    stretch: float = 0.12
    gamma: tuple[float, float] = (0.6, 1.6)
    noise: float = 0.06
    blur: float = 0.15
    invert: float = 0.08
    grey: float = 0.15
    shading: float = 0.2


STILL = AugmentParams(zoom=(1, 1), rotate=0, stretch=0, gamma=(1, 1), noise=0, blur=0, invert=0, grey=0, shading=0)


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
