"""Fit the weights of the doubt: ``python -m tests.benchmarks.fit_doubt DATASET [--model cells] [--images N]``.

Writes ``corrections/doubt.json``. Only images that the model was trained on are used, never those held out, so that
``napari-cellseg evaluate DATASET --only validation --doubt`` measures it on images that nothing was fitted to.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from napari_cellseg.cli.common import drain_with_bar
from napari_cellseg.corrections.cell_parts import MISSED_PARTS, PARTS, cell_parts, missed_parts
from napari_cellseg.corrections.doubt import WEIGHTS_FILE, hidden, standardized
from napari_cellseg.evaluation.doubt_order import ERROR_IOUS, best_overlap, lost_cells
from napari_cellseg.evaluation.evaluate import iter_predict_samples
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segmented import Segmented
from napari_cellseg.training.data.datasets import Sample, iter_dataset

FREE_SIGN = ("edge",)  # the others may only speak against a cell, so that reasons make sense
STEPS = (-0.2, 0.0, 0.2)  # of the threshold


def parts_of(
    sample: Sample, segmented: Segmented, step: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(parts of shown cells, how wrong each is), (parts of hidden ones, whether each is a lost cell)."""
    instances, prediction = segmented.instances, segmented.prediction
    threshold, min_size = segmented.threshold + step, segmented.min_size
    labels, ids = instances.labels(threshold, min_size), instances.ids(threshold, min_size)
    parts = cell_parts(instances, prediction, segmented.model.split, threshold, min_size, labels, ids)
    best = best_overlap(sample.labels, labels)[1]
    wrong = np.mean([best < iou for iou in ERROR_IOUS], axis=0)
    faint, below = hidden(instances, threshold, min_size)
    typical = float(np.median(instances.areas(threshold)[ids - 1])) if len(ids) else max(min_size, 1)
    missed = missed_parts(instances, prediction, typical, min_size, below, faint)
    lost = lost_cells(sample.labels, labels)
    y, x = (np.round(missed[axis]).astype(int) for axis in "yx")
    return (
        np.stack([parts[name] for name in PARTS], axis=1),
        wrong,
        np.stack([missed[name] for name in MISSED_PARTS], axis=1),
        (lost[y, x] > 0).astype(float),
    )


def fit(names: tuple[str, ...], values: np.ndarray, target: np.ndarray, weight: np.ndarray, signed: bool) -> Any:
    """Logistic regression with a weak pull to 0."""
    roots = np.sqrt(np.maximum(values, 0))
    moments = {
        name: {"mean": float(m), "spread": float(max(s, 1e-3))}
        for name, m, s in zip(names, roots.mean(0), roots.std(0), strict=True)
    }
    columns = standardized(dict(zip(names, values.T, strict=True)), names, moments)
    columns = np.column_stack([columns, np.ones(len(columns))])

    def loss(c: np.ndarray) -> tuple[float, np.ndarray]:
        s = columns @ c
        gradient = columns.T @ (weight * (1 / (1 + np.exp(-s)) - target))
        gradient[:-1] += c[:-1]
        return float((weight * (np.logaddexp(0, s) - target * s)).sum() + 0.5 * (c[:-1] ** 2).sum()), gradient

    bounds = [(0, None) if signed and name not in FREE_SIGN else (None, None) for name in names] + [(None, None)]
    found = minimize(loss, np.zeros(columns.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds).x
    return {
        "intercept": round(float(found[-1]), 4),
        "parts": {
            name: {
                "mean": round(m["mean"], 5),
                "spread": round(m["spread"], 5),
                "weight": round(float(w), 4),
            }
            for (name, m), w in zip(moments.items(), found, strict=False)
        },
    }


def main() -> None:
    """Predict, measure, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--model", default="cells")
    parser.add_argument("--images", type=int, default=200, help="fluorescence images at most; of other kinds all")
    args = parser.parse_args()
    samples = drain_with_bar("reading", iter_dataset(args.dataset))
    from napari_cellseg.network.versions import load_model

    trained_on = set(load_model(args.model).training["training_images"])
    samples = [s for s in samples if s.name in trained_on]
    common = [s for s in samples if s.kind == "fluorescence"]
    chosen = [common[i] for i in np.random.default_rng(0).permutation(len(common))[: args.images]]
    samples = [s for s in samples if s.kind != "fluorescence"] + chosen
    predicted = drain_with_bar("predicting", iter_predict_samples(samples, Recipe(model=args.model)))
    # At several thresholds, since the person moves it.
    rows = [parts_of(s, p, step) for step in STEPS for s, p in zip(samples, predicted, strict=True)]
    values, target, missed, hit = (np.concatenate([row[i] for row in rows]) for i in range(4))
    kinds = np.concatenate([np.full(len(row[1]), s.kind) for s, row in zip(samples * len(STEPS), rows, strict=True)])
    # Rare kinds count more, but not so much that a handful of images decides.
    weight = np.sqrt(len(kinds) / np.array([np.count_nonzero(kinds == k) for k in kinds]))
    result = {
        "fitted": {
            "command": f"python -m tests.benchmarks.fit_doubt DATASET --model {args.model} --images {args.images}",
            "on": "images the model was trained on, none of those held out",
            "images": len(samples),
            "thresholds": len(STEPS),
            "cells_at_all_thresholds": len(target),
            "hidden_cells_at_all_thresholds": len(hit),
        },
        "cells": fit(PARTS, values, target, weight / weight.mean(), True),
        "missed": fit(MISSED_PARTS, missed, hit, np.ones(len(hit)), False),
    }
    Path(WEIGHTS_FILE).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
