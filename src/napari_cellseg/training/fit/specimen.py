"""What specimens and microscopes do to an image beside grey values: texture, debris, focus, saturation, compression.

Every function takes ``(1 or 3, Y, X)``, normalised, and gives the same shape.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image as PILImage
from torch import Tensor
from torch.nn import functional

from .intensity import gaussian_blur


def smooth_field(shape: tuple[int, int], spacing: float, rng: np.random.Generator) -> Tensor:
    """Draw a smooth random field ``(Y, X)``, about normally distributed, with a node every `spacing` pixels."""
    nodes = [max(2, round(n / spacing) + 1) for n in shape]
    field = torch.from_numpy(rng.standard_normal((1, 1, *nodes)).astype(np.float32))
    return functional.interpolate(field, shape, mode="bicubic", align_corners=True)[0, 0]


def fractal(shape: tuple[int, int], coarsest: float, rng: np.random.Generator, roughness: float = 0.6) -> Tensor:
    """Draw a fractal texture ``(Y, X)`` of mean 0 and standard deviation 1.

    Parameters
    ----------
    shape : (int, int)
    coarsest : float
        Spacing of its coarsest detail in pixels; each octave is half as wide, down to about a pixel.
    rng : numpy.random.Generator
    roughness : float
        Amplitude of each octave relative to the one before.
    """
    total, amplitude, spacing = torch.zeros(shape), 1.0, max(coarsest, 1.5)
    while spacing >= 1.2:
        total += amplitude * smooth_field(shape, spacing, rng)
        amplitude, spacing = amplitude * roughness, spacing / 2
    return (total - total.mean()) / total.std().clamp(min=1e-3)


def ground_level(image: Tensor, foreground: Tensor) -> Tensor:
    """Return the mean ``(C, 1, 1)`` of each channel in the background; its minimum where there is none."""
    outside = foreground <= 0
    if not bool(outside.any()):
        return image.amin(dim=(1, 2))[:, None, None]
    return image[:, outside].mean(dim=1)[:, None, None]


def textured(image: Tensor, foreground: Tensor, distance: Tensor, size: float, rng: np.random.Generator) -> Tensor:
    """Give cells a texture like that of chromatin, nucleoli, and a centre darker or brighter than the rim.

    Parameters
    ----------
    image : Tensor of float32
    foreground, distance : Tensor of float32
        ``(Y, X)``: 1 inside of cells; 1 at a cell's centre, 0 at its border and outside.
    size : float
        Typical width of a cell in pixels.
    rng : numpy.random.Generator
    """
    shape = (image.shape[1], image.shape[2])
    factor = torch.exp(rng.uniform(0.05, 0.45) * fractal(shape, size / rng.uniform(2, 6), rng))
    if rng.random() < 0.5:
        spots = torch.sigmoid(6 * (smooth_field(shape, size / rng.uniform(3, 6), rng) - rng.uniform(0.9, 1.6)))
        factor = factor * (1 + rng.uniform(-0.7, 0.9) * spots)
    if rng.random() < 0.5:
        factor = factor * (1 - rng.uniform(-0.4, 0.6) * distance)
    inside = foreground * (4 * distance).clamp(max=1)
    return image + inside * (image - ground_level(image, foreground)) * (factor - 1)


def saturated(image: Tensor, foreground: Tensor, rng: np.random.Generator) -> Tensor:
    """Cut off what differs most from the background, as in an image that was exposed for too long."""
    ground = ground_level(image, foreground)
    depth = image - ground
    cells = depth[:, foreground > 0]
    if cells.numel() == 0:
        return image
    sign = 1.0 if float(cells.mean()) > 0 else -1.0
    level = float(torch.quantile(sign * cells.mean(dim=0), rng.uniform(0.2, 0.85)))
    if level < 0.02:
        return image
    cut = ground + sign * (sign * depth).clamp(max=level)
    # A saturated image is normalised to its own brightest value.
    return cut * (rng.uniform(0.8, 1.1) / max(level + float(ground.mean()), 0.1)) if sign > 0 else cut


def out_of_focus(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Blur parts of an image, as cells in another plane are."""
    shape = (image.shape[1], image.shape[2])
    share = torch.sigmoid(4 * (smooth_field(shape, rng.uniform(40, 120), rng) - rng.uniform(-1, 1)))
    return torch.lerp(image, gaussian_blur(image, float(rng.uniform(1.2, 4))), share)


def with_debris(image: Tensor, foreground: Tensor, rng: np.random.Generator) -> Tensor:
    """Add specks and fibres that differ from the background more than cells do, and dim the rest as they would."""
    sign = 1.0 if float(ground_level(image, foreground).mean()) < 0.5 else -1.0
    image = image.clone()
    height, width = image.shape[1:]
    for _ in range(rng.integers(1, 9)):
        across = rng.uniform(0.5, 2.0)
        along = across * (rng.uniform(4, 20) if rng.random() < 0.3 else rng.uniform(1, 1.8))
        reach = int(3 * along) + 1
        y, x = int(rng.integers(height)), int(rng.integers(width))
        rows, columns = (slice(max(0, at - reach), min(n, at + reach + 1)) for at, n in ((y, height), (x, width)))
        angle = rng.uniform(0, np.pi)
        dy, dx = np.ogrid[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
        u, v = np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx
        speck = np.exp(-((u / along) ** 4 + (v / across) ** 2)).astype(np.float32)
        image[:, rows, columns] += sign * float(rng.uniform(0.4, 2)) * torch.from_numpy(speck)
    return image.clamp(min=0.02) if sign < 0 else image * float(rng.uniform(0.3, 1))


def hazed(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Add light that varies over the image, as from cells above and below; only on a dark ground."""
    field = smooth_field((image.shape[1], image.shape[2]), rng.uniform(60, 250), rng)
    field = (field - field.min()) / (field.max() - field.min()).clamp(min=1e-3)
    haze = float(rng.uniform(0.05, 0.4))
    return (image + haze * field) / (1 + haze / 2)


def grainy(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Add the noise of few photons: it grows with the root of the intensity."""
    noise = torch.from_numpy(rng.standard_normal(tuple(image.shape)).astype(np.float32))
    return image + float(rng.uniform(0.01, 0.12)) * (image.clamp(0, 1) + 0.1).sqrt() * noise


def coarse(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Show an image as taken with larger pixels, noise included, and magnified again."""
    shape = (image.shape[1], image.shape[2])
    factor = rng.uniform(1.3, 3)
    small = [max(2, round(n / factor)) for n in shape]
    taken = functional.interpolate(image[None], small, mode="bilinear", align_corners=False, antialias=True)[0]
    taken = grainy(taken, rng) if rng.random() < 0.7 else taken
    return functional.interpolate(taken[None], shape, mode="bilinear", align_corners=False)[0]


def compressed(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Show an image as it comes back from a JPEG file."""
    low, high = float(image.min()), max(float(image.max()), float(image.min()) + 1e-3)
    levels = ((image - low) * (255 / (high - low))).round().to(torch.uint8).numpy()
    buffer = io.BytesIO()
    PILImage.fromarray(levels[0] if len(levels) == 1 else np.moveaxis(levels, 0, -1)).save(
        buffer, "JPEG", quality=int(rng.integers(15, 85))
    )
    back = np.asarray(PILImage.open(buffer, formats=("JPEG",)), np.float32)
    planes = back[None] if back.ndim == 2 else np.moveaxis(back, -1, 0)
    return torch.from_numpy(np.ascontiguousarray(planes)) * ((high - low) / 255) + low
