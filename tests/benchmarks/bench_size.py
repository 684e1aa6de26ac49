"""The estimated size of cells: images drawn on the fly, and the samples enlarged; on auto against the size given.

``NAPARI_CELLSEG_SIZES`` names the diameters of the nuclei, such as ``8,45,110``, where less time is to be spent.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import napari_cellseg
from napari_cellseg import segment
from napari_cellseg.imaging.read.read import read_image
from napari_cellseg.imaging.write.write import read_labels
from napari_cellseg.instances.metrics import match
from tests.benchmarks.harness import Row
from tests.nuclei import Drawn, draw_discs, draw_nuclei, enlarged

NUCLEI = (8, 11, 16, 23, 32, 45, 64, 90, 125, 180, 250)
DISCS = (12, 26, 60, 95, 125, 160, 200, 250)
TIMES = (1, 2, 4, 6, 8)
MOST_PIXELS = 12_000_000
CLOSE = 1.15
SAMPLES = Path(napari_cellseg.__file__).parent / "samples"
LABELS = Path(__file__).parents[1] / "data"


def drawn_images() -> Iterator[tuple[str, Drawn]]:
    """Nuclei, discs and enlarged samples, each with what it is."""
    sizes = [float(size) for size in os.environ.get("NAPARI_CELLSEG_SIZES", "").split(",") if size] or NUCLEI
    for size in sizes:
        yield f"nuclei of {size:g} px, crowded", draw_nuclei(size, crowded=0.7, seed=int(size))
        few = max(1, min(8, int(6 * (100 / size) ** 2)))
        yield f"nuclei of {size:g} px, {few} in 1024 x 1024", draw_nuclei(size, n_cells=few, seed=1000 + int(size))
    for size in DISCS:
        yield f"8 flat discs of {size} px", draw_discs(size)
    for name in ("fluorescence", "fluorescence_dense", "histology", "brightfield"):
        image, labels = read_image(SAMPLES / f"{name}.png").plane(), read_labels(LABELS / f"{name}_labels.tif")
        for times in TIMES:
            if labels.size * times**2 <= MOST_PIXELS:
                yield f"{name} x {times}", enlarged(Drawn(image, labels), times)


def run() -> list[Row]:
    """One row per image, and how many estimates lie within 15 % of the true median."""
    rows, n_close = [], 0
    for what, drawn in drawn_images():
        auto, given = segment(drawn.image), segment(drawn.image, diameter=drawn.diameter)
        ap_auto, ap_given = (float(match(drawn.labels, one.labels, (0.5,)).ap[0]) for one in (auto, given))
        found = auto.metadata["diameter"] or 0.0
        close = found > 0 and abs(math.log(found / drawn.diameter)) <= math.log(CLOSE)
        n_close += close
        n_true = len(np.unique(drawn.labels)) - 1
        figure = (
            f"{found:.1f} px of {drawn.diameter:.1f}; {auto.count} cells of {n_true} (size given {given.count}); "
            f"AP50 {ap_auto:.2f} ({ap_given:.2f})"
        )
        rows.append(Row(what, figure if close else f"{figure}; not within 15 %"))
    reached = n_close >= 0.95 * len(rows)
    return [*rows, Row("estimates within 15 % of the median", f"{n_close} of {len(rows)}", "95 %", reached)]
