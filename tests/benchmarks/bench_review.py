"""Doubt and learning while correcting, in seconds, for an image of 1024 x 1024."""

from __future__ import annotations

import time

import numpy as np

from napari_cellseg.corrections.doubt import doubt
from napari_cellseg.instances import Instances, Prediction
from napari_cellseg.network.features import features
from napari_cellseg.network.versions import load_model
from napari_cellseg.training.quick import refit
from tests.benchmarks.harness import Row, draw_maps

SIZE = 1024
GOAL_LEARN = 2.0


def run() -> list[Row]:
    """Return one row each for doubt and for learning, the best of three."""
    maps = draw_maps(SIZE, 1500)
    prediction = Prediction(maps.probability, maps.distance)
    instances = Instances.from_prediction(prediction)
    seen = features(maps.probability, load_model("cells"), "cpu")
    reviewed = np.zeros((SIZE, SIZE), dtype=bool)
    reviewed[:200, :200] = True
    doubting, learning = [], []
    for _ in range(3):
        start = time.perf_counter()
        doubt(instances, prediction, None, 0.5, 20)
        doubting.append(time.perf_counter() - start)
        learning.append(refit(seen, maps.labels, reviewed).seconds)
    n_cells = instances.count(0.5, 20)
    return [
        Row(f"doubt about {n_cells} cells, {SIZE} x {SIZE}", f"{min(doubting):.2f} s"),
        Row(
            f"learn while correcting, {SIZE} x {SIZE}, without the network pass",
            f"{min(learning):.2f} s",
            f"{GOAL_LEARN:g} s",
            min(learning) <= GOAL_LEARN,
        ),
    ]
