"""Training runs on the disk: where a new version goes, which runs can go on. Loads no torch."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..imaging.errors import CellsegError, OutputError
from ..imaging.processes import is_alive
from ..imaging.read.values.json_file import read_values
from ..imaging.read.values.json_types import check_types
from ..imaging.write.atomic import sweep
from ..imaging.write.write import write_json
from ..network.versions import CONFIG_FILE, ModelVersion, bundled_models_dir, load_model, user_models_dir

RUN_FILE = "finetune.json"
TRAIN_FILE = "train.json"
CHECKPOINT_FILE = "checkpoint.pt"
# A run that wrote no checkpoint for this long has ended, whichever process has its number now.
SILENT_SECONDS = 180.0
# Of a run that was killed before there was a version.
_LEFT = frozenset((RUN_FILE, TRAIN_FILE, CHECKPOINT_FILE, "split.json", "history.csv", "weights.safetensors"))


@dataclass(frozen=True)
class _Data:
    """The dataset of a training."""

    dataset: str
    masks: str | None = None
    groups: str | None = None
    kinds: list[str] = field(default_factory=list)
    size: int | None = None
    fit: Literal["crop", "resize"] = "crop"


@dataclass(frozen=True)
class _Run:
    """Content of the file of a run."""

    parameters: dict[str, Any]
    command: str = ""
    process: int | None = None
    silent_seconds: float = SILENT_SECONDS
    parent: str | None = None
    parent_path: str | None = None
    parent_sha256: str | None = None
    training_set: str = ""
    masks: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    done: float = 0.0
    stopped_by: str = ""
    best: float | None = None
    best_step: int = 0


@dataclass(frozen=True)
class Unfinished:
    """A fine-tune, or a training, that was stopped or killed and can go on.

    Parameters
    ----------
    path : Path
        The version's folder.
    parent : str
        Name or folder of the model it started from; empty when it started from nothing.
    training_set : str
        Where its images are.
    step : int
    done : float
        0 to 1.
    time : float
        When its last checkpoint was written, in seconds since 1970.
    command : {'finetune', 'train'}
    learned : bool
        Whether it has learned, and is only to be compared or measured.
    """

    path: Path
    parent: str
    training_set: str
    step: int
    done: float
    time: float
    command: str = "finetune"
    learned: bool = False

    @property
    def name(self) -> str:
        """The version's name."""
        return self.path.name


def next_version_dir(parent_name: str, base: Path | None = None) -> Path:
    """Return the folder of the next version made from a parent: ``cells`` gives ``cells mine v1``, that ``v2``."""
    base = base or user_models_dir()
    stem = re.sub(r" mine v\d+$", "", parent_name)
    i = 1
    while (base / f"{stem} mine v{i}").exists() or (bundled_models_dir() / f"{stem} mine v{i}").exists():
        i += 1
    return base / f"{stem} mine v{i}"


def check_own_folder(folder: Path) -> None:
    """Raise OutputError where a folder for a new version holds other things than a killed run leaves."""
    there = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    others = sorted(name for name in there if name not in _LEFT and not name.startswith("."))
    if others:
        raise OutputError(
            f"{folder} holds other things ({', '.join(others[:3])}), and a model version needs a folder of its own. "
            "Choose a new or empty one."
        )


def write_run(folder: Path, values: Mapping[str, Any], file: str = RUN_FILE) -> None:
    """Write down what a run was asked to do."""
    write_json(folder / file, values)


def read_run(folder: Path, file: str = RUN_FILE) -> dict[str, Any]:
    """Return what a run was asked to do: a fine-tune, or with ``file=TRAIN_FILE`` a training.

    Raises
    ------
    CellsegError
        If the folder holds no run that can go on.
    """
    if not (folder / CHECKPOINT_FILE).is_file():
        finished = "was finished" if (folder / CONFIG_FILE).is_file() else "holds no checkpoint"
        raise CellsegError(f"There is nothing to resume in {folder}: it {finished}. Start a new run without --resume.")
    values = read_values(folder / file, CellsegError, "Start a new run without --resume.")
    try:
        check_types(_Run, values)
        check_types(_Data, values.get("data", {}))
        if "parameters" not in values:
            raise ValueError("parameters are missing")
    except ValueError as error:
        raise CellsegError(
            f"{folder / file} cannot be used ({error}). Put it back as it was, or start a new run without --resume."
        ) from error
    last_sign = max((folder / name).stat().st_mtime for name in (CHECKPOINT_FILE, file))
    if _is_running(values.get("process"), last_sign, float(values.get("silent_seconds", SILENT_SECONDS))):
        raise CellsegError(f"{folder} is being trained right now, by process {values['process']}. Stop that one first.")
    return values


def parent_of(asked: Mapping[str, Any]) -> ModelVersion:
    """Load the model that a stopped run started from, and no other.

    Parameters
    ----------
    asked : mapping
        What :func:`read_run` returned.

    Raises
    ------
    CellsegError
        If the model is gone, or has other weights than then.
    """
    path, name = asked.get("parent_path", ""), asked.get("parent", "")
    parent = load_model(path if Path(path).is_dir() else name)
    if parent.sha256 != asked.get("parent_sha256"):
        raise CellsegError(
            f"The model {name} in {parent.path} is not the one that this run started from: its weights differ. "
            "Start a new run without --resume."
        )
    return parent


def still_at_it(path: Path) -> None:
    """Show others that a run that has learned is still being compared or measured; see :func:`read_run`."""
    with contextlib.suppress(OSError):
        os.utime(path / CHECKPOINT_FILE)


def end_run(path: Path, file: str, finished: bool) -> None:
    """Discard what a run would go on from when it is finished; else let others go on with it at once."""
    if finished:
        discard(path)
        # What it left where it was killed meanwhile.
        sweep(path, wait=True)
    elif (path / file).is_file():
        values = read_values(path / file)
        write_run(path, {**values, "process": None}, file)


def _is_running(process: object, last_sign: float, silent_seconds: float) -> bool:
    """Whether a process that wrote a checkpoint at that time is still training."""
    # Of another machine, which sees this folder too, the process is not known here.
    return process != os.getpid() and time.time() - last_sign <= silent_seconds and is_alive(process, last_sign)


def list_unfinished(base: Path | None = None) -> list[Unfinished]:
    """Return the runs that can go on in a folder of models (by default the user's), newest first."""
    base = base or user_models_dir()
    found = []
    for folder in base.iterdir() if base.is_dir() else ():
        file = TRAIN_FILE if (folder / TRAIN_FILE).is_file() else RUN_FILE
        try:
            values = read_run(folder, file)
            trained = file == TRAIN_FILE
            found.append(
                Unfinished(
                    folder,
                    str(values["parent"] or ""),
                    str(values["data"]["dataset"] if trained else values["training_set"]),
                    int(values.get("step", 0)),
                    float(values.get("done", 0)),
                    (folder / CHECKPOINT_FILE).stat().st_mtime,
                    "train" if trained else "finetune",
                    bool(values.get("stopped_by")),
                )
            )
        except (CellsegError, OSError, KeyError, TypeError, ValueError):
            continue
    return sorted(found, key=lambda run: -run.time)


def discard(path: Path) -> None:
    """Discard what a run would be resumed from: a whole version stays, a folder without one is deleted."""
    with contextlib.suppress(FileNotFoundError):
        (path / CHECKPOINT_FILE).unlink()
    if not (path / CONFIG_FILE).exists():
        for name in _LEFT:
            (path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.rmdir()
