"""The settings of a training on images with masks: as controls need them, and as words of the command line. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..network.config import UNET, architectures, config_for
from .data.fitting import FITS
from .params import LOSSES, AugmentParams, LossParams, TrainParams
from .settings import setting

NOTHING = "nothing"
Values = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class DataSettings:
    """Which images are held out, and how they are made to fit."""

    validation: float = setting(0.1, "Held out", "part of the images that is kept for checking", 0.0, 0.9)
    split_by: str = setting(
        "group", "Held out by", "group: never divide a group of groups.csv; image: each alone",
        choices=("group", "image"),
    )  # fmt: skip
    size: int | None = setting(
        None, "Same size", "bring all images to squares of so many pixels", 16, 4096, kind=int, none="as they are"
    )
    fit: str = setting("crop", "Same size by", "crop: cut into windows; resize: stretch or shrink", choices=FITS)


@dataclass(frozen=True)
class NetworkSettings:
    """The network of a training that starts from nothing."""

    architecture: str = setting(
        UNET,
        "Network",
        "plain U-Net, or one with an encoder of segmentation-models-pytorch",
        choices=architectures(),
    )
    encoder_weights: str = setting(
        NOTHING, "Encoder from", "what an encoder starts from; imagenet is fetched from the internet",
        choices=(NOTHING, "imagenet"),
    )  # fmt: skip
    base_channels: int | None = setting(
        None, "Width", "channels of the first level; more is slower and can learn more", 1, 256, kind=int,
        none="as usual",
    )  # fmt: skip
    levels: int | None = setting(None, "Levels", "how often it halves the image", 1, 7, kind=int, none="as usual")
    fold: int = setting(1, "Fold", "works on blocks of 1, 2 or 4 pixels to a side; 2 is quicker at one width", 1, 4)
    dropout: float = setting(0.0, "Dropout", "chance of dropping a feature map at the deepest levels", 0.0, 0.9)


def _like(name: str) -> Any:
    """Return a field like that of the loss."""
    entry = LossParams.__dataclass_fields__[name]
    return field(default=entry.default, metadata=entry.metadata)


@dataclass(frozen=True)
class LossSettings:
    """Measures of the error; the name of a loss stands for the weights of its two terms on the foreground."""

    loss: str = setting("bce+dice", "Loss", "cross-entropy, Dice or both, on the foreground", choices=tuple(LOSSES))
    distance: float = _like("distance")
    offset: float = _like("offset")
    border_weight: float = _like("border_weight")
    border_width: float = _like("border_width")


GROUPS: dict[str, type] = {
    "data": DataSettings,
    "network": NetworkSettings,
    "training": TrainParams,
    "loss": LossSettings,
    "augmentation": AugmentParams,
}
TITLES = {
    "data": "Held-out images, size",
    "network": "Network (from scratch)",
    "training": "Training",
    "loss": "Loss",
    "augmentation": "Variation of the images",
}
# The first page asks for the minutes.
LEFT_OUT = {"minutes"}
# Where they differ from the command line's: a budget of minutes, not of steps, and curves that move.
OWN: Mapping[str, Any] = {"steps": 20_000, "validate_every": 25, "checkpoint_seconds": 30.0}
# Weights that are good already are spoilt by large steps.
FROM_PARENT: Mapping[str, Any] = {"learning_rate": 3e-4}
OPTION_NAMES = {"loss": {"distance": "distance_weight", "offset": "offset_weight"}}


def unset_diameter(from_parent: bool) -> str:
    """Return what size the cells have where no diameter is set, in words."""
    return "as the model has them" if from_parent else "as they are"


def words_of(values: Mapping[str, Any], names: Mapping[str, str] | None = None) -> list[str]:
    """Return settings by name as words of the command line; `names` are those that the command line calls otherwise."""
    words: list[str] = []
    for name, value in values.items():
        option = (names or {}).get(name, name).replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            numbers = [f"{x:g}" for x in value] if isinstance(value, tuple) else [str(value)]
            words += [f"--{option}", *numbers]
    return words


def option_words(values: Values, from_parent: bool) -> tuple[str, ...]:
    """Return settings that differ from the command line's defaults as its words."""
    left_out = {"network"} if from_parent else set()
    chosen = {group: dict(settings) for group, settings in values.items() if group not in left_out}
    if chosen.get("training", {}).get("epochs") is not None:
        chosen["training"].pop("steps", None)
    return tuple(word for group, settings in chosen.items() for word in words_of(settings, OPTION_NAMES.get(group)))


def check(values: Values, minutes: float | None, from_parent: bool) -> TrainParams:
    """Build the settings that the command line will build.

    Raises
    ------
    CellsegError
        If one is out of its range, or two do not go together.
    """
    network = {} if from_parent else dict(values.get("network", {}))
    weights = network.pop("encoder_weights", None)
    loss = dict(values.get("loss", {}))
    training = dict(values.get("training", {}))
    size = values.get("data", {}).get("size")
    if size is not None:
        training.setdefault("crop", size)
    return TrainParams(
        **training,
        minutes=minutes,
        encoder_weights=weights,
        network=config_for(
            network.get("architecture", UNET),
            network.get("base_channels"),
            network.get("levels"),
            network.get("dropout", 0.0),
            network.get("fold", 1),
            imagenet_input=bool(weights),
        ),
        loss=LossParams.named(loss.pop("loss", "bce+dice"), **loss),
        augment=AugmentParams(**values.get("augmentation", {})),
    )
