"""What the two fine-tuning studies share: which images, one fine-tune with its figures, a table kept on the disk."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import napari_cellseg
from napari_cellseg.evaluation.evaluate import iter_predict_samples, score
from napari_cellseg.evaluation.make_version import iter_finetune_version
from napari_cellseg.imaging.progress import drain
from napari_cellseg.imaging.write.write import write_json
from napari_cellseg.network.versions import ModelVersion
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.training.data.datasets import Sample
from napari_cellseg.training.data.general import general_samples
from napari_cellseg.training.finetune_params import FineTuneParams
from napari_cellseg.training.fit.trainer import Trained

BUNDLED = Path(napari_cellseg.__file__).parent / "models" / "cells" / "training.json"


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of both studies."""
    parser.add_argument("--base", required=True, metavar="DIR", help="model version trained on fluorescence alone")
    parser.add_argument("--data", required=True, metavar="ZIP", help="stage1_train.zip with groups.csv beside it")
    parser.add_argument("--out", required=True, metavar="DIR", help="results; finished cells of the table are kept")
    parser.add_argument("--kinds", nargs="+", default=["histology", "brightfield"], metavar="KIND")
    parser.add_argument("--minutes", type=float, default=5.0, help="budget of each fine-tune (default 5)")
    parser.add_argument("--steps", type=int, help="at most so many steps, for a quick try")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--learning-rate", type=float, default=FineTuneParams().learning_rate)


def pool_and_test(samples: Sequence[Sample], kind: str, side: int = 512) -> tuple[list[Sample], list[Sample]]:
    """Return the images of a kind to learn from, cut to `side` pixels and in a fixed order, and those to test on.

    The test images are those held out when the bundled model was trained; no group is on both sides.
    """
    held_out = set(json.loads(BUNDLED.read_text())["validation_images"])
    test = [s for s in samples if s.kind == kind and s.name in held_out]
    groups = {s.group for s in test}
    pool = [s for s in samples if s.kind == kind and s.name not in held_out and s.group not in groups]
    order = np.random.default_rng(0).permutation(len(pool))
    # One image of each group first: a person would not start with two of the same field.
    firsts: list[Sample] = []
    others: list[Sample] = []
    known: set[str] = set()
    for i in order:
        (others if pool[i].group in known else firsts).append(pool[i])
        known.add(pool[i].group)
    return [_cut(s, side) for s in (*firsts, *others)], test


def _cut(sample: Sample, side: int) -> Sample:
    height, width = sample.labels.shape
    y, x = max(0, (height - side) // 2), max(0, (width - side) // 2)
    window = (slice(y, y + side), slice(x, x + side))
    return replace(sample, image=sample.image[window], labels=sample.labels[window])


def figures_on(
    model: ModelVersion | Path, samples: Sequence[Sample], threshold: float | None = None, min_size: int | None = None
) -> dict[str, float]:
    """AP50, AP .5-.9 (means over images), F1 and the count's error of a model, at its own thresholds or others."""
    recipe = Recipe(str(model.path if isinstance(model, ModelVersion) else model), threshold, min_size)
    figures = score(samples, drain(iter_predict_samples(samples, recipe))).to_dict()["all"]
    return {
        "ap50": figures["ap_mean"]["0.50"],
        "ap": figures["ap_mean_50_90"],
        "f1": figures["f1_mean"],
        "count_mape": figures["count_mape"],
        "n_images": figures["n_images"],
        "n_cells": figures["n_true"],
    }


def finetune(
    samples: Sequence[Sample], base: ModelVersion, out: Path, params: FineTuneParams, general_kinds: Sequence[str]
) -> tuple[Trained, float]:
    """Make a version as window and command line do, with general samples of the kinds that the base knows."""
    general = [s for s in general_samples("learn") if s.kind in general_kinds]
    started = time.monotonic()
    made = drain(iter_finetune_version(samples, out, base, params, general=general))
    assert made.version is not None
    return replace(made.trained, version=made.version), (time.monotonic() - started) / 60


def cell(folder: Path, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return a cell of the table: from the disk if it was finished before, else by doing the work."""
    path = folder / "cells" / f"{name}.json"
    if path.is_file():
        values: dict[str, Any] = json.loads(path.read_text())
        return values
    say(f"{name} ...")
    values = work()
    write_json(path, values)
    say(f"{name}: " + ", ".join(f"{k} {v:.3f}" for k, v in values.items() if isinstance(v, float)))
    return values


def fresh_folder(folder: Path) -> Path:
    """Return a folder for a version that is not there yet: a run that was broken off is not gone on with here."""
    i = 0
    while (path := folder.with_name(f"{folder.name}_{i}")).exists():
        i += 1
    return path
