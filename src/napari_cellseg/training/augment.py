"""Random crops with random geometry and intensity, for image and targets together, in one resampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..imaging.normalize import NormalizerParams, normalize
from ..network.config import DISTANCE, FOREGROUND, OFFSET
from .datasets import Sample
from .targets import OFFSET_SCALE, make_targets, mirror_pad


@dataclass(frozen=True)
class AugmentParams:
    """How strongly training images are varied.

    Parameters
    ----------
    zoom : tuple of float
        Smallest and largest magnification, drawn evenly on a log scale.
    rotate : float
        Chance of an arbitrary angle; else a quarter turn. Flips come on top.
    stretch : float
        Largest relative difference between the two axes' magnification.
    gamma : tuple of float
        Smallest and largest exponent on intensities, drawn evenly on a log scale.
    noise : float
        Largest standard deviation of added Gaussian noise, in units of the normalised range.
    blur : float
        Chance of a blur of 0.5 to 1.5 px.
    invert : float
        Chance of swapping dark and bright in a grey image.
    grey : float
        Chance of dropping a colour image's colours.
    shading : float
        Chance of multiplying by a smooth field, as from uneven illumination.
    """

    zoom: tuple[float, float] = (0.65, 1.6)
    rotate: float = 0.4
    stretch: float = 0.12
    gamma: tuple[float, float] = (0.6, 1.6)
    noise: float = 0.06
    blur: float = 0.15
    invert: float = 0.08
    grey: float = 0.15
    shading: float = 0.2


@dataclass(frozen=True, eq=False)
class TrainingImage:
    """A sample made ready: normalised, mirrored outward, targets computed once.

    Parameters
    ----------
    image : Tensor of float16
        ``(1 or 3, Y, X)``.
    smooth : Tensor of float16
        ``(1, Y, X)``: distance to the border in pixels (may be interpolated).
    exact : Tensor of float16
        ``(4, Y, X)``: foreground, offset y, offset x, inverse size (taken from the nearest pixel).
    kind : str
    """

    image: Tensor
    smooth: Tensor
    exact: Tensor
    kind: str


def prepare(sample: Sample, normalizer: NormalizerParams, margin: int = 64) -> TrainingImage:
    """Normalise a sample, mirror it outward by up to `margin` pixels and compute its targets."""
    normalized = normalize(sample.image, normalizer)
    image, labels = mirror_pad(normalized, sample.labels, margin)
    maps = make_targets(labels)
    planes = image[None] if image.ndim == 2 else np.moveaxis(image, -1, 0)
    exact = np.concatenate([maps.foreground[None], maps.offset, maps.inverse_size[None]]).astype(np.float16)
    return TrainingImage(
        torch.from_numpy(np.ascontiguousarray(planes, np.float16)),
        torch.from_numpy(maps.border_distance[None]),
        torch.from_numpy(exact),
        sample.kind,
    )


def random_batch(
    images: Sequence[TrainingImage],
    chosen: Sequence[int] | np.ndarray,
    size: int,
    in_channels: int,
    params: AugmentParams,
    rng: np.random.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Cut one augmented crop from each chosen image.

    Parameters
    ----------
    images : sequence of TrainingImage
    chosen : sequence of int
        Index of the image for each crop of the batch.
    size : int
        Side of the crops in pixels.
    in_channels : int
        Channels of the network; grey images are repeated.
    params : AugmentParams
    rng : numpy.random.Generator

    Returns
    -------
    x : Tensor of float32
        ``(N, in_channels, size, size)``.
    targets : dict of str to Tensor of float32
        As :func:`napari_cellseg.training.losses.total_loss` takes them.
    """
    crops = [_random_crop(images[i], size, in_channels, params, rng) for i in chosen]
    x = torch.stack([image for image, _ in crops])
    maps = torch.stack([target for _, target in crops])
    targets = {
        FOREGROUND: maps[:, 0:1],
        DISTANCE: maps[:, 1:2],
        OFFSET: maps[:, 2:4],
        "inverse_size": maps[:, 4:5],
        "weight": maps[:, 5:6],
    }
    return x, targets


def _random_matrix(params: AugmentParams, rng: np.random.Generator) -> np.ndarray:
    """Draw the 2 x 2 matrix that takes crop coordinates to image coordinates, both (y, x) in pixels."""
    zoom = np.exp(rng.uniform(*np.log(params.zoom)))
    stretch = np.exp(rng.uniform(-params.stretch, params.stretch) / 2)
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < params.rotate else rng.integers(4) * np.pi / 2
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flip = np.diag([1.0, rng.choice([-1.0, 1.0])])
    matrix: np.ndarray = rotation @ np.diag([stretch, 1 / stretch]) @ flip / zoom
    return matrix


def _random_centre(shape: Sequence[int], matrix: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    reach = np.abs(matrix).sum(axis=1) * size / 2
    free = np.maximum(np.asarray(shape) / 2 - reach, 0)
    centre: np.ndarray = np.asarray(shape) / 2 + rng.uniform(-1, 1, 2) * free
    return centre


def _random_crop(
    source: TrainingImage, size: int, in_channels: int, params: AugmentParams, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    shape = source.image.shape[-2:]
    matrix = _random_matrix(params, rng)
    centre = _random_centre(shape, matrix, size, rng)
    # Only the part of the image under the crop is converted and sampled: images may be far larger than crops.
    reach = np.abs(matrix).sum(axis=1) * size / 2 + 2
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach), shape).astype(int)
    window = (slice(None), slice(low[0], high[0]), slice(low[1], high[1]))
    n = high - low
    # affine_grid speaks (x, y) in -1..1 over the window; pixel centres as for align_corners=False.
    to_window = np.array([[matrix[1, 1], matrix[1, 0]], [matrix[0, 1], matrix[0, 0]]]) * size / n[::-1, None]
    shift = (2 * (centre - low) / n - 1)[::-1]
    theta = torch.tensor(np.column_stack([to_window, shift]), dtype=torch.float32)[None]
    grid = functional.affine_grid(theta, [1, 1, size, size], align_corners=False)

    smooth_in = torch.cat([source.image[window], source.smooth[window]]).float()[None]
    smooth = functional.grid_sample(smooth_in, grid, "bilinear", "reflection", align_corners=False)[0]
    ones = torch.ones(1, int(n[0]), int(n[1]))
    exact_in = torch.cat([source.exact[window].float(), ones])[None]
    exact = functional.grid_sample(exact_in, grid, "nearest", "zeros", align_corners=False)[0]

    foreground, weight = exact[0], exact[4]
    inverse = torch.tensor(np.linalg.inv(matrix), dtype=torch.float32)
    offset = torch.einsum("ij,jyx->iyx", inverse, exact[1:3])
    scale = 1 / np.sqrt(abs(np.linalg.det(matrix)))
    # The border lies between pixels, half a pixel out from the last one inside.
    border = (smooth[-1] * scale - 0.5).clamp(min=0) * foreground
    to_centre = offset.norm(dim=0)
    distance = torch.where(foreground > 0, border / (border + to_centre).clamp(min=1e-3), 0.0)
    target = torch.stack([foreground, distance, *(offset / OFFSET_SCALE), exact[3] / scale, weight])
    return vary_intensity(smooth[:-1], in_channels, params, rng), target


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
        tint = torch.tensor(rng.uniform(0.85, 1.15, (3, 1, 1)), dtype=torch.float32)
        image = 1 - (1 - image) * tint
        if rng.random() < 0.1:
            image = image[torch.from_numpy(rng.permutation(3))]
    gamma = float(np.exp(rng.uniform(*np.log(params.gamma))))
    image = image.sign() * image.abs().clamp(min=1e-6) ** gamma
    image = image * float(rng.uniform(0.75, 1.25)) + float(rng.uniform(-0.08, 0.08))
    if rng.random() < params.shading:
        field = torch.tensor(rng.uniform(0.6, 1.3, (1, 1, 3, 3)), dtype=torch.float32)
        image = image * functional.interpolate(field, image.shape[-2:], mode="bicubic", align_corners=True)[0]
    if rng.random() < params.blur:
        image = gaussian_blur(image, float(rng.uniform(0.5, 1.5)))
    sigma = float(rng.uniform(0, params.noise)) if rng.random() < 0.5 else 0.0
    if sigma:
        image = image + torch.from_numpy(rng.normal(0, sigma, tuple(image.shape)).astype(np.float32))
    return image.expand(in_channels, -1, -1) if image.shape[0] == 1 else image


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
