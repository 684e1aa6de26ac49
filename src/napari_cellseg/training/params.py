"""Settings of training from scratch, of its loss and of augmentation, with ranges, labels and help. Loads no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..imaging.errors import ParamsError
from ..imaging.normalize import NormalizerParams
from ..instances.params import SplitParams
from ..network.config import UNetConfig
from ..network.devices import POLICIES
from .settings import check_settings, setting, settings_from_dict

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("one-cycle", "cosine", "plateau", "constant")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
LOSSES: Mapping[str, tuple[float, float]] = {"bce+dice": (1.0, 0.5), "bce": (1.0, 0.0), "dice": (0.0, 1.0)}


@dataclass(frozen=True)
class LossParams:
    """Weights of the terms of the loss.

    Raises
    ------
    ParamsError
        If a value is out of its range, or neither term of the foreground counts.
    """

    bce: float = setting(1.0, "Cross-entropy", "weight of binary cross-entropy on the foreground", 0, 100)
    dice: float = setting(0.5, "Dice", "weight of 1 - Dice on the foreground", 0, 100)
    distance: float = setting(3.0, "Centre distance", "weight of the error of the centre distance", 0, 100)
    offset: float = setting(1.0, "Centre offset", "weight of the error of the centre offset", 0, 100)
    border_weight: float = setting(
        0.0,
        "Weight between cells",
        "how much more the narrow gaps between cells count; 0: not; 10: as in U-Net",
        0,
        100,
    )
    border_width: float = setting(
        0.15, "Width of that", "how wide a gap may be to count more, in diameters of an average cell", 0.02, 1.0
    )

    def __post_init__(self) -> None:
        check_settings(self, "Loss")
        if not self.bce and not self.dice:
            raise ParamsError("Loss settings bce and dice are both 0; at least one of them must be above 0.")

    @property
    def gap_width(self) -> float | None:
        """Width of the gaps between cells that count more; None where they do not."""
        return self.border_width if self.border_weight else None

    @classmethod
    def named(cls, name: str, **more: float) -> LossParams:
        """Return the loss that is called ``bce+dice``, ``bce`` or ``dice``."""
        if name not in LOSSES:
            raise ParamsError(f"There is no loss {name!r}; it must be one of {', '.join(LOSSES)}.")
        bce, dice = LOSSES[name]
        return cls(bce=bce, dice=dice, **more)


@dataclass(frozen=True)
class AugmentParams:
    """How strongly training images are varied.

    Raises
    ------
    ParamsError
        If a value is out of its range.
    """

    zoom: tuple[float, float] = setting(
        (0.65, 1.6), "Zoom", "smallest and largest magnification of the crops", 0.05, 20.0
    )
    rotate: float = setting(0.4, "Any angle", "chance of an arbitrary angle; else a quarter turn", 0, 1)
    stretch: float = setting(0.12, "Stretch", "largest relative difference between the magnifications of y and x", 0, 1)
    gamma: tuple[float, float] = setting((0.6, 1.6), "Gamma", "smallest and largest exponent on intensities", 0.1, 10.0)
    noise: float = setting(0.06, "Noise", "largest standard deviation of noise; the image's range is 1", 0, 1)
    blur: float = setting(0.15, "Blur", "chance of a blur of 0.5 to 1.5 pixels", 0, 1)
    invert: float = setting(0.08, "Invert", "chance of swapping dark and bright in a grey image", 0, 1)
    grey: float = setting(0.15, "Grey", "chance of dropping a colour image's colours", 0, 1)
    shading: float = setting(0.2, "Shading", "chance of uneven illumination", 0, 1)
    contrast: float = setting(0.25, "Contrast", "largest relative change of contrast", 0, 0.95)
    brightness: float = setting(0.08, "Brightness", "largest change of brightness; the image's range is 1", 0, 1)
    tint: float = setting(0.15, "Tint", "largest relative change of each colour", 0, 0.95)
    stain: float = setting(
        0.0,
        "Stain",
        "largest relative change of haematoxylin, eosin and a brown stain, each by itself, on a bright ground",
        0,
        0.95,
    )
    swap: float = setting(0.1, "Swap colours", "chance of swapping the colour channels", 0, 1)
    flip: float = setting(0.5, "Flip", "chance of a mirror image", 0, 1)
    turn: bool = setting(True, "Quarter turns", "turn by 0, 90, 180 or 270 degrees")
    shear: float = setting(0.0, "Shear", "largest shear: pixels sideways per pixel", 0, 1)
    elastic: float = setting(
        0.0, "Elastic", "largest bend in pixels, changing every 32 pixels; for cells below 60 pixels", 0, 6
    )
    difficult: float = setting(
        0.0,
        "Difficult images",
        "how often crops are made difficult: crowded, textured, magnified up to 4 times, out of focus, saturated, with "
        "debris, other stains, coarse or compressed; 0: never; 1: as for the bundled model",
        0,
        1,
    )

    def __post_init__(self) -> None:
        check_settings(self, "Augmentation")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able values."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AugmentParams:
        """Rebuild settings; unknown entries are refused."""
        return settings_from_dict(cls, values, "Augmentation")


STILL = AugmentParams(
    zoom=(1, 1), rotate=0, stretch=0, gamma=(1, 1), noise=0, blur=0, invert=0, grey=0, shading=0, contrast=0,
    brightness=0, tint=0, stain=0, swap=0, flip=0, turn=False,
)  # fmt: skip


@dataclass(frozen=True)
class TrainParams:
    """How long, how fast and on what the network is trained.

    The learning rate follows whichever of `steps` (or `epochs`) and `minutes` is further along, so that the schedule
    always comes to its end. What is kept is a running average of the weights, at its lowest validation loss.
    `encoder_weights` (``imagenet``, or a file) is what an encoder from elsewhere starts from.

    Raises
    ------
    ParamsError
        If a value is out of its range.
    """

    steps: int = setting(3000, "Most steps", "optimiser steps at most", 1, 10**8)
    epochs: int | None = setting(
        None, "Epochs", "in the place of steps: an epoch is as many crops as there are images, and ends with a look",
        1, 10**6, kind=int, expert=False,
    )  # fmt: skip
    minutes: float | None = setting(
        None, "Time budget", "minutes of training; the schedule ends with whichever comes first",
        1e-3, 10**6, kind=float, expert=False,
    )  # fmt: skip
    batch_size: int = setting(8, "Crops per step", "crops per step; 1 works too", 1, 1024)
    crop: int = setting(256, "Crop", "side of the crops in pixels", 4, 4096)
    learning_rate: float = setting(1.5e-3, "Learning rate", "peak learning rate", 1e-8, 1.0)
    optimizer: str = setting("adamw", "Optimiser", "how the weights follow the gradient", choices=OPTIMIZERS)
    schedule: str = setting(
        "one-cycle", "Schedule",
        "one-cycle: up over the first tenth, then down; cosine: down; plateau: down when the validation loss stays",
        choices=SCHEDULES,
    )  # fmt: skip
    plateau_patience: int = setting(
        4, "Patience of plateau", "looks without a lower validation loss before the learning rate falls", 1, 10**6
    )
    plateau_factor: float = setting(0.3, "Fall of plateau", "what the learning rate is then multiplied by", 0.01, 0.99)
    patience: int = setting(
        0, "Early stopping", "stop after so many looks without a lower validation loss; 0: never", 0, 10**6
    )
    weight_decay: float = setting(1e-3, "Weight decay", "pull of the weights towards zero", 0, 1)
    average: float = setting(
        0.998, "Averaging", "decay of the running average of the weights, which is what is kept", 0, 0.99999
    )
    validate_every: int = setting(250, "Look every", "steps between two looks at the validation loss", 1, 10**7)
    checkpoint_seconds: float = setting(120.0, "Checkpoint every", "seconds between two checkpoints", 0, 10**5)
    kind_weights: Mapping[str, float] = field(default_factory=dict)
    diameter: float | None = setting(
        None, "Cell diameter", "pixels that the cells of every image are brought to; without: images as they are, or "
        "as the model it starts from wants them", 4, 200, kind=float, none="as they are",
    )  # fmt: skip
    seed: int = setting(0, "Seed", "of the split and of every random choice", 0, 2**31 - 1)
    device: str = setting("auto", "Runs on", "where the network is trained", choices=POLICIES)
    precision: str = setting(
        "auto",
        "Precision",
        "of the numbers inside the network; auto: the fastest that is safe here",
        choices=PRECISIONS,
    )
    encoder_weights: str | None = None
    network: UNetConfig = field(default_factory=UNetConfig)
    normalizer: NormalizerParams = field(default_factory=NormalizerParams)
    split: SplitParams = field(default_factory=SplitParams)
    loss: LossParams = field(default_factory=LossParams)
    augment: AugmentParams = field(default_factory=AugmentParams)

    def __post_init__(self) -> None:
        check_settings(self, "Training")
        if self.crop < 2 * self.network.stride:
            raise ParamsError(
                f"Crops of {self.crop} pixels are too small for {self.network.levels} poolings; "
                f"they must be at least {2 * self.network.stride} pixels."
            )
        for kind, weight in self.kind_weights.items():
            if not 0 < weight < math.inf:
                raise ParamsError(f"The weight of kind {kind!r} is {weight}; it must be above 0.")

    def steps_per_epoch(self, n_images: int) -> int:
        """Steps until as many crops were learned from as there are images."""
        return max(1, math.ceil(n_images / self.batch_size))

    def most_steps(self, n_images: int) -> int:
        """Steps at most, from a number of images."""
        return self.steps if self.epochs is None else self.epochs * self.steps_per_epoch(n_images)

    def look_every(self, n_images: int) -> int:
        """Steps between two looks at the validation loss."""
        return self.validate_every if self.epochs is None else self.steps_per_epoch(n_images)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able values."""
        return {
            **asdict(self),
            "kind_weights": dict(self.kind_weights),
            "network": self.network.to_dict(),
            "normalizer": self.normalizer.to_dict(),
            "augment": self.augment.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainParams:
        """Rebuild settings; missing ones take their default, unknown ones are refused."""
        nested = {
            "network": UNetConfig.from_dict,
            "normalizer": NormalizerParams.from_dict,
            "split": SplitParams.from_dict,
            "loss": lambda v: settings_from_dict(LossParams, v, "Loss"),
            "augment": AugmentParams.from_dict,
        }
        try:
            plain = {name: nested[name](dict(v)) if name in nested else v for name, v in values.items()}
        except ParamsError:
            raise
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            raise ParamsError(f"Training has settings of another type ({error}).") from error
        return settings_from_dict(cls, plain, "Training")


def rounds_of(n: int) -> list[int]:
    """Return how many trials each round has: half of those before, rounded up, down to two."""
    sizes = [n]
    while sizes[-1] > 2:
        sizes.append(math.ceil(sizes[-1] / 2))
    return sizes


def first_minutes(minutes: float, n: int) -> float:
    """Return how long each of `n` trials is trained in the first round."""
    return minutes / (len(rounds_of(n)) * n)
