"""Small synthetic maps and hypothesis strategies for the tests of this room."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy import ndimage as ndi


def disc_maps(
    centres: list[tuple[float, float]], radius: float, shape: tuple[int, int] = (64, 96)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability, centre distance and true labels of discs of one radius; a pixel is the nearest disc's."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    away = np.stack([np.hypot(y - cy, x - cx) for cy, cx in centres])
    labels = np.where(away.min(axis=0) <= radius, away.argmin(axis=0) + 1, 0).astype(np.int32)
    probability = (1 / (1 + np.exp(away.min(axis=0) - radius))).astype(np.float32)
    distance = np.zeros(shape, dtype=np.float32)
    for cell, from_centre in enumerate(away, start=1):
        mine = labels == cell
        to_border = ndi.distance_transform_edt(np.pad(mine, 1))[1:-1, 1:-1]
        distance[mine] = (to_border / (to_border + from_centre))[mine]
    return probability, distance, labels


def random_maps(seed: int, shape: tuple[int, int], smoothing: float) -> tuple[np.ndarray, np.ndarray]:
    """Probability and centre distance of smoothed noise: shapes nobody drew."""
    rng = np.random.default_rng(seed)
    maps = ndi.gaussian_filter(rng.random((2, *shape)), (0, smoothing, smoothing))
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    probability, distance = ((maps - low) / np.maximum(high - low, 1e-9)).astype(np.float32)
    return probability, distance


@st.composite
def random_labels(draw: st.DrawFn, n_cells: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Two label images of one shape, with gaps between ids."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    names = rng.choice(40, n_cells + 1, replace=False)
    names[0] = 0
    coarse = rng.integers(0, n_cells + 1, (2, 4, 4))
    blocks = coarse.repeat(3, axis=1).repeat(3, axis=2)[:, :height, :width]
    if draw(st.booleans()):
        blocks[1] = np.where(rng.random(blocks[1].shape) < 0.8, blocks[0], blocks[1])
    true, pred = names[blocks].astype(np.int32)
    return true, pred
