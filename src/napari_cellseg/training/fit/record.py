"""Files that a training run leaves: weights, settings, and a table with a row per step."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from ...imaging.write.write import atomic_path, write_table
from ...network.version_files import announce_weights, write_config
from ...network.versions import CONFIG_FILE, WEIGHTS_FILE
from ..events import TrainProgress


def _packed(state: Mapping[str, Tensor]) -> bytes:
    """Return weights as safetensors: matrices in float16, everything small in float32."""
    # Not save_file: it would replace the temporary file by one that only its owner can read.
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
        As :func:`napari_cellseg.network.version_files.write_config` takes them.
    """
    content = _packed(state)
    if (folder / CONFIG_FILE).is_file():
        announce_weights(folder, hashlib.sha256(content).hexdigest())
    _write_bytes(content, folder / WEIGHTS_FILE)
    write_config(folder, **settings)


def write_history(path: Path, history: Sequence[TrainProgress]) -> None:
    """Write one row per step: losses, their parts, seconds; what was not looked at is left empty."""
    columns: dict[str, Any] = {
        "step": [p.step for p in history],
        "seconds": [round(p.seconds, 2) for p in history],
        "loss": [p.loss for p in history],
        "validation_loss": [p.validation_loss for p in history],
        "validation_iou": [p.iou for p in history],
        "validation_dice": [p.dice for p in history],
        "learning_rate": [p.rate for p in history],
    }
    for name in history[0].parts if history else ():
        columns[name] = [p.parts[name] for p in history]
    write_table(path, columns)


def pack_history(history: Sequence[TrainProgress]) -> dict[str, Any]:
    """Return a history as one table, small enough for a checkpoint: names of the parts, and ``(N, 8 + parts)``."""
    names = list(history[0].parts) if history else []
    rows = [
        (p.step, p.done, p.seconds, p.loss, p.validation_loss, p.iou, p.dice, p.rate, *(p.parts[n] for n in names))
        for p in history
    ]
    return {"parts": names, "rows": torch.tensor(rows, dtype=torch.float64).reshape(len(rows), 8 + len(names))}


def unpack_history(packed: Mapping[str, Any]) -> list[TrainProgress]:
    """Return what :func:`pack_history` was given."""
    names = packed["parts"]
    return [
        TrainProgress(
            int(row[0]), row[1], row[2], row[3], row[4], dict(zip(names, row[8:], strict=True)), row[5], row[6], row[7]
        )
        for row in packed["rows"].tolist()
    ]
