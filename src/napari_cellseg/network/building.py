"""From a configuration to a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from ..imaging.errors import ModelError
from .config import UNetConfig
from .encoders import EncoderUNet, fuse_residual_blocks
from .unet import UNet, fuse_batch_norm

Network = UNet | EncoderUNet


def build_network(config: UNetConfig, encoder_weights: str | Path | None = None) -> Network:
    """Build a network with random weights, or with an encoder that has learned already.

    Parameters
    ----------
    config : UNetConfig
    encoder_weights : str or path, optional
        Only for an architecture with an encoder: ``imagenet`` (fetched) or a file; by default random.

    Raises
    ------
    ModelError
        If there is no such architecture, its library is not installed, or the weights cannot be had.
    """
    if config.has_encoder:
        return EncoderUNet(config, encoder_weights)
    if encoder_weights:
        raise ModelError(
            "The plain U-Net has no encoder with trained weights. Choose an architecture such as resnet34, "
            "or start from a model (--parent)."
        )
    return UNet(config)


def check_values(state: Mapping[str, torch.Tensor], name: str) -> None:
    """Refuse weights by which a network could only find nothing, or anything.

    Parameters
    ----------
    state : mapping of str to Tensor
    name : str
        Where they are from, for the message.

    Raises
    ------
    ModelError
        If a value is not finite, or a variance is negative.
    """
    for key, values in state.items():
        if not torch.isfinite(values).all():
            raise ModelError(f"{key} in {name} holds values that are no numbers: the training ran away. Train again.")
        if key.endswith("running_var") and bool((values < 0).any()):
            raise ModelError(f"{key} in {name} holds negative variances, which no training leaves. Import it again.")


def with_head_kernel(network: Network, side: int) -> Network:
    """Return a network whose heads look at `side` x `side` pixels and that gives the same maps until it is trained.

    Raises
    ------
    ModelError
        If its heads look at more than that already, or it has an encoder from elsewhere.
    """
    now = network.config.head_kernel
    if side == now:
        return network
    if side < now:
        raise ModelError(f"The heads of the model look at {now} x {now} pixels and cannot be made smaller.")
    wider = build_network(replace(network.config, head_kernel=side))
    state = network.state_dict()
    for name in network.heads:
        key = f"heads.{name}.weight"
        state[key] = torch.nn.functional.pad(state[key], ((side - now) // 2,) * 4)
    wider.load_state_dict(state)
    return wider.train(network.training)


def fuse_for_inference(network: Network) -> Network:
    """Return a copy for inference whose batch normalisations are folded into the convolutions before them."""
    fused = fuse_batch_norm(network)
    if isinstance(fused, EncoderUNet):
        fuse_residual_blocks(fused)
    return fused
