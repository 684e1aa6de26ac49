"""A network that learns, step by step, within the memory that there is; no clock, no files."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...imaging.errors import CellsegError
from ...network.building import Network
from ...network.devices import DeviceChoice, resolve_device
from ...network.predict import out_of_memory
from ...network.ready import place
from ..params import TrainParams
from .drawing import Drawer
from .losses import total_loss
from .schedule import RunningAverage

Batch = tuple[Tensor, Mapping[str, Tensor]]
PATIENCE = 5
LEAST_CROP = 64
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
    params : TrainParams
        Learning rate, weight decay, optimiser, decay of the running average and loss are taken from it.
    freeze : {'nothing', 'norms', 'encoder'}
        What stays as it is: the statistics of the normalisations, or these and the weights of the contracting half.
    blend : float
        The weights to keep lie this far on the way from the first weights to their running average. Below 1 much of
        what the network knew is kept, for little of what is new (Wortsman et al., Robust fine-tuning of zero-shot
        models, CVPR 2022).
    """

    def __init__(
        self, network: Network, choice: DeviceChoice, params: TrainParams, freeze: str = "nothing", blend: float = 1.0
    ) -> None:
        self.network, self.choice, self.loss, self.freeze = place(network, choice.device), choice, params.loss, freeze
        if freeze == "encoder":
            network.down.requires_grad_(False)
        self.average = RunningAverage(network, params.average)
        self.blend = blend
        self._first = {name: value.clone() for name, value in self.average.state.items()} if blend < 1 else {}
        learned = [p for p in network.parameters() if p.requires_grad]
        self.optimizer = _make_optimizer(params, learned)
        # Small gradients vanish in float16 unless they are scaled up; other precisions need nothing of the kind.
        self.scaler = torch.amp.GradScaler(choice.device, enabled=choice.dtype == "float16")
        self._n_bad = 0

    def set_rate(self, learning_rate: float) -> None:
        """Set the learning rate of the next step."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate

    def learn(self, x: Tensor, targets: Mapping[str, Tensor]) -> tuple[float, dict[str, float]]:
        """Take one step; return the loss before it and its parts.

        A step that fails changes nothing, whether its loss or gradient is not a number or memory runs out on the way:
        the statistics of the normalisations, which the forward pass updates, are put back too.

        Raises
        ------
        RanAwayError
            When the loss or gradient is not a number five times in a row.
        """
        self._train_mode()
        statistics = [(buffer, buffer.clone()) for buffer in self.network.buffers()]
        moved = False
        try:
            value, parts, moved = self._step(x, targets)
        finally:
            if not moved:
                self._take_back(statistics)
        if moved:
            self._n_bad = 0
            self.average.update(self.network)
        elif not (math.isfinite(value) and self._scale_fell()):
            self._n_bad += 1
            if self._n_bad >= PATIENCE:
                raise RanAwayError(f"The loss is not a number any more, {PATIENCE} steps in a row.")
        return value, parts

    def _step(self, x: Tensor, targets: Mapping[str, Tensor]) -> tuple[float, dict[str, float], bool]:
        """Return loss, its parts and whether the weights were moved."""
        loss, parts = total_loss(self.forward(x), self._moved(targets), self.loss)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        value = float(loss.detach())
        finite = math.isfinite(value) and math.isfinite(float(norm))
        if finite:
            self.scaler.step(self.optimizer)
        # Where gradients are scaled, the scale halves after a step that was not finite.
        self.scaler.update()
        return value, parts, finite

    def _scale_fell(self) -> bool:
        """Whether gradients were only scaled up too far, which is no mistake of the run: the next step may fit."""
        return bool(self.scaler.is_enabled() and self.scaler.get_scale() > LEAST_SCALE)

    def _take_back(self, statistics: Sequence[tuple[Tensor, Tensor]]) -> None:
        with torch.no_grad():
            for buffer, before in statistics:
                buffer.copy_(before)
        self.optimizer.zero_grad(set_to_none=True)

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


def learn_within_memory(
    learner: Learner, drawer: Drawer, name: str
) -> Generator[str, None, tuple[float, dict[str, float]]]:
    """Take one step; with less at a time, then on the CPU, when memory runs out.

    Parameters
    ----------
    learner : Learner
    drawer : Drawer
    name : str
        What is trained, for the message.

    Yields
    ------
    str
        What was changed, in a sentence for the user.

    Returns
    -------
    loss : float
    parts : dict of str to float

    Raises
    ------
    CellsegError
        If memory does not suffice for one small crop on the CPU, or the step failed otherwise.
    """
    while True:
        x, targets = drawer.draw()
        try:
            return learner.learn(x, targets)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise CellsegError(
                    f"Training failed on {learner.choice.label}: {error}. Try the device 'cpu'."
                ) from error
        # Outside the handler: the error would keep the tensors of the failed step alive.
        yield f"Memory ran out, so training goes on with {_less(learner, drawer, name)}."


def _less(learner: Learner, drawer: Drawer, name: str) -> str:
    learner.release_memory()
    if drawer.smaller_batch():
        return f"{drawer.batch_size} crop(s) at a time"
    if learner.choice.device != "cpu":
        learner.move("cpu")
        return "the CPU"
    if drawer.smaller_crop(max(LEAST_CROP, 2 * learner.network.config.stride)):
        return f"crops of {drawer.crop} pixels"
    raise CellsegError(
        f"There is not enough memory to train {name} even on one crop of {drawer.crop} pixels. Close other programs, "
        "or choose a smaller network."
    )


def _make_optimizer(params: TrainParams, learned: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    rate, decay = params.learning_rate, params.weight_decay
    if params.optimizer == "sgd":
        return torch.optim.SGD(learned, rate, momentum=0.9, nesterov=True, weight_decay=decay)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[params.optimizer]
    return kind(learned, rate, weight_decay=decay)
