"""Run a model over an image with its cells at the size that it draws best: the size given, or estimated."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from ..imaging.progress import Progress, drain, relay
from ..instances.prediction import Prediction
from .cell_size import CellSize, iter_estimate_diameter, iter_look_for_larger
from .plugged import iter_predict_plugged
from .sizing import at_own_size, iter_predict_at, zoom_for
from .versions import ModelVersion

# What the accurate way averages over: quarter turns, whether flipped, and magnification beside the usual one. More than
# these brought no more (docs/accuracy.md).
LOOKS = ((0, False, 1.0), (2, False, 1.25), (1, False, 0.8))


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
        Average the maps of three looks at the image, turned and at three magnifications: about three times slower.

    Yields
    ------
    Progress
        Closing the generator cancels within one batch of tiles.

    Returns
    -------
    Prediction
        At the image's own size, with `diameter` and `zoom`.
    """
    if model.network:
        return (yield from iter_predict_plugged(normalized, model.network, device, diameter, accurate))
    shape = normalized.shape[:2]
    larger: float | None = None
    zoom, size = 1.0, CellSize(None if diameter == 0 else diameter, True)
    if model.diameter is None:
        size = CellSize(None, True)
    elif diameter is None:
        size = yield from iter_estimate_diameter(normalized, model, device)
    elif diameter:
        larger = yield from iter_look_for_larger(normalized, model, device, diameter)
    if size.diameter is not None and model.diameter is not None:
        zoom = size.near(zoom_for(size.diameter, model.diameter, shape))
    if accurate:
        found = yield from _iter_averaged(normalized, model, device, zoom, size.whole)
    elif zoom in size.whole:
        found = at_own_size(size.whole[zoom], shape, zoom)
    else:
        found = yield from iter_predict_at(normalized, model, device, zoom)
    return replace(found, diameter=size.diameter, certain=size.certain, larger=larger)


def predict_sized(
    normalized: np.ndarray,
    model: ModelVersion,
    device: str = "auto",
    diameter: float | None = None,
    accurate: bool = False,
) -> Prediction:
    """Run :func:`iter_predict_sized` to its end."""
    return drain(iter_predict_sized(normalized, model, device, diameter, accurate))


def _iter_averaged(
    normalized: np.ndarray, model: ModelVersion, device: str, zoom: float, whole: Mapping[float, Prediction]
) -> Generator[Progress, None, Prediction]:
    """Average over `LOOKS`; `whole` holds what is known of the image as it lies, by magnification."""
    sums: list[np.ndarray] = []
    notes: dict[str, None] = {}
    for i, (turns, flip, factor) in enumerate(LOOKS):
        if not (turns or flip) and zoom * factor in whole:
            found = at_own_size(whole[zoom * factor], normalized.shape[:2], zoom * factor)
        else:
            seen = np.rot90(normalized, turns)
            seen = np.ascontiguousarray(seen[::-1] if flip else seen)
            steps = iter_predict_at(seen, model, device, zoom * factor)
            found = yield from relay(steps, partial(_as_part, i=i))
        notes |= dict.fromkeys(found.notes)
        maps = [_turned_back(one, turns, flip) for one in (found.probability, found.distance) if one is not None]
        sums = sums or [np.zeros_like(one) for one in maps]
        for one, part in zip(sums, maps, strict=True):
            one += part / len(LOOKS)
    distance = sums[1] if len(sums) > 1 else None
    return replace(found, probability=sums[0], distance=distance, notes=tuple(notes), zoom=zoom)


def _as_part(progress: Progress, i: int) -> Progress:
    """How far all looks are during the i-th, counted from 0."""
    done = round(1000 * (i + progress.fraction))
    return replace(progress, done=done, total=1000 * len(LOOKS)) if progress.total else progress


def _turned_back(values: np.ndarray, turns: int, flip: bool) -> np.ndarray:
    return np.rot90(values[::-1] if flip else values, -turns)
