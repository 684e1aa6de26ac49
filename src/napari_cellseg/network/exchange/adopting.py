"""Weights of a U-Net that was trained elsewhere become a network of this package."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from ...imaging.errors import ModelError
from ...imaging.normalize import PERCENTILES, STANDARD, TYPE, NormalizerParams
from ...imaging.write.atomic import atomic_path
from ...instances.params import SplitParams
from ..building import build_network, check_values
from ..config import BILINEAR_UNET, FOREGROUND, UNET, UNetConfig
from ..state_files import read_state
from ..version_files import write_config
from ..versions import WEIGHTS_FILE

# How the images were normalised where the weights were trained, in common words.
NORMALISATIONS = (PERCENTILES, "minmax", TYPE, "imagenet", STANDARD)
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_RENAMED = {"encoder.": "down.", "decoder.": "up.", "segmentation_head.0.": f"heads.{FOREGROUND}."}
# The names in bioimage.io's unet2d_nuclei_broad and its relatives; LEVELS is how many there are.
_RENAMED_BILINEAR = {
    r"encoders\.": "down.",
    r"base\.": "down.LEVELS.",
    r"decoders\.(\d+)\.": r"up.\1.conv.",
    r"upsamplers\.(\d+)\.1\.": r"up.\1.up.",
    r"output\.": f"heads.{FOREGROUND}.",
}
_HINT = (
    "Taken are U-Nets of this package, of segmentation-models-pytorch (smp.Unet(ENCODER, classes=1) with its usual "
    "decoder), and those built as bioimage.io's unet2d_nuclei_broad"
)


@dataclass(frozen=True)
class Adopted:
    """A network rebuilt from its weights: its configuration, and the weights by the names of this package."""

    config: UNetConfig
    state: Mapping[str, Tensor]


def adopt_weights(
    source: Path, folder: Path, architecture: str | None = None, normalisation: str = PERCENTILES
) -> None:
    """Write a model version into a folder from a file of weights.

    Parameters
    ----------
    source : Path
        See :func:`napari_cellseg.network.state_files.read_state`.
    folder : Path
        An existing, empty folder.
    architecture : str, optional
        Name of the encoder; by default found out from the weights, among the ResNets.
    normalisation : {'percentiles', 'minmax', 'type', 'imagenet', 'standard'}
        How images were normalised where the model was trained: by percentiles, by their least and greatest
        value, by division by 255 (65535 for 16 bit), so and then by ImageNet's mean and deviation, or by their own
        mean and standard deviation.

    Raises
    ------
    ModelError
        If the weights cannot be opened safely, or are of no network that can be rebuilt here.
    """
    normalizer, imagenet_input = normalizer_named(normalisation)
    adopted = adopt_state(read_state(source), source.name, architecture, imagenet_input)
    write_adopted(folder, adopted, normalizer, f"Imported from {source.name}; images normalised by {normalisation}")


def normalizer_named(normalisation: str) -> tuple[NormalizerParams, bool]:
    """Return a normaliser by the word for it, and whether ImageNet's mean and deviation follow."""
    if normalisation not in NORMALISATIONS:
        raise ModelError(f"Normalisation '{normalisation}' is unknown. Choose one of {', '.join(NORMALISATIONS)}.")
    if normalisation == "minmax":
        return NormalizerParams(0, 100), False
    if normalisation == "imagenet":
        return NormalizerParams(method=TYPE), True
    return NormalizerParams(method=normalisation), False


def write_adopted(folder: Path, adopted: Adopted, normalizer: NormalizerParams, description: str) -> None:
    """Write weights and settings of an adopted network; the thresholds are the usual ones until it is calibrated."""
    # Not rounded to float16 as trained versions are: this network is to give the outputs that it gave before.
    state = {k: (v.float() if v.is_floating_point() else v).contiguous().clone() for k, v in adopted.state.items()}
    with atomic_path(folder / WEIGHTS_FILE) as temporary:
        temporary.write_bytes(save(state))
    write_config(
        folder,
        config=adopted.config,
        normalizer=normalizer,
        split=SplitParams(),
        threshold=0.5,
        min_size=20,
        description=description,
    )


def adopt_state(
    state: Mapping[str, Tensor], name: str, architecture: str | None = None, imagenet_input: bool = False
) -> Adopted:
    """Find out which network weights belong to, and rename them.

    Parameters
    ----------
    state : mapping of str to Tensor
    name : str
        Of the file, for messages.
    architecture, imagenet_input
        As :func:`adopt_weights`.

    Raises
    ------
    ModelError
        If they belong to no network that can be rebuilt here; the message names the first weight that clashes.
    """
    own = UNET if "down.0.0.weight" in state else BILINEAR_UNET if "encoders.0.0.weight" in state else None
    if own and architecture in (None, own):
        if imagenet_input:
            raise ModelError(
                f"{name} holds a U-Net that takes no account of ImageNet's mean and deviation. "
                "Choose another normalisation."
            )
        state = state if own == UNET else _renamed_bilinear(state)
        config = _our_config(state, name, own)
        try:
            _check(config, state, name)
        except _ClashError as error:
            raise ModelError(
                f"The weights in {name} are of another network than they seem ({error}). {_HINT}."
            ) from error
        return Adopted(config, state)
    renamed = {_renamed(key): value for key, value in state.items()}
    head = renamed.get(f"heads.{FOREGROUND}.weight")
    if (
        not all(key.startswith(("down.", "up.", "heads.")) for key in renamed)
        or head is None
        or architecture in (UNET, BILINEAR_UNET)
    ):
        unknown = sorted(key for key in state if _renamed(key) == key)
        odd = f" Among them is '{unknown[0]}'." if unknown else ""
        raise ModelError(f"The weights in {name} are of no network that can be rebuilt here.{odd} {_HINT}.")
    if head.ndim != 4 or len(head) != 1:
        n_classes = len(head) if head.ndim else 0
        raise ModelError(f"The network in {name} predicts {n_classes} classes; a network for cells has 1. {_HINT}.")
    config = _encoder_config(renamed, name, architecture, imagenet_input)
    return Adopted(config, renamed)


def _renamed(key: str) -> str:
    for theirs, own in _RENAMED.items():
        if key.startswith(theirs):
            return own + key.removeprefix(theirs)
    return key


def _renamed_bilinear(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    levels = len({key.split(".")[1] for key in state if key.startswith("encoders.")})
    renamed = {}
    for key, value in state.items():
        for theirs, own in _RENAMED_BILINEAR.items():
            key = re.sub(f"^{theirs}", own.replace("LEVELS", str(levels)), key)
        renamed[key] = value
    return renamed


def _our_config(state: Mapping[str, Tensor], name: str, architecture: str) -> UNetConfig:
    first = state["down.0.0.weight"]
    levels = max(int(key.split(".")[1]) for key in state if key.startswith("down.") and key.split(".")[1].isdigit())
    heads = {key.split(".")[1]: len(v) for key, v in state.items() if key.endswith(".weight") and "heads" in key}
    # The foreground is one map, drawn in blocks of fold x fold pixels.
    n_drawn = heads.get(FOREGROUND, 1)
    fold = math.isqrt(n_drawn)
    whole = first.ndim == 4 and fold**2 == n_drawn and not any(n % n_drawn for n in (first.shape[1], *heads.values()))
    if not whole:
        raise ModelError(f"The weights in {name} are of no network that can be rebuilt here. {_HINT}.")
    return UNetConfig(
        in_channels=first.shape[1] // n_drawn,
        base_channels=len(first),
        levels=levels,
        fold=fold,
        head_kernel=state[f"heads.{FOREGROUND}.weight"].shape[-1] if FOREGROUND in heads else 1,
        heads=tuple((head, n // n_drawn) for head, n in heads.items()),
        architecture=architecture,
    )


def _encoder_config(
    state: Mapping[str, Tensor], name: str, architecture: str | None, imagenet_input: bool
) -> UNetConfig:
    head = state[f"heads.{FOREGROUND}.weight"]
    blocks = {key.split(".")[2] for key in state if key.startswith("up.blocks.")}
    first = state.get("down.conv1.weight")
    clashes = {}
    for encoder in [architecture] if architecture else RESNETS:
        config = UNetConfig(
            in_channels=first.shape[1] if first is not None and first.ndim == 4 else 3,
            base_channels=head.shape[1],
            levels=len(blocks),
            heads=((FOREGROUND, 1),),
            architecture=encoder,
            imagenet_input=imagenet_input,
        )
        try:
            _check(config, state, name)
        except _ClashError as error:
            clashes[encoder] = str(error)
        else:
            return config
    if architecture:
        raise ModelError(
            f"The weights in {name} are not of a U-Net with the encoder {architecture} ({clashes[architecture]}). "
            f"Name the encoder that it was trained with (--architecture). {_HINT}."
        )
    raise ModelError(
        f"The weights in {name} fit none of {', '.join(RESNETS)}. Name the encoder (--architecture). {_HINT}."
    )


class _ClashError(ModelError):
    """Weights are not those of a configuration."""


def _check(config: UNetConfig, state: Mapping[str, Tensor], name: str) -> None:
    with torch.device("meta"), warnings.catch_warnings():
        # Random weights are drawn for nothing there.
        warnings.simplefilter("ignore")
        expected = build_network(config).state_dict()
    missing, extra = sorted(set(expected) - set(state)), sorted(set(state) - set(expected))
    if missing or extra:
        raise _ClashError(f"{name} {'lacks ' + missing[0] if missing else 'has ' + extra[0] + ' beside it'}")
    for key, value in expected.items():
        if value.shape != state[key].shape:
            raise _ClashError(f"{key} is {tuple(state[key].shape)} in {name}, not {tuple(value.shape)}")
    check_values(state, name)
