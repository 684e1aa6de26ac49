"""A probability that is smoothed a little, so that the blocks that a network draws do not show."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .config import smoothing_radius


def smoothed(maps: Tensor, sigma: float) -> Tensor:
    """Smooth maps by a Gaussian; beyond the sides the outermost pixels are repeated.

    Parameters
    ----------
    maps : Tensor of float32
        ``(N, Y, X)``.
    sigma : float
        Standard deviation in pixels; 0 gives the maps back.

    Returns
    -------
    Tensor of float32
        ``(N, Y, X)``. Pixels farther than :func:`napari_cellseg.network.config.smoothing_radius` play no part.
    """
    radius = smoothing_radius(sigma)
    if not radius:
        return maps
    weights = torch.exp(-0.5 * (torch.arange(radius + 1, dtype=torch.float64) / sigma) ** 2)
    line = (weights / (weights[0] + 2 * weights[1:].sum())).tolist()
    maps = functional.pad(maps[:, None], (radius,) * 4, mode="replicate")[:, 0]
    rows = _weighed([maps[:, i : i - 2 * radius or None] for i in range(2 * radius + 1)], line)
    return _weighed([rows[..., i : i - 2 * radius or None] for i in range(2 * radius + 1)], line)


def _weighed(shifted: list[Tensor], line: list[float]) -> Tensor:
    """Weigh maps shifted by -r to r pixels; adding them up is much quicker than a convolution of one channel."""
    radius = len(line) - 1
    total = shifted[radius] * line[0]
    for away in range(1, radius + 1):
        total.add_(shifted[radius - away], alpha=line[away]).add_(shifted[radius + away], alpha=line[away])
    return total
