"""Calibration for the lowest count error: the whole surface at once, against the plain loop over thresholds and sizes.

The plain loop labels the thresholded map anew at every threshold and removes small objects at every size, on the same
256 thresholds and all sizes. It would run for hours: a spread sample of it is timed and scaled up, and gives the same
counts where it was run.
"""

from __future__ import annotations

import inspect
import time

import numpy as np
from skimage.measure import label
from skimage.morphology import remove_small_objects

from napari_cellseg.instances import Instances, quantize, split
from napari_cellseg.instances.components import component_counts
from napari_cellseg.instances.surface import count_surface, overlaps, precision_surface
from tests.benchmarks.harness import Row, draw_maps

MAX_SIZE = 400
N_IMAGES = 8
IOUS = (0.5, 0.6, 0.7, 0.8, 0.9)
_LEVELS = (30, 90, 128, 170, 230)
_SIZES = (1, 40, 120, 300)
# From scikit-image 0.26 on the parameter is called max_size and includes its end.
_BY_MAX_SIZE = "max_size" in inspect.signature(remove_small_objects).parameters


def run() -> list[Row]:
    """Calibrate on 8 images of 512 x 512 with 120 cells each."""
    maps = [draw_maps(512, 120, seed=seed) for seed in range(N_IMAGES)]
    splitting, instances = _timed(lambda: [Instances(m.probability, split(m.probability, m.distance)) for m in maps])
    counting, _ = _timed(lambda: [count_surface(i, MAX_SIZE) for i in instances])
    precision, _ = _timed(
        lambda: [precision_surface(overlaps(i, m.labels), MAX_SIZE, IOUS) for i, m in zip(instances, maps, strict=True)]
    )
    components, surfaces = _timed(lambda: [component_counts(m.probability, MAX_SIZE) for m in maps])
    plain, same = 0.0, True
    for m, surface in zip(maps, surfaces, strict=True):
        levels = quantize(m.probability)
        for level in _LEVELS:
            seconds, labels = _timed(lambda at=level, of=levels: label(of >= at, connectivity=2))
            plain += seconds * 256 / len(_LEVELS)
            for size in _SIZES:
                seconds, count = _timed(lambda of=labels, least=size: _count_from(of, least))
                plain += seconds * 256 * (MAX_SIZE + 1) / (len(_LEVELS) * len(_SIZES))
                same &= count == surface[level, size]
    grid = f"256 thresholds x {MAX_SIZE + 1} sizes, {N_IMAGES} images of 512 x 512"
    sampled = len(_LEVELS) * len(_SIZES)
    return [
        Row(f"calibrate the count of cells, {grid}", f"{counting:.2f} s", "10 s", counting < 10),
        Row(f"  against the plain loop ({plain / 3600:.1f} h from {sampled} points)", f"{plain / counting:,.0f}x"),
        Row("  the same with splitting the predictions once", f"{plain / (counting + splitting):,.0f}x"),
        Row("calibrate AP (IoU .5 to .9), same grid", f"{precision:.2f} s", "10 s", precision < 10),
        Row("calibrate the count of components, same grid", f"{components:.2f} s"),
        Row("  against the plain loop, which gives the same counts", f"{plain / components:,.0f}x", "yes", same),
    ]


def _count_from(labels: np.ndarray, min_size: int) -> int:
    if _BY_MAX_SIZE:
        kept = remove_small_objects(labels, max_size=min_size - 1)
    else:
        kept = remove_small_objects(labels, min_size=min_size)
    return int(np.count_nonzero(np.unique(kept)))


def _timed(function) -> tuple[float, object]:  # type: ignore[no-untyped-def]
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


if __name__ == "__main__":
    from tests.benchmarks.harness import format_table

    print(format_table(run()))
