"""Synthetic cells for training tests."""

from __future__ import annotations

import numpy as np

from napari_cellseg.training.data.datasets import Sample


def blobs(seed: int, size: int = 96, n: int = 9) -> Sample:
    """Bright soft discs on a noisy dark ground, some of them touching."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size))
    labels = np.zeros((size, size), np.int32)
    image = rng.normal(100, 8, (size, size))
    for i in range(1, n + 1):
        cy, cx, radius = rng.uniform(8, size - 8), rng.uniform(8, size - 8), rng.uniform(6, 9)
        distance = np.hypot(y - cy, x - cx)
        new = (distance < radius) & (labels == 0)
        labels[new] = i
        image[new] += 120 - 6 * distance[new]
    return Sample(f"blobs{seed}", image.astype(np.float32), labels, kind="blobs", group=str(seed))
