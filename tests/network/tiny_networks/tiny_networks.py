"""Networks of a package that is not this one: the worked example of the documentation, and some that fail."""

from __future__ import annotations

import numpy as np
import torch
from skimage.measure import label


def bright(image: np.ndarray, *, device: str, diameter: float | None) -> dict[str, np.ndarray]:
    """Cells are what is bright: a convolution with fixed weights, and the nearness to a centre from a wider one."""
    grey = torch.from_numpy(image if image.ndim == 2 else image.mean(axis=2)).to(device)[None, None]
    smooth = torch.nn.functional.avg_pool2d(grey, 5, 1, 2, count_include_pad=False)
    wide = torch.nn.functional.avg_pool2d(smooth, 9, 1, 4, count_include_pad=False)
    return {
        "probability": torch.sigmoid(12 * (smooth - 0.35))[0, 0].cpu().numpy(),
        "distance": wide.clamp(0, 1)[0, 0].cpu().numpy(),
    }


def blobs(image: np.ndarray, *, device: str, diameter: float | None) -> dict[str, np.ndarray]:
    """Connected pieces as labels, beside a probability."""
    probability = bright(image, device=device, diameter=diameter)["probability"]
    return {"labels": label(probability > 0.1), "probability": probability}


def masks(image: np.ndarray, *, device: str, diameter: float | None) -> np.ndarray:
    """Labels alone."""
    return blobs(image, device=device, diameter=diameter)["labels"]


def wrong_shape(image: np.ndarray, **_: object) -> dict[str, np.ndarray]:
    return {"probability": np.zeros((3, 3))}


def wrong_values(image: np.ndarray, **_: object) -> dict[str, np.ndarray]:
    return {"probability": np.full(image.shape[:2], np.nan)}


def wrong_names(image: np.ndarray, **_: object) -> dict[str, np.ndarray]:
    return {"mask": np.zeros(image.shape[:2])}


def failing(image: np.ndarray, **_: object) -> dict[str, np.ndarray]:
    raise ZeroDivisionError("of no use")
