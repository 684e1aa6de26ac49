"""Weights from elsewhere: files that torch or safetensors wrote, opened without running anything in them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..imaging.damage import DAMAGE
from ..imaging.errors import ModelError
from .pickled_names import check_pickle, most_bytes

_UNREADABLE: tuple[type[Exception], ...] = (SafetensorError, *DAMAGE)
# Names that training scripts put their weights under, beside the optimiser's.
_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "weights")
# Names that a wrapper around the network puts before those of the weights.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "unet.")


def read_state(path: Path) -> dict[str, Tensor]:
    """Read weights by name.

    Parameters
    ----------
    path : Path
        ``.safetensors``, or what ``torch.save`` wrote: a state dict, or a dict that holds one under a usual name.
        Names that a wrapper added (``module.`` and the like) are taken off.

    Raises
    ------
    ModelError
        If the file is missing, damaged, holds no weights, or could run code when opened.
    """
    if not path.is_file():
        raise ModelError(f"There is no file with weights at {path}.")
    try:
        loaded: Any = load_file(path) if path.suffix == ".safetensors" else _load_torch(path)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path.name} holds more than weights and could run code when opened, so it was not. Save only the weights "
            "where it was made: torch.save(model.state_dict(), FILE)."
        ) from error
    except _UNREADABLE as error:
        reason = (str(error).splitlines() or ["it is cut short"])[0]
        raise ModelError(
            f"{path.name} cannot be read as weights ({reason}). Give a .pth, .pt or .safetensors file."
        ) from error
    return _unwrapped(loaded, path)


def _load_torch(path: Path) -> Any:
    with open(path, "rb") as file:
        # A zip, or a pickle as torch wrote before it took to zips.
        if file.read(2) not in (b"PK", b"\x80\x02"):
            raise ValueError("it is not a file that torch.save wrote")
    check_pickle(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _unwrapped(loaded: Any, path: Path) -> dict[str, Tensor]:
    for name in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
            break
    if not isinstance(loaded, Mapping) or not loaded:
        raise ModelError(f"{path.name} holds {type(loaded).__name__}, not weights by name. Save model.state_dict().")
    other = [str(name) for name, value in loaded.items() if not isinstance(value, Tensor)]
    if other:
        raise ModelError(f"{path.name} holds something else beside weights ('{other[0]}'). Save model.state_dict().")
    state = {str(name): value for name, value in loaded.items()}
    _check_sizes(state, path)
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _check_sizes(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that announce more values than they hold, and more than the file can hold."""
    sizes = {name: value.numel() * value.element_size() for name, value in state.items()}
    for name, value in state.items():
        if value.layout != torch.strided or sizes[name] > value.untyped_storage().nbytes():
            raise ModelError(
                f"{path.name}: '{name}' announces {value.numel():,} values and holds fewer. Save it again."
            )
    if sum(sizes.values()) > most_bytes(path):
        raise ModelError(
            f"{path.name} announces {sum(sizes.values()):,} bytes of weights and has {path.stat().st_size:,}. Save it "
            "again."
        )
