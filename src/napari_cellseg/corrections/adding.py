"""Propose a cell around a click from the prediction."""

from __future__ import annotations

import math

import numpy as np
import scipy

from ..imaging.regions import Region, grown, mask_of_pixels
from ..instances.levels import N_LEVELS, quantize, threshold_level
from ..instances.measure import disc_diameter
from .patching import EditError
from .view import CellView

_LEAST_AREA = 4  # pixels
_STEP = 8  # levels up and down over which an area should stay the same
_RADIUS = 8.0  # pixels, if no cell is shown to take the size from
_SMALLEST, _LARGEST = 0.15, 4.0  # of the median area: anything else is not a cell
_RELATIVE = 0.5  # of the probability at the click: pixels above it belong to its cell


def proposed_cell(
    view: CellView, row: int, column: int, probability: np.ndarray | None = None
) -> tuple[Region, np.ndarray, int]:
    """Return the pixels of a cell at a click where none is shown; pixels of shown cells are never included.

    A basin that is not shown is taken at its most stable lower threshold: the one around which its area changes least
    (after Matas et al., Robust wide-baseline stereo from maximally stable extremal regions, 2004). Otherwise it is the
    region around the click of at least half its probability, or a disc as large as the median cell.

    Returns
    -------
    region : tuple of slice
    mask : numpy.ndarray
        Bool, of the region's shape.
    basin : int
        Id of the automatic cell, or 0.

    Raises
    ------
    EditError
        There is no room.
    """
    corrected = view.corrected
    radius = _median_radius(view)
    basin = int(corrected.instances.basins[row, column])
    free = basin and not view.is_shown([basin])[0] and basin not in corrected.corrections and not corrected.hides(basin)
    if free:
        region, mask = _stable(view, basin, row, column)
        if np.count_nonzero(mask) >= max(_LEAST_AREA, _SMALLEST * math.pi * radius**2):
            return region, mask, basin
    reach = math.ceil(radius * math.sqrt(_LARGEST)) + 2
    region = grown((slice(row, row + 1), slice(column, column + 1)), reach, view.shape)
    room = view.labels(region) == 0
    click = (row - region[0].start, column - region[1].start)
    levels = corrected.instances.levels[region] if probability is None else quantize(probability[region])
    here = int(levels[click])
    if here >= threshold_level(0.05):
        mask = _around(room & (levels >= max(1, math.ceil(_RELATIVE * here))), click)
        if _SMALLEST <= np.count_nonzero(mask) / (math.pi * radius**2) <= _LARGEST and not _cut_off(mask, region, view):
            return region, scipy.ndimage.binary_fill_holes(mask) & room, 0
    y, x = np.ogrid[: room.shape[0], : room.shape[1]]
    mask = _around(room & ((y - click[0]) ** 2 + (x - click[1]) ** 2 <= radius**2), click)
    if np.count_nonzero(mask) < _LEAST_AREA:
        raise EditError("There is no room for a cell between those around it. Paint it with the brush.")
    return region, mask, 0


def _stable(view: CellView, basin: int, row: int, column: int) -> tuple[Region, np.ndarray]:
    """Hidden pixels of a basin that are connected to the click, at its most stable threshold."""
    instances = view.corrected.instances
    areas = instances.areas_by_level(np.array([basin]))[:, 0].astype(np.float64)
    highest = int(instances.levels[row, column])
    lowest = int(instances.core_levels[basin - 1]) // 2
    wanted = np.arange(min(lowest, highest), highest + 1)
    change = areas[np.maximum(wanted - _STEP, 0)] - areas[np.minimum(wanted + _STEP, N_LEVELS - 1)]
    level = wanted[np.argmin(change / np.maximum(areas[wanted], 1))]
    rows, columns = instances.pixels_of(basin)
    inside = instances.levels[rows, columns] >= level
    region, mask = mask_of_pixels(rows[inside], columns[inside])
    mask &= view.labels(region) == 0
    return region, _around(mask, (row - region[0].start, column - region[1].start))


def _around(mask: np.ndarray, click: tuple[int, int]) -> np.ndarray:
    """Part of a mask that is connected to a pixel."""
    parts, _n = scipy.ndimage.label(mask)
    return (parts == parts[click]) & mask


def _cut_off(mask: np.ndarray, region: Region, view: CellView) -> bool:
    """Whether a mask continues beyond the region that was searched."""
    rows, columns = region
    return bool(
        (rows.start > 0 and mask[0].any())
        or (rows.stop < view.shape[0] and mask[-1].any())
        or (columns.start > 0 and mask[:, 0].any())
        or (columns.stop < view.shape[1] and mask[:, -1].any())
    )


def _median_radius(view: CellView) -> float:
    """Radius in pixels of a disc as large as the median shown cell."""
    keep = view.corrected.keep(view.threshold, view.min_size)
    areas = view.corrected.areas(view.threshold)[keep]
    return float(disc_diameter(np.median(areas))) / 2 if len(areas) else _RADIUS
