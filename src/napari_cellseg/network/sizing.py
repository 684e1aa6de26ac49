"""Cells at the size that the network draws best: find their typical diameter, and show it the image magnified so.

Networks draw cells best at the sizes that they were trained on (Stringer et al., Cellpose, Nature Methods 2021, rescale
images for that reason). The diameter is estimated from the network's own first answers: at the right magnification the
peaks of the centre distance are highest.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from ..imaging.progress import Progress, drain
from ..instances.live import Instances
from ..instances.prediction import Prediction
from .predict import TILE, iter_predict, out_of_memory
from .versions import ModelVersion

# Less than the whole way to the model's own diameter: estimates err, and large cells keep some of their detail.
STRENGTH = 0.8
ZOOMS = (0.15, 2.5)
# From here on a second look costs more than it brings.
SMALLEST_CHANGE = 1.1
MOST_PIXELS = 150_000_000
# What is looked at to estimate the diameter: all of a small image, else some windows of it.
SMALL_IMAGE = 450_000
WINDOW, N_WINDOWS = 384, 3
# A diameter in pixels that is believed at once, if the peaks of the centre distance are at least so high.
BELIEVED, HIGH_PEAK = (14.0, 45.0), 0.55
# So many cells tell their median diameter: the other windows need not be looked at.
ENOUGH_CELLS = 30
# Magnifications that the accurate way averages over.
FACTORS = (0.8, 1.0, 1.25)
_SMALLEST_CELL = 10
_DIHEDRAL = tuple((turns, flip) for flip in (False, True) for turns in range(4))


@dataclass(frozen=True)
class Sighting:
    """What was seen at one magnification.

    Parameters
    ----------
    diameter : float
        Median over cells, in pixels of the image as it is.
    peak : float
        Median over cells of the highest centre distance, 0 to 1.
    n_cells : int
    """

    diameter: float
    peak: float
    n_cells: int


def resized(maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resample ``(Y, X)`` or ``(Y, X, C)`` to a shape (Y, X), bilinearly; smoothed first where it gets smaller."""
    if maps.shape[:2] == tuple(shape):
        return maps
    planes = maps[None] if maps.ndim == 2 else np.moveaxis(maps, -1, 0)
    values = torch.from_numpy(np.ascontiguousarray(planes, np.float32))[None]
    smaller = shape[0] < maps.shape[0] or shape[1] < maps.shape[1]
    try:
        out = functional.interpolate(values, shape, mode="bilinear", align_corners=False, antialias=smaller)[0].numpy()
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise MemoryError(f"There is no memory for {shape[0]} x {shape[1]} values.") from error
    return np.ascontiguousarray(out[0] if maps.ndim == 2 else np.moveaxis(out, 0, -1))


def zoomed_shape(shape: Sequence[int], zoom: float) -> tuple[int, int]:
    """Height and width of a magnified image."""
    return max(1, round(shape[0] * zoom)), max(1, round(shape[1] * zoom))


def zoom_for(diameter: float, wanted: float, shape: Sequence[int]) -> float:
    """Magnification for cells of a diameter, so that the network sees them at about the diameter it wants.

    1 where the difference is small; less than wanted where the magnified image would be too large.
    """
    zoom = float(np.clip((wanted / diameter) ** STRENGTH, *ZOOMS))
    zoom = min(zoom, math.sqrt(MOST_PIXELS / max(shape[0] * shape[1], 1)))
    return 1.0 if 1 / SMALLEST_CHANGE < zoom < SMALLEST_CHANGE else zoom


def iter_predict_at(
    normalized: np.ndarray, model: ModelVersion, device: str = "auto", zoom: float = 1.0, tile: int = TILE
) -> Generator[Progress, None, Prediction]:
    """Run a model over a magnified image; the maps come back at the image's own size."""
    shape = normalized.shape[:2]
    steps = iter_predict(resized(normalized, zoomed_shape(shape, zoom)), model, device, tile)
    found = yield from steps
    distance = None if found.distance is None else resized(found.distance, shape)
    return replace(found, probability=resized(found.probability, shape), distance=distance, zoom=zoom)


def iter_predict_sized(
    normalized: np.ndarray,
    model: ModelVersion,
    device: str = "auto",
    diameter: float | None = None,
    accurate: bool = False,
) -> Generator[Progress, None, Prediction]:
    """Run a model over an image with its cells at the size that the model draws best.

    Parameters
    ----------
    normalized : ndarray of float32
        ``(Y, X)`` or ``(Y, X, C)``, from :func:`napari_cellseg.imaging.normalize.normalize`.
    model : ModelVersion
    device : {'auto', 'cpu', 'cuda', 'mps'}
    diameter : float, optional
        Typical diameter of the cells in pixels; None estimates it; 0 takes the image as it is, and so does a model
        that names no diameter of its own.
    accurate : bool
        Average the maps of eight flips and turns at three magnifications: about nine times slower.

    Yields
    ------
    Progress
        Closing the generator cancels within one batch of tiles.

    Returns
    -------
    Prediction
        At the image's own size, with `diameter` and `zoom`.
    """
    shape = normalized.shape[:2]
    zoom, whole = 1.0, None
    if model.diameter is None or diameter == 0:
        diameter = None
    else:
        if diameter is None:
            diameter, whole = yield from iter_estimate_diameter(normalized, model, device)
        if diameter is not None:
            zoom = zoom_for(diameter, model.diameter, shape)
    if accurate:
        found = yield from _iter_averaged(normalized, model, device, zoom)
    elif zoom == 1 and whole is not None:
        found = whole
    else:
        found = yield from iter_predict_at(normalized, model, device, zoom)
    return replace(found, diameter=diameter)


def predict_sized(
    normalized: np.ndarray,
    model: ModelVersion,
    device: str = "auto",
    diameter: float | None = None,
    accurate: bool = False,
) -> Prediction:
    """Run :func:`iter_predict_sized` to its end."""
    return drain(iter_predict_sized(normalized, model, device, diameter, accurate))


def iter_estimate_diameter(
    normalized: np.ndarray, model: ModelVersion, device: str = "auto", most: int | None = None
) -> Generator[Progress, None, tuple[float | None, Prediction | None]]:
    """Estimate the typical diameter of the cells in an image.

    The network looks at the image, or at the windows of it that hold most, as they are, one after the other until it
    has seen enough cells. Where it finds cells of a common size with clear centres, that is the answer; else it looks
    again at other magnifications, for as long as the centres get clearer.

    Parameters
    ----------
    normalized : ndarray of float32
        Or anything of a shape of which regions ``[rows, columns]`` can be had.
    model : ModelVersion
    device : {'auto', 'cpu', 'cuda', 'mps'}
    most : int, optional
        Look at no more windows than this along each axis when choosing; see `informative_windows`.

    Returns
    -------
    diameter : float or None
        In pixels; None where no cell was found.
    prediction : Prediction or None
        Of the whole image as it is, where that was made.
    """
    windows = informative_windows(normalized, most)
    seen: dict[float, Sighting | None] = {}
    whole: Prediction | None = None

    def look(zoom: float) -> Generator[Progress, None, Sighting | None]:
        nonlocal whole
        if zoom not in seen:
            yield Progress(0, 0, "estimating the size of the cells")
            found = []
            for window in windows:
                part = np.ascontiguousarray(normalized[window])
                prediction = yield from iter_predict(resized(part, zoomed_shape(part.shape, zoom)), model, device, TILE)
                found.append(prediction)
                if zoom == 1 and len(found) < len(windows):
                    so_far = _sighting(found, model, zoom)
                    if so_far is not None and so_far.n_cells >= ENOUGH_CELLS and _is_believed(so_far):
                        break
            if zoom == 1 and found[0].shape == normalized.shape[:2]:
                whole = found[0]
            seen[zoom] = _sighting(found, model, zoom)
        return seen[zoom]

    first = yield from look(1.0)
    if first is not None and _is_believed(first):
        return first.diameter, whole
    for zooms in ((0.5, 0.25), (2.0,)):
        larger = zooms[0] > 1
        if first is not None and first.peak >= HIGH_PEAK and larger == (first.diameter > BELIEVED[1]):
            # Clear cells, only too large or too small: the other way would lead further off.
            continue
        last = first
        for zoom in zooms:
            now = yield from look(zoom)
            if now is None or (last is not None and now.peak <= last.peak):
                break
            last = now
    sightings = [s for s in seen.values() if s is not None]
    best = max(sightings, key=lambda s: s.peak, default=None)
    return (None if best is None else best.diameter), whole


def informative_windows(normalized: np.ndarray, most: int | None = None) -> list[tuple[slice, slice]]:
    """The whole of a small image, else up to three windows of 384 pixels whose grey values differ most.

    They are chosen from windows side by side, or from `most` along each axis, evenly spread, where there are more.
    """
    height, width = normalized.shape[:2]
    if height * width <= SMALL_IMAGE:
        return [(slice(0, height), slice(0, width))]
    size_y, size_x = min(WINDOW, height), min(WINDOW, width)
    n_rows, n_columns = (min(n, most or n) for n in (max(1, height // size_y), max(1, width // size_x)))
    rows = np.unique(np.linspace(0, height - size_y, n_rows).astype(int))
    columns = np.unique(np.linspace(0, width - size_x, n_columns).astype(int))
    step = 4

    def spread(window: tuple[slice, slice]) -> float:
        values = np.asarray(normalized[window][::step, ::step], np.float32)
        return float(values.std(axis=(0, 1)).mean())

    windows = [(slice(y, y + size_y), slice(x, x + size_x)) for y in rows for x in columns]
    return sorted(windows, key=spread, reverse=True)[:N_WINDOWS]


def _is_believed(sighting: Sighting) -> bool:
    """Whether cells of a common size with clear centres were seen."""
    return sighting.peak >= HIGH_PEAK and BELIEVED[0] <= sighting.diameter <= BELIEVED[1]


def _sighting(predictions: Sequence[Prediction], model: ModelVersion, zoom: float) -> Sighting | None:
    areas, peaks = [], []
    for prediction in predictions:
        labels = np.asarray(Instances.from_prediction(prediction, model.split).labels(0.5, _SMALLEST_CELL))
        inside = np.flatnonzero(labels)
        ids = labels.ravel()[inside]
        counts = np.bincount(ids)
        highest = np.zeros(len(counts), np.float32)
        clear = prediction.probability if prediction.distance is None else prediction.distance
        np.maximum.at(highest, ids, clear.ravel()[inside])
        areas.append(counts[counts > 0])
        peaks.append(highest[counts > 0])
    all_areas = np.concatenate(areas)
    if not len(all_areas):
        return None
    diameter = math.sqrt(4 / math.pi * float(np.median(all_areas))) / zoom
    return Sighting(diameter, float(np.median(np.concatenate(peaks))), len(all_areas))


def _iter_averaged(
    normalized: np.ndarray, model: ModelVersion, device: str, zoom: float
) -> Generator[Progress, None, Prediction]:
    """Average over the eight flips and turns, dealt out to three magnifications."""
    sums: list[np.ndarray] = []
    notes: dict[str, None] = {}
    for i, (turns, flip) in enumerate(_DIHEDRAL):
        seen = np.rot90(normalized, turns)
        seen = np.ascontiguousarray(seen[::-1] if flip else seen)
        steps = iter_predict_at(seen, model, device, zoom * FACTORS[i % 3])
        while True:
            try:
                progress = next(steps)
            except StopIteration as stop:
                found: Prediction = stop.value
                break
            done = round(1000 * (i + progress.fraction))
            yield replace(progress, done=done, total=1000 * len(_DIHEDRAL)) if progress.total else progress
        notes |= dict.fromkeys(found.notes)
        maps = [_turned_back(one, turns, flip) for one in (found.probability, found.distance) if one is not None]
        sums = sums or [np.zeros_like(one) for one in maps]
        for one, part in zip(sums, maps, strict=True):
            one += part / len(_DIHEDRAL)
    distance = sums[1] if len(sums) > 1 else None
    return replace(found, probability=sums[0], distance=distance, notes=tuple(notes), zoom=zoom)


def _turned_back(values: np.ndarray, turns: int, flip: bool) -> np.ndarray:
    return np.rot90(values[::-1] if flip else values, -turns)
