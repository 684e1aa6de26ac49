"""The course of the learning rate, and the running average of the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ...network.building import Network


def learning_rate_at(done: float, peak: float) -> float:
    """One-cycle schedule at `done` (0 to 1) of the run."""
    if done < 0.1:
        return peak * max(done / 0.1, 0.02)
    return peak * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * (min(done, 1) - 0.1) / 0.9)))


def scheduled_rate(schedule: str, done: float, peak: float, floor: float = 0.001) -> float:
    """Return the rate of a schedule at `done` (0 to 1) of the run; for ``plateau``, `peak` is what it has fallen to."""
    if schedule == "one-cycle":
        return learning_rate_at(done, peak)
    if schedule == "cosine":
        return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(done, 1))))
    return peak


@dataclass
class Looks:
    """Results of the looks at the validation loss: the best one, how long ago it was, how often the rate fell.

    Parameters
    ----------
    best : float
        Lowest loss so far.
    best_step : int
    since_best, since_fall : int
        Looks without a lower loss, since the best one and since the rate last fell.
    n_falls : int
        How often the learning rate of ``plateau`` fell.
    """

    best: float = math.inf
    best_step: int = 0
    since_best: int = 0
    since_fall: int = 0
    n_falls: int = 0

    def add(self, loss: float, step: int, plateau_patience: int) -> bool:
        """Note a look; return whether its loss is the lowest so far, which one that is not a number never is."""
        if loss < self.best:
            self.best, self.best_step, self.since_best, self.since_fall = loss, step, 0, 0
            return True
        self.since_best += 1
        self.since_fall += 1
        if self.since_fall >= plateau_patience:
            self.n_falls, self.since_fall = self.n_falls + 1, 0
        return False


class RunningAverage:
    """Exponential moving average of a network's weights and buffers (Polyak averaging), quick at the start."""

    def __init__(self, network: Network, decay: float) -> None:
        self.decay = decay
        self.n_updates = 0
        self.state = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: Network) -> None:
        self.n_updates += 1
        pull = 1 - min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, pull)
            else:
                self.state[name].copy_(value)
