"""The course of the learning rate, and the running average of the weights."""

from __future__ import annotations

import math

import torch

from ..network.unet import UNet


def learning_rate_at(done: float, peak: float) -> float:
    """One-cycle schedule at `done` (0 to 1) of the run."""
    if done < 0.1:
        return peak * max(done / 0.1, 0.02)
    return peak * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * (min(done, 1) - 0.1) / 0.9)))


class RunningAverage:
    """Exponential moving average of a network's weights and buffers (Polyak averaging), quick at the start."""

    def __init__(self, network: UNet, decay: float) -> None:
        self.decay = decay
        self.n_updates = 0
        self.state = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: UNet) -> None:
        self.n_updates += 1
        pull = 1 - min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, pull)
            else:
                self.state[name].copy_(value)
