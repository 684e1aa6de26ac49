"""What a training run says while it runs, and leaves behind so that it can be repeated."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor

from ..imaging.writing import atomic_path, write_table
from ..network.devices import DeviceChoice
from ..network.unet import UNet, n_parameters
from ..network.versions import CONFIG_FILE, WEIGHTS_FILE, ModelVersion, announce_weights, write_config
from .datasets import Sample

if TYPE_CHECKING:
    from .params import TrainParams

HISTORY_FILE = "history.csv"


@dataclass(frozen=True)
class TrainProgress:
    """Where a training run stands; `validation_loss` is NaN between validations."""

    step: int
    done: float
    seconds: float
    loss: float
    validation_loss: float
    parts: Mapping[str, float]

    @property
    def seconds_left(self) -> float:
        """Time left at the present pace."""
        return self.seconds * (1 / self.done - 1) if self.done > 0 else math.inf


def save_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write weights as safetensors, whole or not at all; matrices in float16, everything small in float32."""
    _write_bytes(_packed(state), path)


def _packed(state: Mapping[str, Tensor]) -> bytes:
    # Not save_file: it would put a file of its own, readable by nobody else, in the place of ours.
    packed = {k: v.half().contiguous() if v.ndim > 1 else v.contiguous().clone() for k, v in state.items()}
    content: bytes = save(packed)
    return content


def _write_bytes(content: bytes, path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def save_version(folder: Path, state: Mapping[str, Tensor], **settings: Any) -> None:
    """Write or replace the weights of a version and its settings; a crash in between leaves the old or the new one.

    Parameters
    ----------
    folder : Path
    state : mapping of str to Tensor
    settings :
        As :func:`napari_cellseg.network.versions.write_config` takes them.
    """
    content = _packed(state)
    if (folder / CONFIG_FILE).is_file():
        announce_weights(folder, hashlib.sha256(content).hexdigest())
    _write_bytes(content, folder / WEIGHTS_FILE)
    write_config(folder, **settings)


def write_history(path: Path, history: Sequence[TrainProgress]) -> None:
    """Write one row per step: losses, their parts, seconds."""
    columns: dict[str, Any] = {
        "step": [p.step for p in history],
        "seconds": [round(p.seconds, 2) for p in history],
        "loss": [p.loss for p in history],
        "validation_loss": ["" if math.isnan(p.validation_loss) else p.validation_loss for p in history],
    }
    for name in history[0].parts if history else ():
        columns[name] = [p.parts[name] for p in history]
    write_table(path, columns)


def training_record(
    params: TrainParams,
    training: Sequence[Sample],
    validation: Sequence[Sample],
    history: Sequence[TrainProgress],
    network: UNet,
    choice: DeviceChoice,
    parent: ModelVersion | None,
) -> dict[str, Any]:
    """Return everything needed to repeat the run, as JSON-able values."""
    looked = [p for p in history if not math.isnan(p.validation_loss)]
    best = min(looked, key=lambda p: p.validation_loss, default=None)
    return {
        "parent": parent.name if parent else None,
        "parameters": {
            **asdict(params),
            "network": network.config.to_dict(),
            "kind_weights": dict(params.kind_weights),
        },
        "n_parameters": n_parameters(network),
        "device": choice.device,
        "dtype": choice.dtype,
        "torch": torch.__version__,
        "steps": history[-1].step,
        "hours": round(history[-1].seconds / 3600, 2),
        "best_step": best.step if best else history[-1].step,
        "best_validation_loss": best.validation_loss if best else None,
        "training_images": sorted(s.name for s in training),
        "validation_images": sorted(s.name for s in validation),
    }
