"""How good every threshold and smallest size is, for the count or for AP: 256 thresholds, all sizes, in seconds."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage as ndi

from ..imaging.errors import DatasetError, ModelError, ParamsError
from ..imaging.progress import Progress
from ..imaging.writing import write_json
from ..instances.components import component_counts
from ..instances.live import threshold_level
from ..instances.surface import count_surface, overlaps, precision_surface
from ..network.versions import CALIBRATION_FILE
from ..training.datasets import Sample
from ..training.hold_out import keep_inside, reviewed_area
from .evaluate import COUNTINGS, STANDARD_IOUS
from .segment import Segmented

GOALS = ("count", "ap")
_TOLERANCE = {"count": 0.01, "ap": 0.002}  # settings whose figure is that near to the best one, relatively, are as good
_SMALLEST_REACH = 50  # pixels
_GRID = (52, 40)  # thresholds and sizes of the grid that is saved


@dataclass(frozen=True, eq=False)
class CalibrationMap:
    """A figure at every threshold and smallest size, and the setting to choose.

    Parameters
    ----------
    goal : {'count', 'ap'}
        ``count``: mean absolute error of the count, in cells; ``ap``: mean AP (IoU .5 to .9). Means over images.
    counting : {'cells', 'components'}
    values : ndarray
        float64 (n_levels, n_sizes): rows are thresholds 0 to 1, columns sizes in pixels; a saved map holds fewer.
    thresholds, sizes : ndarray
        Of the rows and columns.
    threshold, min_size : float, int
        The chosen setting.
    value : float
        The figure there.
    before : tuple of float, int, float
        Threshold, size and figure that were the default.
    images : tuple of str
    n_cells : int
        True cells.
    """

    goal: str
    counting: str
    values: np.ndarray
    thresholds: np.ndarray
    sizes: np.ndarray
    threshold: float
    min_size: int
    value: float
    before: tuple[float, int, float]
    images: tuple[str, ...]
    n_cells: int

    @property
    def figure(self) -> str:
        """The figure's name, for people."""
        return "mean count error, cells" if self.goal == "count" else "AP (IoU .5 to .9)"

    def to_dict(self) -> dict[str, Any]:
        """Return everything, the map itself on a coarser grid, JSON-able."""
        rows = _spread(len(self.thresholds), _GRID[0])
        columns = _spread(len(self.sizes), _GRID[1])
        return {
            "goal": self.goal,
            "counting": self.counting,
            "threshold": self.threshold,
            "min_size": self.min_size,
            "value": self.value,
            "before": dict(zip(("threshold", "min_size", "value"), self.before, strict=True)),
            "n_cells": self.n_cells,
            "images": list(self.images),
            "grid": {
                "thresholds": self.thresholds[rows].round(4).tolist(),
                "sizes": self.sizes[columns].tolist(),
                "values": self.values[np.ix_(rows, columns)].round(4).tolist(),
            },
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CalibrationMap:
        """Rebuild a saved map."""
        grid, before = values["grid"], values["before"]
        return cls(
            str(values["goal"]), str(values["counting"]), np.array(grid["values"], np.float64),
            np.array(grid["thresholds"], np.float64), np.array(grid["sizes"], np.int64), float(values["threshold"]),
            int(values["min_size"]), float(values["value"]),
            (float(before["threshold"]), int(before["min_size"]), float(before["value"])),
            tuple(values["images"]), int(values["n_cells"]),
        )  # fmt: skip

    def write(self, folder: Path) -> Path:
        """Write ``calibration.json`` into a folder, such as that of a model version."""
        path = folder / CALIBRATION_FILE
        write_json(path, self.to_dict())
        return path


def read_calibration(folder: Path) -> CalibrationMap | None:
    """Read what calibration left in a model version; None where it was never done.

    Raises
    ------
    ModelError
        The file is damaged.
    """
    path = Path(folder) / CALIBRATION_FILE
    if not path.is_file():
        return None
    try:
        return CalibrationMap.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} cannot be read ({error!r}). Calibrate again, or delete it.") from error


def iter_calibration_map(
    samples: Sequence[Sample],
    predicted: Sequence[Segmented],
    goal: str = "count",
    counting: str = "cells",
) -> Generator[Progress, None, CalibrationMap]:
    """Compute the map from predictions; no label image is made.

    Parameters
    ----------
    samples, predicted : sequences of equal length
        Cells that lie more than half outside of a sample's reviewed area do not count.
    goal : {'count', 'ap'}
    counting : {'cells', 'components'}
        As :func:`napari_cellseg.batch.evaluate.score`; components are counted only.

    Yields
    ------
    Progress

    Returns
    -------
    CalibrationMap
        Sizes run up to the median area of the true cells: a larger one would drop half of them. Chosen is the middle
        of the settings that are as good as the best (count within 1 %, AP within 0.2 %): what suits these images just
        so suits others less.

    Raises
    ------
    DatasetError
        No image holds a cell.
    ParamsError
        Goal or counting unknown, or not possible together.
    """
    if goal not in GOALS or counting not in COUNTINGS:
        raise ParamsError(
            f"Calibration for {goal!r} of {counting!r} is unknown. Goals: {', '.join(GOALS)}; "
            f"counting: {', '.join(COUNTINGS)}."
        )
    if goal == "ap" and counting != "cells":
        raise ParamsError("AP is calibrated on cells only. Choose the goal count, or count cells.")
    areas = [reviewed_area(sample) for sample in samples]
    true = [keep_inside(sample.labels, area) for sample, area in zip(samples, areas, strict=True)]
    sizes_true = np.concatenate([a[a > 0] for a in (np.bincount(t.ravel())[1:] for t in true)] or [np.zeros(0, int)])
    if not len(sizes_true):
        raise DatasetError("No image to calibrate on holds a cell. Give images with labelled cells.")
    max_size = max(int(np.median(sizes_true)), _SMALLEST_REACH)
    total = np.zeros((256, max_size + 1))
    for i, (labels, area, segmented) in enumerate(zip(true, areas, predicted, strict=True)):
        yield Progress(i, len(true), "calibrating")
        reviewed = None if area.all() else area
        if goal == "ap":
            total += precision_surface(overlaps(segmented.instances, labels, reviewed), max_size, STANDARD_IOUS)
            continue
        if counting == "components":
            counts = component_counts(segmented.prediction.probability, max_size, reviewed)
        else:
            counts = count_surface(segmented.instances, max_size, reviewed)
        total += np.abs(counts - np.count_nonzero(np.unique(labels)))
    values = total / len(true)
    yield Progress(len(true), len(true), "calibrating")
    level, size = middle_of_best(values if goal == "count" else -values, _TOLERANCE[goal])
    first = predicted[0]
    default = float(values[threshold_level(first.threshold), min(first.min_size, max_size)])
    start = (first.threshold, first.min_size, default)
    thresholds = np.arange(256) / 255
    return CalibrationMap(
        goal, counting, values, thresholds, np.arange(max_size + 1), round(float(thresholds[level]), 3), size,
        float(values[level, size]), start, tuple(sample.name for sample in samples), len(sizes_true),
    )  # fmt: skip


def middle_of_best(cost: np.ndarray, tolerance: float) -> tuple[int, int]:
    """Row and column in the middle of the lowest region of a map: the point of it that lies deepest inside.

    Of equally deep ones that of the lowest cost, then the one nearest to the middle row and the first column.
    """
    least = cost.min()
    good = cost <= least + tolerance * abs(least) + 1e-12
    # Beyond the map nothing is known, so that its edges end a region.
    depth = ndi.distance_transform_edt(np.pad(good, 1))[1:-1, 1:-1]
    rows, columns = np.nonzero(depth >= depth.max() - 1e-9)
    order = np.lexsort((columns, np.abs(rows - (len(cost) - 1) / 2), cost[rows, columns]))
    return int(rows[order[0]]), int(columns[order[0]])


def _spread(n: int, wanted: int) -> np.ndarray:
    """About `wanted` of n places, evenly, both ends among them."""
    return np.unique(np.linspace(0, n - 1, min(n, wanted)).round().astype(int))
