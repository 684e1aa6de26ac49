"""Networks that are ready to run: built with their weights, fused or compiled, kept for the next image."""

from __future__ import annotations

import threading
import warnings
from functools import lru_cache

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..imaging.errors import ModelError
from .building import Network, build_network, check_values, fuse_for_inference
from .compiled import CompiledNetwork, can_compile
from .devices import DeviceChoice
from .unet import UNet
from .versions import ModelVersion
from .weights_file import file_sha256

# Weights are loaded and compiled by one thread at a time.
_LOADING = threading.RLock()


def load_network(model: ModelVersion) -> Network:
    """Build a version's network in evaluation mode with its weights, on the CPU in float32.

    Raises
    ------
    ModelError
        If the weights are damaged or do not fit the configuration.
    """
    _check_has_weights(model)
    try:
        if file_sha256(model.weights) != model.sha256:
            raise ModelError(
                f"The weights {model.weights} are not those that its config.json describes: changed or damaged. "
                "Import the model again."
            )
        state = load_file(model.weights)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"The weights {model.weights} cannot be read ({error}). Import the model again.") from error
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    # A configuration may ask for far more than the weights hold: that takes no memory there.
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = build_network(model.config).state_dict()
    wrong = sorted(set(expected) ^ set(state)) or [k for k in expected if expected[k].shape != state[k].shape]
    if wrong:
        raise ModelError(
            f"The weights of model {model.name} do not fit its configuration (first clash: {wrong[0]}). "
            "Import the model again with the config.json it was saved with."
        )
    check_values(state, f"model {model.name}")
    network = build_network(model.config)
    network.load_state_dict(state)
    return network.eval()


def place(network: Network, device: str) -> Network:
    """Move a network to a device with its weights laid out channels last, which convolutions are quickest with."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network.to(device)


@lru_cache(maxsize=2)
def _ready_network(model: ModelVersion, choice: DeviceChoice, modified: int) -> Network:
    network = place(fuse_for_inference(load_network(model)), choice.device)
    # The heads stay in float32: they cost little, and their rounding would show as steps in the probability.
    network.down.to(getattr(torch, choice.dtype))
    network.up.to(getattr(torch, choice.dtype))
    return network


def ready_network(model: ModelVersion, choice: DeviceChoice) -> Network:
    """Return the version's network on a device; the last two are kept, so that a second image starts at once."""
    with _LOADING:
        return _ready_network(model, choice, _modified(model))


def network_for_maps(model: ModelVersion, choice: DeviceChoice) -> Network | CompiledNetwork:
    """Return what :func:`batch_maps` runs: the version's network compiled for the CPU where that can be, else torch's.

    The last two are kept. A second thread that asks meanwhile waits for the first, and gets the same network.
    """
    with _LOADING:
        if choice.device == "cpu" and can_compile(model.config, choice.dtype):
            compiled = _compiled_network(model, choice, _modified(model), torch.get_num_threads())
            if compiled is not None:
                return compiled
        return ready_network(model, choice)


@lru_cache(maxsize=2)
def _compiled_network(
    model: ModelVersion, choice: DeviceChoice, modified: int, n_threads: int
) -> CompiledNetwork | None:
    network = fuse_for_inference(load_network(model))
    assert isinstance(network, UNet)
    if not _gives_numbers(network):
        # Compiled layers take what is no number for 0: torch shows it.
        return None
    try:
        return CompiledNetwork(network, choice.dtype)
    except (ImportError, OSError, RuntimeError, TypeError) as error:
        warnings.warn(f"OpenVINO is installed but cannot be used ({error}), so torch runs the network.", stacklevel=2)
        return None


@torch.inference_mode()
def _gives_numbers(network: Network) -> bool:
    """Whether a network can compute an image of usual values; products of sane weights may have no bounds."""
    side = max(64, network.config.stride)
    noise = torch.rand((1, network.config.in_channels, side, side), generator=torch.Generator().manual_seed(0))
    return all(bool(torch.isfinite(values).all()) for values in network(noise).values())


def runs_on(network: Network | CompiledNetwork, choice: DeviceChoice) -> str:
    """Return what a network runs on, such as ``CPU (bfloat16, OpenVINO)``."""
    return f"{choice.label[:-1]}, OpenVINO)" if isinstance(network, CompiledNetwork) else choice.label


def _check_has_weights(model: ModelVersion) -> None:
    if model.network:
        raise ModelError(
            f"{model.name} is a network of another package: it finds cells, and cannot be trained, refined, exported "
            "or run block by block here. Choose a model with weights, such as cells."
        )


def _modified(model: ModelVersion) -> int:
    _check_has_weights(model)
    try:
        return model.weights.stat().st_mtime_ns
    except OSError as error:
        raise ModelError(f"Model {model.name} has lost its weights ({model.weights}). Import it again.") from error
