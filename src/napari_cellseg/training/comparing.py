"""Training runs side by side: how they were made and how good they are. Loads no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..imaging.errors import CellsegError, ModelError
from ..imaging.read.values.json_file import read_values
from ..imaging.read.values.json_types import check_types
from ..instances.metrics import FIGURES_IN_WORDS
from ..network.versions import TrainingRecord
from .curves import HISTORY_FILE, HistoryTable
from .params import TrainParams

FIGURES = (
    ("val loss", "training", "best_validation_loss"),
    ("val IoU", "training", "best_validation_iou"),
    ("val Dice", "training", "best_validation_dice"),
    ("AP50", "metrics", "ap_mean.0.50"),
    ("AP.5-.95", "metrics", "ap_mean_all"),
    ("F1@.5", "metrics", "f1_mean"),
    ("IoU", "metrics", "iou"),
    ("Dice", "metrics", "dice"),
    ("MAE", "metrics", "count_mae"),
)


@dataclass(frozen=True, eq=False)
class RunSummary:
    """Result of a training run.

    Parameters
    ----------
    name : str
    n_images, steps : int
    minutes : float
    figures : dict of str to float
        By the names of `FIGURES`; NaN where it was not measured.
    parameters : dict
        Settings, flattened: ``augment.zoom``.
    history : HistoryTable, optional
        None where it was not kept.
    held_out : tuple of str
    """

    name: str
    n_images: int
    steps: int
    minutes: float
    figures: Mapping[str, float]
    parameters: Mapping[str, Any]
    history: HistoryTable | None
    held_out: tuple[str, ...]


def summarize_run(folder: str | Path) -> RunSummary:
    """Read what a run left in its folder.

    Raises
    ------
    ModelError
        If the folder holds no training record.
    DatasetError
        If its history is damaged.
    """
    folder = Path(folder).resolve()
    training = _read(folder / "training.json")
    metrics = _read(folder / "metrics.json") if (folder / "metrics.json").is_file() else {}
    overall = metrics.get("all")
    values = {"training": training, "metrics": overall if isinstance(overall, Mapping) else {}}
    try:
        check_types(TrainingRecord, training)
    except ValueError as error:
        raise ModelError(f"{folder / 'training.json'} is damaged ({error}). Leave this run out.") from error
    return RunSummary(
        folder.name,
        len(training.get("training_images", ())),
        int(training.get("steps", 0)),
        60 * float(training.get("hours", 0)),
        {title: _figure(values[source], key) for title, source, key in FIGURES},
        _flat(_completed(training.get("parameters", {}))),
        HistoryTable.read(folder / HISTORY_FILE) if (folder / HISTORY_FILE).is_file() else None,
        tuple(training.get("validation_images", ())),
    )


def _read(path: Path) -> dict[str, Any]:
    return read_values(path, ModelError, "Give folders that a training has left.")


def _completed(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return settings with those that were not there yet when they were written; others' settings as they are."""
    try:
        return {k: v for k, v in TrainParams.from_dict(parameters).to_dict().items() if k != "checkpoint_seconds"}
    except (CellsegError, ValueError, TypeError):
        return parameters


def _figure(values: Mapping[str, Any], key: str) -> float:
    name, _, inner = key.partition(".")
    value = values.get(name)
    if inner and isinstance(value, Mapping):
        value = value.get(inner)
    return float(value) if isinstance(value, (int, float)) else math.nan


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[before + name] = value
    return found


def run_table(runs: Sequence[RunSummary]) -> list[str]:
    """Return runs as lines of a table, then what differs between them."""
    wide = max(len("run"), *(len(run.name) for run in runs))
    lines = [f"{'run':{wide}}{'images':>8}{'steps':>8}{'min':>8}" + "".join(f"{title:>9}" for title, *_ in FIGURES)]
    for run in runs:
        figures = "".join(f"{'' if math.isnan(v) else f'{v:.3f}':>9}" for v in run.figures.values())
        lines.append(f"{run.name:{wide}}{run.n_images:8}{run.steps:8}{run.minutes:8.1f}{figures}")
    lines.append(FIGURES_IN_WORDS)
    names = sorted({name for run in runs for name in run.parameters})
    for name in names:
        values = [run.parameters.get(name) for run in runs]
        if any(value != values[0] for value in values):
            lines.append(f"{name}: " + " | ".join("-" if v is None else str(v) for v in values))
    if len({run.held_out for run in runs}) > 1:
        lines.append("These runs held out different images: their figures cannot be compared with each other.")
    return lines
