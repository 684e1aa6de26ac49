"""Show the network an image magnified, so that its cells have about the size that the network draws best.

Networks draw cells best at the sizes that they were trained on (Stringer et al., Cellpose, Nature Methods 2021, rescale
images for that reason).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from ..imaging.progress import Progress
from ..instances.prediction import Prediction
from .predict import TILE, iter_predict, out_of_memory
from .versions import ModelVersion

# Small cells go less than the whole way to the model's own diameter: magnifying costs time, and brings no new detail.
STRENGTH = 0.8
ZOOMS = (0.05, 2.5)
# Nearer to 1 than these an image is taken as it is: shrinking by less brings nothing, magnifying by more does.
AS_IT_IS = (1 / 1.15, 1.1)
MOST_PIXELS = 150_000_000


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
    zoom = wanted / diameter
    zoom = float(np.clip(zoom if zoom < 1 else zoom**STRENGTH, *ZOOMS))
    zoom = min(zoom, math.sqrt(MOST_PIXELS / max(shape[0] * shape[1], 1)))
    return 1.0 if AS_IT_IS[0] < zoom < AS_IT_IS[1] else zoom


def iter_predict_at(
    normalized: np.ndarray, model: ModelVersion, device: str = "auto", zoom: float = 1.0, tile: int = TILE
) -> Generator[Progress, None, Prediction]:
    """Run a model over a magnified image; the maps come back at the image's own size."""
    shape = normalized.shape[:2]
    steps = iter_predict(resized(normalized, zoomed_shape(shape, zoom)), model, device, tile)
    return at_own_size((yield from steps), shape, zoom)


def at_own_size(found: Prediction, shape: tuple[int, int], zoom: float) -> Prediction:
    """Bring a magnified image's maps back to the image's own size."""
    distance = None if found.distance is None else resized(found.distance, shape)
    return replace(found, probability=resized(found.probability, shape), distance=distance, zoom=zoom)
