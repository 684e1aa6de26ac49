"""Figures of a version on its held-out images, and these images, read again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..imaging.errors import CellsegError
from ..imaging.progress import drain
from ..imaging.read.values.json_file import values_if_any
from ..network.versions import METRICS_FILE, TRAINING_FILE, ModelVersion, optional_number
from ..training.data.fitting import divide
from ..training.data.loading import iter_load
from ..training.data.sample import Sample
from ..training.data.splitting import SPLIT_FILE, read_split

REPORT_FILE = "report.html"


@dataclass(frozen=True)
class HeldOutRow:
    """One image that a version was checked on."""

    name: str
    n_true: int
    n_found: int
    ap: float


@dataclass(frozen=True)
class HeldOutFigures:
    """Figures of a version on images that it did not learn from: over all, and of each image, the worst first."""

    n_images: int
    n_cells: int
    figures: Mapping[str, float | None]
    worst: Sequence[HeldOutRow]


def read_figures(folder: Path) -> HeldOutFigures | None:
    """Read the figures that a training saved; None where there are none, or none that can be read."""
    metrics = values_if_any(folder / METRICS_FILE)
    try:
        total = metrics["all"]
        figures = {
            "f1": optional_number(total["f1_mean"]),
            "ap50": optional_number(total["ap_mean"]["0.50"]),
            "iou": optional_number(total["iou"]),
            "dice": optional_number(total["dice"]),
            "count_mae": optional_number(total["count_mae"]),
            "count_mape": optional_number(total["count_mape"]),
        }
        rows = [
            HeldOutRow(str(row["image"]), int(row["count_true"]), int(row["count"]), float(row["ap"]))
            for row in metrics.get("images", ())
        ]
        worst = sorted(rows, key=lambda row: (row.ap, -abs(row.n_found - row.n_true)))
        return HeldOutFigures(int(total["n_images"]), int(total["n_true"]), figures, worst)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def can_be_opened(folder: Path) -> bool:
    """Whether a training's record names the dataset of its images."""
    return bool((values_if_any(folder / TRAINING_FILE).get("data") or {}).get("dataset"))


def held_out_samples(folder: Path) -> list[Sample]:
    """Read again the images that a version was checked on, cut or resized as they were.

    Raises
    ------
    CellsegError
        If the version does not name them, or they are gone.
    """
    data = values_if_any(folder / TRAINING_FILE).get("data") or {}
    if not data.get("dataset"):
        raise CellsegError(f"{folder.name} names no images that it was checked on. Train again with images held out.")
    reading = iter_load(data["dataset"], data.get("groups"), masks=data.get("masks"), classes=bool(data.get("classes")))
    loaded = drain(reading)
    kinds = data.get("kinds") or []
    samples = [s for s in loaded.samples if not kinds or s.kind in kinds]
    split = read_split(folder / SPLIT_FILE)
    _, validation, _ = divide(samples, split, int(data.get("size") or 0), str(data.get("fit") or "crop"))
    return validation


def learned_from(model: ModelVersion) -> set[str]:
    """Return the names of the images that a model was trained on."""
    names = set(map(str, model.training.get("training_images", ())))
    if (model.training.get("data") or {}).get("size"):
        # It saw windows of them, numbered.
        names |= {re.sub(r"_\d+$", "", name) for name in names}
    return names


def held_out_names(model: ModelVersion) -> set[str]:
    """Return the names of the images that a model never saw: of others, parts may have been held out."""
    return set(map(str, model.training.get("validation_images", ()))) - learned_from(model)


def predict(sample: Sample, version: ModelVersion) -> np.ndarray:
    """Return the cells that a version finds in an image, with its own thresholds."""
    from ..segmentation.recipe import Recipe
    from .evaluate import predict_sample

    labels: np.ndarray = predict_sample(sample, Recipe(model=str(version.path))).labels().astype(np.int32)
    return labels
