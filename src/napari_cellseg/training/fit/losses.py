"""The training loss: one term per head, each averaged over the reviewed pixels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from ...network.config import DISTANCE, FOREGROUND, OFFSET
from ..params import LossParams

__all__ = ["BORDER", "LossParams", "dice_loss", "total_loss"]

BORDER = "border"


def dice_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return 1 - soft Dice per image, averaged (Milletari et al., V-Net, 2016); 0 where both are empty."""
    probability = torch.sigmoid(logits) * weight
    target = target * weight
    overlap = (probability * target).sum(dim=(1, 2, 3))
    total = (probability + target).sum(dim=(1, 2, 3))
    return (1 - (2 * overlap + 1) / (total + 1)).mean()


def total_loss(
    outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], params: LossParams
) -> tuple[Tensor, dict[str, float]]:
    """Add up the terms for the heads that the network has.

    Parameters
    ----------
    outputs : mapping of str to Tensor
        The network's maps, ``(N, C, Y, X)``.
    targets : mapping of str to Tensor
        ``foreground``, ``distance``, ``weight`` (0 where nothing was reviewed), ``inverse_size``: ``(N, 1, Y, X)``;
        ``offset``: ``(N, 2, Y, X)``; ``border``, where `params` asks for it: 1 in the narrowest gaps between cells.
    params : LossParams

    Returns
    -------
    loss : Tensor
        Scalar, differentiable.
    parts : dict of str to float
        Unweighted value of each term.
    """
    reviewed = targets["weight"]
    weight = reviewed
    if params.border_weight:
        # The weight map of Ronneberger et al. 2015: the gaps between cells are few pixels, but decide what is one cell.
        weight = reviewed * (1 + params.border_weight * targets[BORDER])
    n_pixels = weight.sum().clamp(min=1)
    foreground = targets[FOREGROUND]
    logits = outputs[FOREGROUND].float()
    terms = {
        "bce": (functional.binary_cross_entropy_with_logits(logits, foreground, reduction="none") * weight).sum()
        / n_pixels,
        "dice": dice_loss(logits, foreground, weight),
    }
    if DISTANCE in outputs:
        error = (outputs[DISTANCE].float() - targets[DISTANCE]).abs()
        terms["distance"] = (error * weight).sum() / n_pixels
    if OFFSET in outputs:
        # A pixel's error counts relative to the size of its cell, so that small cells are not drowned by large ones.
        inside = targets["inverse_size"] * reviewed
        error = (outputs[OFFSET].float() - targets[OFFSET]).abs().mean(dim=1, keepdim=True)
        terms["offset"] = (error * inside).sum() / inside.sum().clamp(min=1e-3)
    loss = sum((getattr(params, name) * value for name, value in terms.items()), start=torch.zeros(()))
    return loss, {name: float(value.detach()) for name, value in terms.items()}
