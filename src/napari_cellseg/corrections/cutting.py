"""Cut a cell along a drawn stroke."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy

from ..instances.measure import disc_diameter

_LEAST_AREA = 4  # pixels of a part; smaller parts go to their neighbours
_EIGHT = np.ones((3, 3), dtype=bool)
_LEAST_DEPTH = 0.25  # of the cell's diameter that a stroke must reach into it to cut it


def line(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels under a line through some points (Y, X), without gaps."""
    steps = np.abs(np.diff(points, axis=0)).max(axis=1) if len(points) > 1 else np.zeros(0)
    pieces = [points[:1]]
    for start, stop, step in zip(points[:-1], points[1:], steps, strict=True):
        part = np.linspace(0, 1, max(2, 2 * int(np.ceil(step)) + 1))[1:, None]
        pieces.append(start + part * (stop - start))
    pixels = np.unique(np.rint(np.concatenate(pieces)).astype(np.intp), axis=0)
    return pixels[:, 0], pixels[:, 1]


def cut(mask: np.ndarray, points: np.ndarray, width: float) -> list[np.ndarray]:
    """Cut a cell into its parts on the sides of a stroke.

    If the stroke does not cross the cell completely, its two sides grow around its ends at the same speed (a watershed
    on a flat landscape, whose distance is geodesic), which continues the cut midway between them.

    Parameters
    ----------
    mask : numpy.ndarray
        The cell, bool (Y, X).
    points : numpy.ndarray
        The stroke, float (n, 2), in pixels of `mask`; it may leave the mask.
    width : float
        Its width in pixels.

    Returns
    -------
    list of numpy.ndarray
        Bool masks that together are `mask`, the largest first; `mask` alone where the stroke does not cut it.
    """
    stroke = _stroke(mask.shape, points, width)
    pieces, n = scipy.ndimage.label(mask, _EIGHT)
    crossed = np.unique(pieces[stroke & mask])
    parts: list[np.ndarray] = []
    for piece in crossed[crossed > 0].tolist():
        parts += _cut_piece(pieces == piece, stroke, points)
    rest = mask & ~np.isin(pieces, crossed[crossed > 0]) if n else mask
    parts.sort(key=np.count_nonzero, reverse=True)
    if len(parts) < 2:
        return [mask]
    parts[0] = parts[0] | rest
    return parts


def _stroke(shape: tuple[int, ...], points: np.ndarray, width: float) -> np.ndarray:
    """Pixels within half a width of the line, and at least those under it, without diagonal gaps."""
    stroke = np.zeros(shape, dtype=bool)
    reach = max(width / 2, 0.75)
    around = int(np.ceil(reach))
    rows, columns = line(points)
    for dy in range(-around, around + 1):
        for dx in range(-around, around + 1):
            if np.hypot(dy, dx) <= reach:
                y, x = rows + dy, columns + dx
                inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
                stroke[y[inside], x[inside]] = True
    return stroke


def _cut_piece(mask: np.ndarray, stroke: np.ndarray, points: np.ndarray) -> list[np.ndarray]:
    """Parts of one connected piece of a cell; the piece alone where it is not cut."""
    rows, columns = line(points)
    inside = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
    depth = np.count_nonzero(mask[rows[inside], columns[inside]])
    left = mask & ~stroke
    parts, n = scipy.ndimage.label(left)
    sizes = np.bincount(parts.ravel(), minlength=n + 1)
    large = [part for part in range(1, n + 1) if sizes[part] >= _LEAST_AREA]
    if len(large) >= 2:
        seeds = np.where(np.isin(parts, large), parts, 0)
    else:
        if depth < _LEAST_DEPTH * disc_diameter(np.count_nonzero(mask)):
            return [mask]
        seeds = _sides(left, stroke, points)
        if seeds.max(initial=0) < 2:
            return [mask]
        seeds = _watershed(np.zeros(mask.shape, dtype=np.uint8), seeds, mask=left)
    # Pixels under the stroke go to the nearest part.
    nearest = _watershed(np.zeros(mask.shape, dtype=np.uint8), seeds.astype(np.int32), mask=mask, connectivity=2)
    found = [nearest == part for part in np.unique(nearest[nearest > 0])]
    return found if len(found) > 1 and min(map(np.count_nonzero, found)) >= _LEAST_AREA else [mask]


def _sides(left: np.ndarray, stroke: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Pixels next to the stroke, 1 on one side and 2 on the other."""
    beside = scipy.ndimage.binary_dilation(stroke, _EIGHT) & left
    rows, columns = np.nonzero(beside)
    seeds = np.zeros(left.shape, dtype=np.int32)
    if not len(rows):
        return seeds
    starts, steps = points[:-1], np.diff(points, axis=0)
    lengths = (steps**2).sum(axis=1)
    starts, steps, lengths = starts[lengths > 0], steps[lengths > 0], lengths[lengths > 0]
    if not len(steps):
        return seeds
    pixels = np.stack([rows, columns], axis=1)
    away = pixels[:, None] - starts[None]
    along = (away * steps).sum(axis=2) / lengths
    gap = away - along.clip(0, 1)[..., None] * steps
    nearest = (gap**2).sum(axis=2).argmin(axis=1)
    number = np.arange(len(pixels))
    side = steps[nearest, 0] * away[number, nearest, 1] - steps[nearest, 1] * away[number, nearest, 0]
    # Beyond the ends there is no side.
    within = (along[number, nearest] >= 0) & (along[number, nearest] <= 1) & (side != 0)
    seeds[rows[within], columns[within]] = np.where(side[within] > 0, 1, 2)
    return seeds


def _watershed(image: np.ndarray, seeds: np.ndarray, **options: Any) -> np.ndarray:
    # Imported late: it takes a tenth of a second, which a window that opens has no need of.
    from skimage.segmentation import watershed

    return np.asarray(watershed(image, seeds, **options))
