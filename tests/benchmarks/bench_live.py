"""Slider ticks, counts, splitting and measuring, against what one would do without `Instances`."""

from __future__ import annotations

import inspect

import numpy as np
from skimage.measure import label
from skimage.morphology import remove_small_objects
from skimage.segmentation import watershed

from napari_cellseg.instances import Instances, measure, split
from tests.benchmarks.harness import Maps, Row, draw_maps, median, median_ratio, paired

MIN_SIZE = 250  # drops the smallest of the cells, which have 200 to 1,000 pixels
# From scikit-image 0.26 on the parameter is called max_size and includes its end.
_BY_MAX_SIZE = "max_size" in inspect.signature(remove_small_objects).parameters


class _Drag:
    """Moves the threshold on each call, so that no two ticks ask the same."""

    def __init__(self, maps: Maps) -> None:
        self.maps = maps
        self.basins = split(maps.probability, maps.distance)
        self.instances = Instances(maps.probability, self.basins)
        self.out = np.empty(self.instances.shape, dtype=self.instances.dtype)
        self.turn = 0

    def threshold(self) -> float:
        self.turn += 1
        return 0.3 + 0.01 * (self.turn * 7 % 40)

    def tick(self) -> np.ndarray:
        return self.instances.labels(self.threshold(), MIN_SIZE, out=self.out)

    def tick_without_size(self) -> np.ndarray:
        return self.instances.labels(self.threshold(), 0, out=self.out)

    def tick_that_drops_half(self) -> np.ndarray:
        return self.instances.labels(self.threshold(), 500, out=self.out)

    def tick_in_view(self) -> np.ndarray:
        return self.instances.labels(self.threshold(), MIN_SIZE, region=np.s_[500:1400, 500:1900])

    def count(self) -> int:
        return self.instances.count(self.threshold(), MIN_SIZE)

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        self.turn += 1
        return self.instances.count_curve(MIN_SIZE + self.turn % 40)

    def relabel(self) -> np.ndarray:
        labels = label(self.maps.probability >= self.threshold())
        if _BY_MAX_SIZE:
            return remove_small_objects(labels, max_size=MIN_SIZE - 1)
        return remove_small_objects(labels, min_size=MIN_SIZE)

    def flood_again(self) -> np.ndarray:
        seeds = self.seeds
        return watershed(-self.maps.distance, seeds, mask=self.maps.probability >= self.threshold())

    @property
    def seeds(self) -> np.ndarray:
        if not hasattr(self, "_seeds"):
            peaks = np.zeros(self.instances.shape, dtype=np.int32)
            table = measure(np.where(self.maps.distance > 0.6, self.basins, 0))
            rows, columns = table["centroid_y"].astype(int), table["centroid_x"].astype(int)
            peaks[rows, columns] = table["index"]
            self._seeds = peaks
        return self._seeds


def run() -> list[Row]:
    """Measure at 2048 x 2048 with 2,000 cells and at 4096 x 4096 with 8,000."""
    return [*_at_2048(), *_at_4096(), *_with_many_cells()]


def _at_2048() -> list[Row]:
    drag = _Drag(draw_maps(2048, 2000))
    drag.seeds  # noqa: B018 - made once here, not inside the timing
    tick, relabel = paired([drag.tick, drag.relabel], rounds=21)
    tick_too, flood = paired([drag.tick, drag.flood_again], rounds=7)
    half, relabel_too = paired([drag.tick_that_drops_half, drag.relabel], rounds=15)
    against_label, against_flood = median_ratio(relabel, tick), median_ratio(flood, tick_too)
    splitting = median(paired([lambda: split(drag.maps.probability, drag.maps.distance)], rounds=3)[0])
    alone = median(paired([lambda: split(drag.maps.probability)], rounds=3)[0])
    size = f"2048 x 2048, {drag.instances.n_basins} cells"
    return [
        Row(f"tick, {size}", f"{1e3 * median(tick):.1f} ms"),
        Row(
            f"  against label + remove_small_objects ({1e3 * median(relabel):.0f} ms)",
            f"{against_label:.1f}x",
            "6x",
            against_label >= 6,
        ),
        Row("  the same with a min_size that drops about half", f"{median_ratio(relabel_too, half):.1f}x"),
        Row(
            f"  against watershed ({1e3 * median(flood):.0f} ms)",
            f"{against_flood:.0f}x",
            "40x",
            against_flood >= 40,
        ),
        Row(f"split, {size}", f"{splitting:.2f} s", "1.5 s", splitting <= 1.5),
        Row("  from the foreground alone", f"{alone:.2f} s"),
    ]


def _at_4096() -> list[Row]:
    drag = _Drag(draw_maps(4096, 8000))
    ticks = [drag.tick, drag.tick_without_size, drag.tick_that_drops_half, drag.tick_in_view]
    tick, bare, half, view, count, curve = map(median, paired([*ticks, drag.count, drag.curve], rounds=31))
    labels = drag.instances.labels(0.5, MIN_SIZE)
    measuring, building = (
        median(seconds)
        for seconds in paired(
            [
                lambda: measure(labels, drag.maps.probability, drag.maps.distance, (0.5, 0.5)),
                lambda: Instances(drag.maps.probability, drag.basins),
            ],
            rounds=3,
        )
    )
    size = f"4096 x 4096, {drag.instances.n_basins} cells"
    return [
        Row(f"tick, {size}", f"{1e3 * tick:.1f} ms", "16.7 ms", tick <= 0.0167),
        Row("  with min_size 0", f"{1e3 * bare:.1f} ms", "16.7 ms", bare <= 0.0167),
        Row("  with a min_size that drops about half", f"{1e3 * half:.1f} ms"),
        Row("  only a view of 900 x 1400", f"{1e3 * view:.1f} ms"),
        Row(f"count, {size}", f"{1e3 * count:.3f} ms", "1 ms", count <= 1e-3),
        Row("  count at every threshold", f"{1e3 * curve:.2f} ms"),
        Row(f"measure, {size}", f"{measuring:.2f} s", "1 s", measuring <= 1),
        Row(f"Instances from basins, {size}", f"{building:.2f} s"),
    ]


def _with_many_cells() -> list[Row]:
    basins = np.arange(1, 70_001, dtype=np.int32).reshape(200, 350).repeat(4, axis=0).repeat(4, axis=1)
    probability = np.random.default_rng(0).random(basins.shape, dtype=np.float32)
    instances = Instances(probability, basins)
    count = median(paired([lambda: instances.count(0.5, 8)], rounds=101)[0])
    return [Row("count, 70,000 cells", f"{1e3 * count:.3f} ms", "1 ms", count <= 1e-3)]
