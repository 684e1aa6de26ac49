"""Map the error of the count, or AP, over 256 thresholds and all smallest sizes, in seconds."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage as ndi

from ..imaging.errors import DatasetError, ModelError, ParamsError
from ..imaging.progress import Progress
from ..imaging.read.values.json_file import read_as
from ..imaging.write.write import write_json
from ..instances.levels import threshold_level
from ..network.version_files import check_changeable, set_defaults
from ..network.versions import CALIBRATION_FILE, ModelVersion
from ..segmentation.segmented import Segmented
from ..training.data.datasets import Sample
from ..training.data.hold_out import keep_inside, reviewed_area
from .evaluate import COUNTINGS
from .surfaces import Surfaces

GOALS = ("count", "ap")
_TOLERANCE = {"count": 0.01, "ap": 0.002}  # settings whose figure is that near to the best one, relatively, are as good
_SMALLEST_REACH = 50  # pixels
_MOST_VALUES = 128_000_000  # of all images, kept to compare settings image by image
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
        """Name of the figure, for display."""
        return "mean count error, cells" if self.goal == "count" else "AP (IoU .5 to .9)"

    def at(self, threshold: float, min_size: int) -> float:
        """Return the figure at the setting of the map that is nearest to this one."""
        row = int(np.abs(self.thresholds - threshold).argmin())
        return float(self.values[row, int(np.abs(self.sizes - min_size).argmin())])

    def choosing(self, threshold: float, min_size: int) -> CalibrationMap:
        """Return the same map with another setting chosen."""
        return replace(self, threshold=threshold, min_size=min_size, value=self.at(threshold, min_size))

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


def store_calibration(found: CalibrationMap, model: ModelVersion) -> ModelVersion:
    """Make the chosen setting a model's defaults, and save the map with it; earlier labels stay as they are.

    Raises
    ------
    ModelError
        The model came with the package, which is not changed.
    ParamsError
        The map is about components, the defaults about cells that are split.
    OutputError
        The model's folder cannot be written.
    """
    check_changeable(model)
    if found.counting != "cells":
        raise ParamsError(
            "A model's defaults are those of cells that are split; what suits components does not suit them."
        )
    version = set_defaults(model, found.threshold, found.min_size)
    found.write(version.path)
    return version


def read_calibration(folder: Path) -> CalibrationMap | None:
    """Read the calibration map of a model version; None where there is none.

    Raises
    ------
    ModelError
        The file is damaged.
    """
    return read_as(
        Path(folder) / CALIBRATION_FILE, CalibrationMap.from_dict, ModelError, "Calibrate again, or delete it."
    )


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
        As :func:`napari_cellseg.evaluation.evaluate.score`; components are counted only.

    Yields
    ------
    Progress

    Returns
    -------
    CalibrationMap
        Sizes run up to the median area of the true cells, as a larger one would drop half of them, or to the default
        if that is larger still. Chosen is the middle of the settings that are as good as the best, or that these
        images cannot distinguish from it: within 1 % of the count's error or 0.2 % of AP, or (of up to some thousand
        images) within one standard error (after the rule of Breiman et al., Classification and Regression Trees, 1984).
        What suits a few images just so suits others less.

    Raises
    ------
    DatasetError
        No image holds a cell.
    ParamsError
        Goal or counting unknown, or not possible together.
    """
    _check_asked(goal, counting)
    n_true, median_area = _true_cells(samples)
    first = predicted[0]
    before = first.recipe.smallest(first.model, None)
    max_size = max(int(median_area), _SMALLEST_REACH, before)
    images = [Surfaces(sample, segmented, max_size) for sample, segmented in zip(samples, predicted, strict=True)]
    total, default = np.zeros((256, max_size + 1)), 0.0
    # Costs are the error of a count, or minus AP.
    sign = 1 if goal == "count" else -1
    each: list[np.ndarray] = []
    few = total.size * len(samples) <= _MOST_VALUES
    for i, image in enumerate(images):
        yield Progress(i, len(samples), "calibrating")
        surface = image.precision() if goal == "ap" else image.count_error(counting)
        # A size of the recipe holds for every image; a size of the map is a default, which small cells lower.
        segmented = image.segmented
        default += float(surface[threshold_level(segmented.threshold), segmented.min_size])
        surface = image.as_default(surface)
        total += surface
        if few:
            each.append((sign * surface).astype(np.float32))
    values = total / len(samples)
    yield Progress(len(samples), len(samples), "calibrating")
    good = as_good_as_the_best(sign * values, each, _TOLERANCE[goal])
    # A default larger than what suits the image of the largest cells has no effect.
    good[:, max(image.limit for image in images) + 1 :] = False
    level, size = middle_of(good, sign * values)
    start = (first.threshold, before, default / len(samples))
    thresholds = np.arange(256) / 255
    return CalibrationMap(
        goal, counting, values, thresholds, np.arange(max_size + 1), round(float(thresholds[level]), 3), size,
        float(values[level, size]), start, tuple(sample.name for sample in samples), n_true,
    )  # fmt: skip


def _true_cells(samples: Sequence[Sample]) -> tuple[int, float]:
    """Return the number of the true cells that count, and their median area in pixels."""
    true = [keep_inside(sample.labels, reviewed_area(sample)) for sample in samples]
    areas = np.concatenate([a[a > 0] for a in (np.bincount(t.ravel())[1:] for t in true)] or [np.zeros(0, int)])
    if not len(areas):
        raise DatasetError("No image to calibrate on holds a cell. Give images with labelled cells.")
    return len(areas), float(np.median(areas))


def _check_asked(goal: str, counting: str) -> None:
    if goal not in GOALS or counting not in COUNTINGS:
        raise ParamsError(
            f"Calibration for {goal!r} of {counting!r} is unknown. Goals: {', '.join(GOALS)}; "
            f"counting: {', '.join(COUNTINGS)}."
        )
    if goal == "ap" and counting != "cells":
        raise ParamsError("AP is calibrated on cells only. Choose the goal count, or count cells.")


def as_good_as_the_best(cost: np.ndarray, each: Sequence[np.ndarray], tolerance: float) -> np.ndarray:
    """Return the settings whose cost is near to the lowest, or not significantly above it.

    Parameters
    ----------
    cost : ndarray of float
        Mean over images at each setting, ``(Y, X)``.
    each : sequence of ndarray
        The cost of each image; with fewer than two, only the tolerance counts.
    tolerance : float
        Relative to the lowest cost.

    Returns
    -------
    ndarray of bool
        ``(Y, X)``: within the tolerance, or no worse than the best by more than one standard error, both of the best
        setting's cost and of the difference between the two settings.
    """
    least = cost.min()
    good: np.ndarray = cost <= least + tolerance * abs(least) + 1e-12
    if len(each) < 2:
        return good
    row, column = np.unravel_index(cost.argmin(), cost.shape)
    n = len(each)
    best = np.array([surface[row, column] for surface in each], np.float64)
    own = best.std(ddof=1) / math.sqrt(n)
    first, second = np.zeros(cost.shape), np.zeros(cost.shape)
    for surface in each:
        worse = surface - surface[row, column]
        first += worse
        second += worse.astype(np.float64) ** 2
    mean = first / n
    error = np.sqrt(np.maximum(second / n - mean**2, 0) / (n - 1))
    # The error of the difference alone would admit settings that are far worse in a single image.
    return good | (mean <= np.minimum(error, own) - 1e-9)


def middle_of(good: np.ndarray, cost: np.ndarray) -> tuple[int, int]:
    """Row and column of the point that lies deepest inside the good settings.

    Of equally deep ones that of the lowest cost, then the one nearest to the middle row and the first column.
    """
    # The edges of the map end a region, because nothing is known beyond them.
    depth = ndi.distance_transform_edt(np.pad(good, 1))[1:-1, 1:-1]
    rows, columns = np.nonzero(depth >= depth.max() - 1e-9)
    order = np.lexsort((columns, np.abs(rows - (len(cost) - 1) / 2), cost[rows, columns]))
    return int(rows[order[0]]), int(columns[order[0]])


def _spread(n: int, wanted: int) -> np.ndarray:
    """Return about `wanted` of n places, evenly spaced, both ends included."""
    return np.unique(np.linspace(0, n - 1, min(n, wanted)).round().astype(int))
