"""Training images made as difficult as those that networks fail on: how often each way is taken, and in which order."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from torch import Tensor

from .intensity import other_stains
from .specimen import (
    coarse,
    compressed,
    grainy,
    ground_level,
    hazed,
    out_of_focus,
    saturated,
    textured,
    with_debris,
)

# Far below and above the usual size, as the size step sees them before it knows it.
MAGNIFICATIONS = (0.3, 4.0)
SIZE_ERROR = 1.5
# From this magnification on a crop has no detail of its own.
_EMPTY = 1.7
_DARK, _BRIGHT = 0.35, 0.45


@dataclass(frozen=True)
class Chances:
    """How often a crop is made difficult in each way, 0 to 1.

    Parameters
    ----------
    magnify : float
        A magnification from 0.3 to 4 in the place of the usual ones; what it leaves smooth gets texture and noise.
    size_error : float
        Beside its magnification, an error of up to 1.5 times either way.
    crowd, texture, saturate, defocus, debris, haze, stain, grain, coarse, jpeg : float
        See :mod:`napari_cellseg.training.fit.crowding` and :mod:`napari_cellseg.training.fit.specimen`.
    """

    magnify: float = 0.15
    size_error: float = 0.3
    crowd: float = 0.25
    texture: float = 0.3
    saturate: float = 0.12
    defocus: float = 0.15
    debris: float = 0.15
    haze: float = 0.15
    stain: float = 0.5
    grain: float = 0.15
    coarse: float = 0.15
    jpeg: float = 0.15

    def scaled(self, share: float) -> Chances:
        """Return the chances times a number from 0 to 1."""
        return Chances(**{entry.name: share * getattr(self, entry.name) for entry in fields(self)})


def other_zoom(zoom: float, chances: Chances, rng: np.random.Generator) -> float:
    """Return a crop's magnification, or sometimes one that is far from it or wrong."""
    if rng.random() < chances.magnify:
        return float(np.exp(rng.uniform(*np.log(MAGNIFICATIONS))))
    if rng.random() < chances.size_error:
        return zoom * float(np.exp(rng.uniform(-1, 1) * np.log(SIZE_ERROR)))
    return zoom


def difficult_specimen(
    image: Tensor, target: Tensor, zoom: float, chances: Chances, rng: np.random.Generator
) -> Tensor:
    """Change what lies under the microscope, before grey values are varied.

    Parameters
    ----------
    image : Tensor of float32
        ``(1 or 3, Y, X)``, normalised.
    target : Tensor of float32
        ``(6 or 7, Y, X)``: foreground, centre distance, offset y and x, inverse size, weight, perhaps gaps.
    zoom : float
        By how much the crop was magnified.
    chances : Chances
    rng : numpy.random.Generator
    """
    foreground, distance, sizes = target[0], target[1], target[4][target[0] > 0]
    if not len(sizes):
        return image
    size = float(1 / sizes.median().clamp(min=1e-3))
    ground = float(ground_level(image, foreground).mean())
    empty = zoom > _EMPTY
    if image.shape[0] == 3 and ground > _BRIGHT and rng.random() < chances.stain:
        image = other_stains(image, rng)
    if rng.random() < (max(chances.texture, 0.7 * (chances.magnify > 0)) if empty else chances.texture):
        image = textured(image, foreground, distance, size, rng)
    if rng.random() < chances.saturate:
        image = saturated(image, foreground, rng)
    if rng.random() < chances.defocus:
        image = out_of_focus(image, rng)
    if rng.random() < chances.debris:
        image = with_debris(image, foreground, rng)
    if ground < _DARK and rng.random() < chances.haze:
        image = hazed(image, rng)
    if rng.random() < (max(chances.grain, 0.7 * (chances.magnify > 0)) if empty else chances.grain):
        image = grainy(image, rng)
    return image


def difficult_file(image: Tensor, chances: Chances, rng: np.random.Generator) -> Tensor:
    """Change how an image was taken and kept, after grey values were varied."""
    if rng.random() < chances.coarse:
        image = coarse(image, rng)
    if rng.random() < chances.jpeg:
        image = compressed(image, rng)
    return image
