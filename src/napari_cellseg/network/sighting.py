"""What the network shows of an image, or of windows of it, at one magnification: how large and clear the cells are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..instances.live import Instances
from ..instances.measure import disc_diameter
from ..instances.prediction import Prediction
from .versions import ModelVersion

# Of an image that is not larger than this, as the network sees it, all is looked at; else some windows of it.
SMALL_IMAGE = 450_000
WINDOW, N_WINDOWS = 384, 3
# The most of an image that a window takes in, in pixels to a side.
WIDEST_WINDOW = 3072
# A look is accepted at once where the centres are so clear and the cells, as the network sees them, within these limits
# relative to the diameter that the model draws best.
# In an image that is shrunk, groups of cells may look like a cell, so that centres must be clearer.
CLEAR_PEAK, CLEAR_PEAK_SHRUNK, CLEAR_SIZES = 0.65, 0.72, (0.55, 1.6)
_SMALLEST_CELL = 10


@dataclass(frozen=True)
class Sighting:
    """Cells as they look at one magnification.

    Parameters
    ----------
    zoom : float
    diameter : float
        In pixels of the image as it is: median over cells of at least a twentieth of the area of the typical one.
    outweighing : float
        Diameter in pixels of the cell that lies in the middle by area: fragments and debris hardly count.
    peak : float
        Highest centre distance of the cell that lies in the middle by area, 0 to 1.
    cover : float
        Part of the area that cells cover.
    n_cells : int
    """

    zoom: float
    diameter: float
    outweighing: float
    peak: float
    cover: float
    n_cells: int

    def is_clear(self, wanted: float) -> bool:
        """Whether cells with clear centres were seen at about the wanted diameter."""
        seen = self.outweighing * self.zoom / wanted
        peak = CLEAR_PEAK if self.zoom >= 1 else CLEAR_PEAK_SHRUNK
        return self.peak >= peak and CLEAR_SIZES[0] <= seen <= CLEAR_SIZES[1]


def informative_windows(
    normalized: np.ndarray, most: int | None = None, zoom: float = 1.0
) -> list[tuple[slice, slice]]:
    """The whole of an image that is small at a magnification, else up to three windows whose grey values differ most.

    Magnified, windows have 384 pixels to a side. They are chosen from windows side by side, or from `most` along each
    axis, evenly spread, where there are more.
    """
    height, width = normalized.shape[:2]
    if height * width * zoom**2 <= SMALL_IMAGE and max(height, width) <= 2 * WIDEST_WINDOW:
        return [(slice(0, height), slice(0, width))]
    side = min(round(WINDOW / zoom), WIDEST_WINDOW)
    size_y, size_x = min(side, height), min(side, width)
    n_rows, n_columns = (min(n, most or n) for n in (max(1, height // size_y), max(1, width // size_x)))
    rows = np.unique(np.linspace(0, height - size_y, n_rows).astype(int))
    columns = np.unique(np.linspace(0, width - size_x, n_columns).astype(int))
    step = 4

    def spread(window: tuple[slice, slice]) -> float:
        values = np.asarray(normalized[window][::step, ::step], np.float32)
        return float(values.std(axis=(0, 1)).mean())

    windows = [(slice(y, y + size_y), slice(x, x + size_x)) for y in rows for x in columns]
    return sorted(windows, key=spread, reverse=True)[:N_WINDOWS]


def sighting_of(predictions: Sequence[Prediction], model: ModelVersion, zoom: float, cut: bool) -> Sighting | None:
    """Return what was seen; where the windows `cut` cells, only whole ones count, as far as there are any.

    Parameters
    ----------
    predictions : sequence of Prediction
        Of the windows of one image at one magnification.
    model : ModelVersion
    zoom : float
    cut : bool
        Whether the windows are parts of the image.

    Returns
    -------
    Sighting or None
        None where no cell was seen.
    """
    cells = np.concatenate([_cells(prediction, model) for prediction in predictions])
    if not len(cells):
        return None
    n_pixels = sum(prediction.probability.size for prediction in predictions)
    cover = float(cells[:, 0].sum()) / n_pixels
    if cut and not cells[:, 2].all():
        cells = cells[cells[:, 2] == 0]
    area = cells[:, 0]
    middle = _middle(area, area)
    large = area[area >= middle / 20]
    typical = _diameter(float(np.median(large))) / zoom
    return Sighting(zoom, typical, _diameter(middle) / zoom, _middle(cells[:, 1], area), cover, len(large))


def _cells(prediction: Prediction, model: ModelVersion) -> np.ndarray:
    """Area, highest centre distance, and whether it touches the border, of each cell: float64 (n, 3)."""
    labels = np.asarray(Instances.from_prediction(prediction, model.split).labels(0.5, _SMALLEST_CELL))
    inside = np.flatnonzero(labels)
    ids = labels.ravel()[inside]
    areas = np.bincount(ids)
    peaks = np.zeros(len(areas), np.float32)
    clear = prediction.probability if prediction.distance is None else prediction.distance
    np.maximum.at(peaks, ids, clear.ravel()[inside])
    border = np.zeros(len(areas), bool)
    for line in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        border[line[line > 0]] = True
    return np.stack([areas, peaks, border], axis=1)[areas > 0]


def _diameter(area: float) -> float:
    return float(disc_diameter(area))


def _middle(values: np.ndarray, weights: np.ndarray) -> float:
    """Weighted median."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
