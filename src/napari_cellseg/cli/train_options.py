"""Options of the commands that train, made from the settings' own help and ranges."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from typing import Any

from ..imaging.errors import CellsegError
from ..imaging.normalize import METHODS, NormalizerParams
from ..network.config import architectures, config_for
from ..training.params import LOSSES, AugmentParams, LossParams, TrainParams
from ..training.settings import kind_of
from .common import option_of

NETWORK = {
    "base_channels": (int, "width of the first level; default: 32, or 16 with an encoder"),
    "levels": (int, "number of poolings; default: 4, or 5 with an encoder"),
    "fold": (int, "work on blocks of 1, 2 or 4 pixels to a side; 2: a quarter of the work at one width; default: 1"),
    "head_kernel": (
        int,
        "side of the convolution that draws each map, 1 or 3; also with a parent, whose answers stay; default: 1",
    ),
    "dropout": (float, "0 to below 1, at the two deepest levels; default: 0"),
}
PERCENTILES = {"low": "becomes 0 before the network sees an image", "high": "becomes 1"}
LOSS_NAMES = {"distance": "distance_weight", "offset": "offset_weight"}


def add_train_options(sub: argparse.ArgumentParser) -> None:
    """Add every setting of a training; what is not given is None, so that the defaults stand in one place."""
    _add_settings(sub.add_argument_group("training"), TrainParams)
    loss = sub.add_argument_group("loss")
    loss.add_argument("--loss", choices=tuple(LOSSES), help="of the foreground; default: bce+dice")
    _add_settings(loss, LossParams, leave_out=("bce", "dice"), names=LOSS_NAMES)
    network = sub.add_argument_group("network (a parent brings its own)")
    for name, (kind, text) in NETWORK.items():
        network.add_argument(option_of(name), type=kind, metavar="N", help=text)
    network.add_argument(
        "--architecture", metavar="NAME",
        help=f"{', '.join(architectures())}, or another encoder of segmentation-models-pytorch; default: unet",
    )  # fmt: skip
    network.add_argument(
        "--encoder-weights",
        metavar="WEIGHTS",
        help="what an encoder starts from: imagenet, which is fetched, or a file",
    )
    network.add_argument(
        "--normalization",
        choices=METHODS,
        help="type: divide by the greatest value of the image's type; standard: mean 0, standard deviation 1",
    )
    for name, text in PERCENTILES.items():
        default = NormalizerParams.__dataclass_fields__[name].default
        network.add_argument(
            f"--{name}-percentile", type=float, metavar="P", help=f"this percentile {text}; default: {default:g}"
        )
    _add_settings(sub.add_argument_group("augmentation"), AugmentParams)


def _add_settings(group: Any, cls: type, leave_out: Sequence[str] = (), names: Mapping[str, str] | None = None) -> None:
    for entry in fields(cls):
        if entry.metadata and entry.name not in leave_out:
            add_setting(group, entry, (names or {}).get(entry.name, entry.name))


def add_setting(group: Any, entry: Field[Any], name: str) -> None:
    """Add a setting as an option that is called `name`, from its own help, choices and type."""
    kind, meta = kind_of(entry), entry.metadata
    default: Any = entry.default
    shown = "{:g} {:g}".format(*default) if kind is tuple else default
    text = meta["help"] if entry.default is None else f"{meta['help']}; default: {shown}"
    if kind is bool:
        group.add_argument(option_of(name), action=argparse.BooleanOptionalAction, default=None, help=text)
    elif kind is tuple:
        group.add_argument(option_of(name), type=float, nargs=2, metavar=("LOW", "HIGH"), help=text)
    elif "choices" in meta:
        group.add_argument(option_of(name), choices=meta["choices"], help=text)
    else:
        group.add_argument(option_of(name), type=kind, metavar="N", help=text)


def given_settings(args: argparse.Namespace, cls: type, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the settings of a dataclass that were given."""
    values = {f.name: getattr(args, (names or {}).get(f.name, f.name), None) for f in fields(cls) if f.metadata}
    return {name: value for name, value in values.items() if value is not None}


def train_params(args: argparse.Namespace) -> TrainParams:
    """Return the settings that were asked for.

    Raises
    ------
    CellsegError
        If two of them contradict each other, or one is out of its range.
    """
    if args.steps is not None and args.epochs is not None:
        raise CellsegError("--steps and --epochs both set how long to train. Give one of them.")
    # `bce` and `dice` are weights that the name of a loss stands for.
    loss = {k: v for k, v in given_settings(args, LossParams, LOSS_NAMES).items() if k not in ("bce", "dice")}
    normalizer = {name: getattr(args, f"{name}_percentile") for name in PERCENTILES} | {"method": args.normalization}
    settings = given_settings(args, TrainParams)
    if getattr(args, "size", None) is not None and "crop" not in settings:
        settings["crop"] = args.size
    return TrainParams(
        **settings,
        kind_weights=kind_weights(args.kind_weight),
        encoder_weights=args.encoder_weights,
        network=config_for(
            args.architecture or "unet",
            args.base_channels,
            args.levels,
            args.dropout or 0.0,
            args.fold or 1,
            args.head_kernel or 1,
            imagenet_input=bool(args.encoder_weights),
        ),
        normalizer=NormalizerParams(**{name: v for name, v in normalizer.items() if v is not None}),
        loss=LossParams.named(args.loss or "bce+dice", **loss),
        augment=AugmentParams(**given_settings(args, AugmentParams)),
    )


def ignored_with_parent(args: argparse.Namespace) -> list[str]:
    """Return the options given that a parent's own settings take the place of."""
    percentiles = (f"{name}_percentile" for name in PERCENTILES)
    own = (name for name in NETWORK if name != "head_kernel")
    names = (*own, "architecture", "encoder_weights", "normalization", *percentiles)
    return [option_of(name) for name in names if getattr(args, name) is not None]


def kind_weights(items: Sequence[str]) -> dict[str, float]:
    """Read ``KIND=NUMBER`` words."""
    weights = {}
    for item in items:
        kind, equals, value = item.rpartition("=")
        try:
            weights[kind] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise CellsegError(f"--kind-weight {item} is not of the form KIND=NUMBER, such as histology=0.2.")
    return weights
