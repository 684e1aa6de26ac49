"""A network that learns: one step, the running average, what runs out of memory or away; no clock, no files."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...imaging.errors import CellsegError
from ...network.building import Network
from ...network.config import FOREGROUND
from ...network.devices import DeviceChoice, resolve_device
from ...network.predict import place
from .losses import LossParams, total_loss
from .schedule import RunningAverage

Batch = tuple[Tensor, Mapping[str, Tensor]]
PATIENCE = 5
LEAST_SCALE = 1.0


class RanAwayError(CellsegError):
    """The loss is not a number any more."""


class Learner:
    """Network, optimiser and average of a run.

    Parameters
    ----------
    network : UNet, or one with an encoder from elsewhere
        On the CPU.
    choice : DeviceChoice
    learning_rate, weight_decay : float
        Of the optimiser.
    average : float
        Decay of the running average of the weights.
    loss : LossParams
    freeze : {'nothing', 'norms', 'encoder'}
        What stays as it is: the statistics of the normalisations, or these and the weights of the contracting half.
    blend : float
        The weights to keep lie this far on the way from the first weights to their running average. Below 1 much of
        what the network knew is kept, for little of what is new (Wortsman et al., Robust fine-tuning of zero-shot
        models, CVPR 2022).
    optimizer : {'adamw', 'adam', 'sgd'}
    """

    def __init__(
        self,
        network: Network,
        choice: DeviceChoice,
        learning_rate: float,
        weight_decay: float,
        average: float,
        loss: LossParams,
        freeze: str = "nothing",
        blend: float = 1.0,
        optimizer: str = "adamw",
    ) -> None:
        self.network, self.choice, self.loss, self.freeze = place(network, choice.device), choice, loss, freeze
        if freeze == "encoder":
            network.down.requires_grad_(False)
        self.average = RunningAverage(network, average)
        self.blend = blend
        self._first = {name: value.clone() for name, value in self.average.state.items()} if blend < 1 else {}
        learned = [p for p in network.parameters() if p.requires_grad]
        self.optimizer = _make_optimizer(optimizer, learned, learning_rate, weight_decay)
        # Small gradients vanish in float16 unless they are scaled up; other precisions need nothing of the kind.
        self.scaler = torch.amp.GradScaler(choice.device, enabled=choice.dtype == "float16")
        self._n_bad = 0

    def set_rate(self, learning_rate: float) -> None:
        """Set the learning rate of the next step."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate

    def learn(self, x: Tensor, targets: Mapping[str, Tensor]) -> tuple[float, dict[str, float]]:
        """Take one step; return the loss before it and its parts.

        A step whose loss or gradient is not a number changes nothing.

        Raises
        ------
        RanAwayError
            When five such steps come in a row.
        """
        self._train_mode()
        loss, parts = total_loss(self.forward(x), self._moved(targets), self.loss)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        value = float(loss.detach())
        if not (math.isfinite(value) and math.isfinite(float(norm))):
            if self.scaler.is_enabled():
                # Scaled up too far is no mistake of the run: the scale halves, and the next step fits.
                self.scaler.step(self.optimizer)
                self.scaler.update()
                if math.isfinite(value) and self.scaler.get_scale() > LEAST_SCALE:
                    return value, parts
            self._n_bad += 1
            if self._n_bad >= PATIENCE:
                raise RanAwayError(f"The loss is not a number any more, {PATIENCE} steps in a row.")
            return value, parts
        self._n_bad = 0
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update(self.network)
        return value, parts

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Run the network on a batch."""
        x = x.to(self.choice.device, memory_format=torch.channels_last)
        dtype = getattr(torch, self.choice.dtype)
        with torch.autocast(self.choice.device, dtype, enabled=dtype != torch.float32):
            outputs: dict[str, Tensor] = self.network(x)
        return outputs

    def kept(self) -> dict[str, Tensor]:
        """Return the weights to keep: the running average, or what lies between it and the first weights."""
        if self.blend == 1:
            return self.average.state
        return {
            name: torch.lerp(self._first[name], value, self.blend) if value.is_floating_point() else value
            for name, value in self.average.state.items()
        }

    @contextmanager
    def averaged(self) -> Generator[None, None, None]:
        """Run the network with the weights to keep, without learning."""
        learning = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.kept())
        self.network.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.network.load_state_dict(learning)

    def loss_on(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> float:
        """Return the loss of outputs."""
        return float(total_loss(outputs, self._moved(targets), self.loss)[0])

    def validate(self, batches: Sequence[Batch]) -> tuple[float, float, float]:
        """Return the mean loss, IoU and Dice of the weights to keep on some batches; NaN without any.

        IoU and Dice are those of the foreground at probability .5, mean over the crops, where a person vouched.
        """
        if not batches:
            return math.nan, math.nan, math.nan
        losses, overlaps = [], []
        with self.averaged():
            for x, targets in batches:
                outputs = self.forward(x)
                losses.append(self.loss_on(outputs, targets))
                overlaps.append(foreground_overlap(outputs[FOREGROUND].cpu(), targets))
        iou, dice = torch.cat(overlaps, dim=1).mean(dim=1).tolist()
        return float(np.mean(losses)), iou, dice

    def move(self, device: str) -> None:
        """Go on on another device."""
        self.choice = resolve_device(device)
        self.network.to(self.choice.device)
        self.average.state = {name: value.to(self.choice.device) for name, value in self.average.state.items()}
        self._first = {name: value.to(self.choice.device) for name, value in self._first.items()}
        self.scaler = torch.amp.GradScaler(self.choice.device, enabled=self.choice.dtype == "float16")
        # Loading its own state puts the optimiser's tensors where the weights are.
        self.optimizer.load_state_dict(self.optimizer.state_dict())

    def release_memory(self) -> None:
        """Give back what a failed step left behind."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.choice.device == "cuda":
            torch.cuda.empty_cache()

    def state(self) -> dict[str, Any]:
        """Return everything that learning goes on from, as tensors and plain values."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state,
            "n_updates": self.average.n_updates,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        self.network.load_state_dict(state["network"])
        self.average.state = {name: value.to(self.choice.device) for name, value in state["average"].items()}
        self.average.n_updates = int(state["n_updates"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state.get("scaler") and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])

    def _train_mode(self) -> None:
        self.network.train()
        fixed = {"norms": self.network, "encoder": self.network.down}.get(self.freeze)
        for module in fixed.modules() if fixed is not None else ():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    def _moved(self, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.to(self.choice.device) for name, value in targets.items()}


def foreground_overlap(logits: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
    """Return ``(2, N)``: IoU and Dice of the foreground of each crop; 1 where there is none and none was found."""
    counts = targets["weight"] > 0
    found, true = (logits >= 0) & counts, (targets[FOREGROUND] > 0.5) & counts
    both = (found & true).sum(dim=(1, 2, 3)).double()
    either = (found | true).sum(dim=(1, 2, 3)).double()
    iou = torch.where(either > 0, both / either.clamp(min=1), 1.0)
    return torch.stack([iou, 2 * iou / (1 + iou)])


def _make_optimizer(
    name: str, parameters: Sequence[nn.Parameter], learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD(parameters, learning_rate, momentum=0.9, nesterov=True, weight_decay=weight_decay)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[name]
    return kind(parameters, learning_rate, weight_decay=weight_decay)
