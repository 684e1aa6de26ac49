"""A folder of images: the batch against the loop that a person would write, and against the network alone; its memory.

``python -m tests.benchmarks batch``; ``NAPARI_CELLSEG_BENCH_IMAGES=40`` takes fewer than 200 images. All three write or
compute on the same cores: where the network takes every core, nothing is left to hide reading and writing behind it, so
``OMP_NUM_THREADS=1`` shows on two cores what a GPU or a larger machine does.
"""

from __future__ import annotations

import gc
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import tifffile
import torch
from skimage.measure import regionprops_table

from napari_cellseg import segment
from napari_cellseg.batch.events import RowDone
from napari_cellseg.batch.run import iter_batch
from napari_cellseg.imaging import drain, normalize, read_image, write_table
from napari_cellseg.imaging.write.write import write_labels
from napari_cellseg.network.predict_sized import predict_sized
from napari_cellseg.network.versions import load_model
from napari_cellseg.segmentation.options import RunOptions
from napari_cellseg.segmentation.recipe import Recipe
from tests.benchmarks.harness import Row, draw_maps, median_ratio
from tests.models import make_model

N_IMAGES = int(os.environ.get("NAPARI_CELLSEG_BENCH_IMAGES", "200"))
SIZE = 512
N_CELLS = 250
# What the batch writes into cells.csv, by scikit-image's names.
PROPERTIES = (
    "label", "area", "centroid", "bbox", "perimeter", "axis_major_length", "axis_minor_length", "eccentricity",
    "orientation", "solidity", "extent", "intensity_mean", "intensity_min", "intensity_max", "intensity_std",
)  # fmt: skip
ROUNDS = 4
N_SMALL = 10 * N_IMAGES
SMALL = 96
EARLY = 0.2
GOAL_LOOP, GOAL_ALONE, GOAL_MEMORY = 1.3, 1.1, 1.05


def run() -> list[Row]:
    """Return the rows: speed against both, and memory late against early."""
    with tempfile.TemporaryDirectory() as folder:
        paths = _write_images(Path(folder) / "images", N_IMAGES, SIZE, N_CELLS)
        labels = _speed(Path(folder), paths, ("labels",))
        return [*labels, *_speed(Path(folder), paths, ("labels", "cells")), _memory(Path(folder))]


def _speed(folder: Path, paths: list[Path], outputs: tuple[str, ...]) -> list[Row]:
    model = load_model("cells")
    planes = [normalize(read_image(path).plane(), model.normalizer) for path in paths]
    out = (folder / f"out {len(outputs)} {i}" for i in itertools.count())

    def ours(part: slice) -> None:
        options = RunOptions(outputs=outputs)
        summary = drain(iter_batch([(path, path.name) for path in paths[part]], next(out), Recipe(), options))
        assert summary.n_done == len(paths[part])

    def loop(part: slice) -> None:
        target = next(out)
        target.mkdir()
        for path in paths[part]:
            image = read_image(path)
            result = segment(image)
            write_labels(target / f"{path.stem}_labels.tif", result.labels, metadata=result.metadata)
            if "cells" in outputs:
                table = regionprops_table(result.labels, image.plane(), properties=PROPERTIES)
                write_table(target / f"{path.stem}_cells.csv", table)

    def alone(part: slice) -> None:
        for plane in planes[part]:
            predict_sized(plane, model, "auto")

    times = _in_turns([ours, loop, alone], len(paths))
    against_loop, against_alone = median_ratio(times[1], times[0]), median_ratio(times[0], times[2])
    each = [1000 * sum(seconds) / len(paths) for seconds in times]
    what = f"{len(paths)} images of {SIZE} x {SIZE}, {' and '.join(outputs)}"
    threads = f"{torch.get_num_threads()} of {os.cpu_count()} cores for the network"
    figures = f"{threads}; {each[0]:.0f} ms an image; the loop {each[1]:.0f}, the network alone {each[2]:.0f}"
    return [
        Row(f"{what}: batch ({figures})", f"{sum(times[0]):.1f} s"),
        Row(
            f"{what}: loop of segment() / batch",
            f"{against_loop:.2f} x",
            f"{GOAL_LOOP:g} x",
            against_loop >= GOAL_LOOP,
        ),
        Row(
            f"{what}: batch / network alone",
            f"{against_alone:.2f} x",
            f"{GOAL_ALONE:g} x",
            against_alone <= GOAL_ALONE,
        ),
    ]


def _in_turns(functions: list[Callable[[slice], None]], n_images: int) -> list[list[float]]:
    """Seconds of each function for each share of the images; the turns change, and a first small one warms up."""
    for function in functions:
        function(slice(0, 2))
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(ROUNDS):
        part = slice(turn * n_images // ROUNDS, (turn + 1) * n_images // ROUNDS)
        places = [(turn + i) % len(functions) for i in range(len(functions))]
        for place in places:
            start = time.perf_counter()
            functions[place](part)
            times[place].append(time.perf_counter() - start)
    return times


def _memory(folder: Path) -> Row:
    paths = _write_images(folder / "small", N_SMALL, SMALL, 12)
    model = make_model(folder / "model")
    recipe, options = Recipe(str(model.path)), RunOptions(outputs=("labels", "cells", "rle"))
    process = psutil.Process()
    early = late = n_done = 0
    for event in iter_batch([(path, path.name) for path in paths], folder / "out small", recipe, options):
        if not isinstance(event, RowDone):
            continue
        n_done += 1
        if n_done % 10 == 0:
            gc.collect()
            if n_done <= EARLY * len(paths):
                early = max(early, process.memory_info().rss)
            elif n_done > (1 - EARLY) * len(paths):
                late = max(late, process.memory_info().rss)
    ratio = late / early
    return Row(
        f"{len(paths)} images of {SMALL} x {SMALL}: memory in the last fifth ({late / 1e6:.0f} MB) / in the first",
        f"{ratio:.3f} x",
        f"{GOAL_MEMORY:g} x",
        ratio <= GOAL_MEMORY,
    )


def _write_images(folder: Path, number: int, size: int, n_cells: int) -> list[Path]:
    """Write images of 16 bits; 20 are drawn, and the others are these, turned and with other noise."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    drawn = [draw_maps(size, n_cells, seed=seed).probability for seed in range(min(20, number))]
    paths = [folder / f"image {i:04d}.tif" for i in range(number)]
    for i, path in enumerate(paths):
        cells = np.rot90(drawn[i % len(drawn)], i // len(drawn))
        image = 400 + 8000 * cells + rng.normal(0, 120, cells.shape)
        tifffile.imwrite(path, np.clip(image, 0, 65535).astype(np.uint16), compression="zlib")
    return paths
