"""Checkpoints of a training run: everything that a killed run goes on from."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from ...imaging.damage import DAMAGE
from ...imaging.errors import CellsegError, DatasetError
from ...imaging.write.atomic import atomic_path
from ..data.datasets import Sample
from ..runs import CHECKPOINT_FILE

FORMAT = 1
_UNREADABLE: tuple[type[Exception], ...] = (UnpicklingError, *DAMAGE)


class Clock:
    """Steps and seconds of a run, without the time that it was not running."""

    def __init__(self) -> None:
        self.step = 0
        self._before = 0.0
        self._started: float | None = None
        self._checkpoint = time.monotonic()

    def start(self) -> None:
        """Let the time run."""
        self._started = self._checkpoint = time.monotonic()

    def set(self, step: int, seconds: float) -> None:
        """Go on from a step and a time."""
        self.step, self._before = step, seconds

    @property
    def seconds(self) -> float:
        """Seconds of training so far."""
        return self._before + (0.0 if self._started is None else time.monotonic() - self._started)

    def due(self, seconds: float) -> bool:
        """Whether the last checkpoint is so long ago."""
        return time.monotonic() - self._checkpoint >= seconds

    def checkpointed(self) -> None:
        """Note that a checkpoint was written."""
        self._checkpoint = time.monotonic()


def fingerprint(samples: Sequence[Sample]) -> str:
    """Hash of everything that is learned from, in any order."""
    parts = []
    for sample in samples:
        digest = hashlib.sha256(sample.name.encode("utf-8", "surrogatepass"))
        for values in (sample.image, sample.labels, sample.reviewed):
            if values is not None:
                digest.update(f"{values.shape}{values.dtype}".encode() + values.tobytes())
        parts.append(digest.hexdigest())
    return hashlib.sha256("".join(sorted(parts)).encode()).hexdigest()


def write_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint in the place of the last one, whole or not at all."""
    with atomic_path(folder / CHECKPOINT_FILE) as temporary:
        torch.save({"format": FORMAT, **state}, temporary)


def read_checkpoint(folder: Path, samples: Sequence[Sample]) -> dict[str, Any]:
    """Read the checkpoint of a run; only tensors and plain values are accepted from it.

    Raises
    ------
    CellsegError
        If there is none, or it is damaged.
    DatasetError
        If what is to be learned has changed since.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        raise CellsegError(f"There is nothing to resume in {folder}. Start a new run without --resume.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise CellsegError(f"The checkpoint {path} cannot be read ({error}). Start a new run.") from error
    known = isinstance(state, dict) and isinstance(state.get("data"), str) and isinstance(state.get("format"), int)
    if not known or state["format"] != FORMAT:
        raise CellsegError(f"The checkpoint {path} is not of this version of napari-cellseg. Start a new run.")
    if state.get("data") != fingerprint(samples):
        raise DatasetError(
            f"The images to learn from have changed since {folder.name} was stopped. Start a new run: going on would "
            "mix what was learned with what is held out."
        )
    return state


def delete_checkpoint(folder: Path) -> None:
    """Delete a checkpoint that is no longer needed."""
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
