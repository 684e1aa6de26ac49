"""Grey values as other microscopes, stains and exposures would give them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..params import AugmentParams

# How much red, green and blue light is absorbed by haematoxylin, eosin and diaminobenzidine.
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
# The logarithm of less than this would be noise; more than that no stain leaves.
_DARKEST, _BRIGHTEST = 0.03, 3.0
# On a ground darker than this colours are no stains.
_BRIGHT = 0.3


def vary_intensity(image: Tensor, in_channels: int, params: AugmentParams, rng: np.random.Generator) -> Tensor:
    """Change grey values as other microscopes, stains and exposures would.

    Parameters
    ----------
    image : Tensor of float32
        ``(1 or 3, Y, X)``, normalised.
    in_channels : int
    params : AugmentParams
    rng : numpy.random.Generator

    Returns
    -------
    Tensor of float32
        ``(in_channels, Y, X)``.
    """
    if image.shape[0] == 3 and rng.random() < params.grey:
        image = image.mean(dim=0, keepdim=True)
    if image.shape[0] == 1 and rng.random() < params.invert:
        image = 1 - image
    if image.shape[0] == 3:
        if params.stain and image.mean() > _BRIGHT:
            image = restained(image, rng.uniform(-params.stain, params.stain, 3))
        tint = torch.tensor(rng.uniform(1 - params.tint, 1 + params.tint, (3, 1, 1)), dtype=torch.float32)
        image = 1 - (1 - image) * tint
        if rng.random() < params.swap:
            image = image[torch.from_numpy(rng.permutation(3))]
    gamma = float(np.exp(rng.uniform(*np.log(params.gamma))))
    image = image.sign() * image.abs().clamp(min=1e-6) ** gamma
    contrast = float(rng.uniform(1 - params.contrast, 1 + params.contrast))
    image = image * contrast + float(rng.uniform(-params.brightness, params.brightness))
    if rng.random() < params.shading:
        field = torch.tensor(rng.uniform(0.6, 1.3, (1, 1, 3, 3)), dtype=torch.float32)
        image = image * functional.interpolate(field, image.shape[-2:], mode="bicubic", align_corners=True)[0]
    if rng.random() < params.blur:
        image = gaussian_blur(image, float(rng.uniform(0.5, 1.5)))
    sigma = float(rng.uniform(0, params.noise)) if rng.random() < 0.5 else 0.0
    if sigma:
        image = image + torch.from_numpy(rng.normal(0, sigma, tuple(image.shape)).astype(np.float32))
    return image.expand(in_channels, -1, -1) if image.shape[0] == 1 else image


def other_stains(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Show a bright colour image, ``(3, Y, X)``, in dyes whose colours differ from the usual ones."""
    changed = np.maximum(_STAINS + rng.normal(0, 0.12, (3, 3)), 0.02)
    return restained(image, rng.uniform(-0.4, 0.4, 3), changed)


def restained(image: Tensor, changes: np.ndarray, dyes: np.ndarray | None = None) -> Tensor:
    """Make each stain of a bright colour image stronger or weaker.

    Stains are separated by the light they absorb (Ruifrok and Johnston, Quantification of histochemical staining by
    color deconvolution, 2001). That laboratories stain unlike each other is what varying them stands for (Tellez et
    al., Whole-slide mitosis detection in H&E breast histology, 2018).

    Parameters
    ----------
    image : Tensor of float32
        ``(3, Y, X)``, red, green, blue; 1 is white.
    changes : ndarray of float
        Relative change of haematoxylin, eosin and diaminobenzidine; 0 leaves the image as it is.
    dyes : ndarray of float, optional
        ``(3, 3)``: how much red, green and blue light each of the three absorbs from now on.

    Returns
    -------
    Tensor of float32
        ``(3, Y, X)``.
    """
    matrix = _STAINS / np.linalg.norm(_STAINS, axis=1, keepdims=True)
    # Absorbed light to stains, these changed, and back, in one.
    shown = matrix if dyes is None else dyes / np.linalg.norm(dyes, axis=1, keepdims=True)
    change = np.linalg.inv(matrix) @ np.diag(1 + changes) @ shown
    seen = image.clamp(min=_DARKEST)
    absorbed = torch.einsum("cyx,cd->dyx", -seen.log(), torch.from_numpy(change.astype(np.float32)))
    return (-absorbed).exp().clamp(max=_BRIGHTEST) + (image - seen)


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Blur ``(C, Y, X)`` by a separable Gaussian of `sigma` pixels, mirrored at the sides."""
    radius = max(1, round(3 * sigma))
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = kernel / kernel.sum()
    image = image[:, None]
    image = functional.conv2d(functional.pad(image, (0, 0, radius, radius), "reflect"), kernel[None, None, :, None])
    image = functional.conv2d(functional.pad(image, (radius, radius, 0, 0), "reflect"), kernel[None, None, None, :])
    return image[:, 0]
