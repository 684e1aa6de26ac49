"""Random crops with random geometry and intensity, for image and targets together, in one resampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...imaging.normalize import NormalizerParams, normalize
from ...network.config import DISTANCE, FOREGROUND, OFFSET
from ..data.datasets import Sample
from ..data.sizes import magnified, zoom_to
from ..params import AugmentParams
from .crowding import crowded
from .difficult import Chances, difficult_file, difficult_specimen, other_zoom
from .intensity import vary_intensity
from .losses import BORDER
from .targets import OFFSET_SCALE, gap_map, make_targets, mirror_pad


@dataclass(frozen=True, eq=False)
class TrainingImage:
    """A sample made ready: normalised, mirrored outward, targets computed once.

    Parameters
    ----------
    image : Tensor of float16
        ``(1 or 3, Y, X)``.
    smooth : Tensor of float16
        ``(1 or 2, Y, X)``, may be interpolated: distance to the border in pixels; perhaps the gaps between cells.
    exact : Tensor of float16
        ``(4, Y, X)``: foreground, offset y, offset x, inverse size (taken from the nearest pixel).
    kind : str
    weight : Tensor of float16, optional
        ``(1, Y, X)``: 1 where the labels were reviewed; None is everywhere.
    centres : ndarray of float, optional
        ``(N, 2)``: points (y, x) that crops are centred near; None is anywhere.
    """

    image: Tensor
    smooth: Tensor
    exact: Tensor
    kind: str
    weight: Tensor | None = None
    centres: np.ndarray | None = None

    @property
    def area(self) -> int:
        """Pixels that count."""
        return self.image[0].numel() if self.weight is None else int(np.count_nonzero(self.weight.numpy()))


def prepare(
    sample: Sample,
    normalizer: NormalizerParams,
    margin: int = 64,
    gap_width: float | None = None,
    diameter: float | None = None,
) -> TrainingImage:
    """Normalise a sample, mirror it outward by up to `margin` pixels and compute its targets.

    With `gap_width` the gaps between cells are among them; see :func:`napari_cellseg.training.fit.targets.gap_map`.
    With `diameter` its cells are brought to about that many pixels first, as prediction does it.
    """
    sized = magnified(sample, normalize(sample.image, normalizer), zoom_to(sample, diameter))
    return with_targets(sized, margin, gap_width)


def with_targets(sample: Sample, margin: int = 64, gap_width: float | None = None) -> TrainingImage:
    """Mirror a sample whose image is normalised already outward, and compute its targets; see :func:`prepare`."""
    weight = centres = None
    if sample.reviewed is not None:
        margin = min(margin, min(sample.labels.shape) - 1)
        reviewed = np.pad(sample.reviewed, margin, mode="reflect")
        weight = torch.from_numpy(reviewed[None].astype(np.float16))
        centres = margin + reviewed_points(sample.labels, sample.reviewed)
    image, labels = mirror_pad(sample.image, sample.labels, margin)
    maps = make_targets(labels)
    smooth = [maps.border_distance] if gap_width is None else [maps.border_distance, gap_map(labels, gap_width)]
    planes = image[None] if image.ndim == 2 else np.moveaxis(image, -1, 0)
    exact = np.concatenate([maps.foreground[None], maps.offset, maps.inverse_size[None]]).astype(np.float16)
    return TrainingImage(
        torch.from_numpy(np.ascontiguousarray(planes, np.float16)),
        torch.from_numpy(np.stack(smooth)),
        torch.from_numpy(exact),
        sample.kind,
        weight,
        centres,
    )


def reviewed_points(labels: np.ndarray, reviewed: np.ndarray, n: int = 2048) -> np.ndarray:
    """Points to centre crops near: half of them cells, each as often as any other, half of them reviewed pixels.

    Returns
    -------
    ndarray of float
        ``(2 n, 2)`` (y, x), or ``(n, 2)`` where no cell is reviewed.
    """
    rng = np.random.default_rng(0)
    pixels = np.flatnonzero(reviewed)
    ids, first = np.unique(labels.ravel()[pixels], return_index=True)
    cells = pixels[first[ids > 0]]
    chosen = [rng.choice(points, n) for points in (pixels, cells) if len(points)]
    return np.column_stack(np.divmod(np.concatenate(chosen), labels.shape[1])).astype(float)


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
        As :func:`napari_cellseg.training.fit.losses.total_loss` takes them.
    """
    crops = [_random_crop(images[i], size, in_channels, params, rng) for i in chosen]
    x = torch.stack([image for image, _ in crops])
    maps = torch.stack([target for _, target in crops])
    return x, named_targets(maps)


def named_targets(maps: Tensor) -> dict[str, Tensor]:
    """Give the planes of a batch of targets, ``(N, 6 or 7, Y, X)``, the names that the loss knows them by."""
    gaps = {BORDER: maps[:, 6:7]} if maps.shape[1] > 6 else {}
    return {
        FOREGROUND: maps[:, 0:1],
        DISTANCE: maps[:, 1:2],
        OFFSET: maps[:, 2:4],
        "inverse_size": maps[:, 4:5],
        "weight": maps[:, 5:6],
        **gaps,
    }


def _random_matrix(params: AugmentParams, rng: np.random.Generator) -> np.ndarray:
    """Draw the 2 x 2 matrix that takes crop coordinates to image coordinates, both (y, x) in pixels."""
    zoom = np.exp(rng.uniform(*np.log(params.zoom)))
    if params.difficult:
        zoom = other_zoom(zoom, Chances().scaled(params.difficult), rng)
    stretch = np.exp(rng.uniform(-params.stretch, params.stretch) / 2)
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < params.rotate else rng.integers(4) * params.turn * np.pi / 2
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flip = np.diag([1.0, rng.choice([-1.0, 1.0], p=[params.flip, 1 - params.flip])])
    matrix: np.ndarray = rotation @ np.diag([stretch, 1 / stretch]) @ flip / zoom
    if params.shear:
        # Along one axis, which the rotation after it makes any direction; the area stays.
        matrix = matrix @ np.array([[1.0, rng.uniform(-params.shear, params.shear)], [0.0, 1.0]])
    return matrix


def _random_centre(shape: Sequence[int], matrix: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    reach = np.abs(matrix).sum(axis=1) * size / 2
    free = np.maximum(np.asarray(shape) / 2 - reach, 0)
    centre: np.ndarray = np.asarray(shape) / 2 + rng.uniform(-1, 1, 2) * free
    return centre


def _centre_near(
    points: np.ndarray, shape: Sequence[int], matrix: np.ndarray, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw a centre up to a quarter crop from one of the points, inside the image as far as it is large enough."""
    reach = np.abs(matrix).sum(axis=1) * size / 2
    middle = np.asarray(shape) / 2
    free = np.maximum(middle - reach, 0)
    wanted = points[rng.integers(len(points))] + rng.uniform(-0.5, 0.5, 2) * reach
    centre: np.ndarray = np.clip(wanted, middle - free, middle + free)
    return centre


def _random_crop(
    source: TrainingImage, size: int, in_channels: int, params: AugmentParams, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    shape = source.image.shape[-2:]
    matrix = _random_matrix(params, rng)
    if source.centres is None:
        centre = _random_centre(shape, matrix, size, rng)
    else:
        centre = _centre_near(source.centres, shape, matrix, size, rng)
    # Only the part of the image under the crop is converted and sampled: images may be far larger than crops.
    reach = np.abs(matrix).sum(axis=1) * (size / 2 + 2 * params.elastic) + 2
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach), shape).astype(int)
    window = (slice(None), slice(low[0], high[0]), slice(low[1], high[1]))
    n = high - low
    # affine_grid takes (x, y) in -1..1 over the window; pixel centres as for align_corners=False.
    to_window = np.array([[matrix[1, 1], matrix[1, 0]], [matrix[0, 1], matrix[0, 0]]]) * size / n[::-1, None]
    shift = (2 * (centre - low) / n - 1)[::-1]
    theta = torch.tensor(np.column_stack([to_window, shift]), dtype=torch.float32)[None]
    grid = functional.affine_grid(theta, [1, 1, size, size], align_corners=False)
    inverse, scale = torch.from_numpy(np.linalg.inv(matrix)).float(), 1 / np.sqrt(abs(np.linalg.det(matrix)))
    if params.elastic:
        bend = _random_bend(size, params.elastic, rng)
        grid = grid + torch.einsum("ij,jyx->yxi", torch.from_numpy(to_window).float(), bend.flip(0)) * 2 / size
        straight = _straightening(bend)
        inverse, scale = torch.einsum("ijyx,jk->ikyx", straight, inverse), scale * _root_det(straight)

    image, border, cells = (part[window].float() for part in (source.image, source.smooth, source.exact))
    chances = Chances().scaled(params.difficult)
    if params.difficult and source.weight is None and rng.random() < chances.crowd:
        image, border, cells = crowded(image, border, cells, rng)
    smooth_in = torch.cat([image, border])[None]
    smooth = functional.grid_sample(smooth_in, grid, "bilinear", "reflection", align_corners=False)[0]
    counts = torch.ones(1, int(n[0]), int(n[1])) if source.weight is None else source.weight[window].float()
    exact_in = torch.cat([cells, counts])[None]
    exact = functional.grid_sample(exact_in, grid, "nearest", "zeros", align_corners=False)[0]

    n_image = source.image.shape[0]
    target = _targets(smooth[n_image:], exact, inverse, scale)
    if not params.difficult:
        return vary_intensity(smooth[:n_image], in_channels, params, rng), target
    zoom = float(1 / np.sqrt(abs(np.linalg.det(matrix))))
    seen = difficult_specimen(smooth[:n_image], target, zoom, chances, rng)
    seen = difficult_file(vary_intensity(seen, 1, params, rng), chances, rng)
    return seen.expand(in_channels, -1, -1) if seen.shape[0] == 1 else seen, target


def _random_bend(size: int, strength: float, rng: np.random.Generator) -> Tensor:
    """Draw a smooth field of shifts ``(2, size, size)`` (y, x) in pixels, with a node every 32 pixels."""
    n = size // 32 + 3
    nodes = torch.from_numpy(rng.uniform(-strength, strength, (1, 2, n, n))).float()
    wide = functional.interpolate(nodes, (32 * n, 32 * n), mode="bicubic", align_corners=True)
    start = (32 * n - size) // 2
    return wide[0, :, start : start + size, start : start + size]


def _straightening(bend: Tensor) -> Tensor:
    """Return what undoes a bend around each pixel, to first order: matrices ``(2, 2, Y, X)``."""
    dy, dx = torch.gradient(bend, dim=(1, 2))
    a, b, c, d = 1 + dy[0], dx[0], dy[1], 1 + dx[1]
    undone = torch.stack([torch.stack([d, -b]), torch.stack([-c, a])])
    return undone / (a * d - b * c).clamp(min=0.1)


def _root_det(matrices: Tensor) -> Tensor:
    determinant = matrices[0, 0] * matrices[1, 1] - matrices[0, 1] * matrices[1, 0]
    return determinant.clamp(min=0.01).sqrt()


def _targets(smooth: Tensor, exact: Tensor, inverse: Tensor, scale: float | Tensor) -> Tensor:
    """Return ``(6 or 7, Y, X)``: foreground, centre distance, offset y and x, inverse size, weight, perhaps gaps."""
    foreground, weight = exact[0], exact[4]
    offset = torch.einsum("ij,jyx->iyx" if inverse.ndim == 2 else "ijyx,jyx->iyx", inverse, exact[1:3])
    # The border lies between pixels, half a pixel out from the last one inside.
    border = (smooth[0] * scale - 0.5).clamp(min=0) * foreground
    to_centre = torch.hypot(offset[0], offset[1])
    distance = torch.where(foreground > 0, border / (border + to_centre).clamp(min=1e-3), 0.0)
    return torch.stack([foreground, distance, *(offset / OFFSET_SCALE), exact[3] / scale, weight, *smooth[1:]])


def still_crop(
    source: TrainingImage, window: tuple[slice, slice], in_channels: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Cut a window as it is, in the form of a batch of one; see :func:`random_batch`."""
    part = (slice(None), *window)
    exact = source.exact[part].float()
    counts = torch.ones_like(exact[:1]) if source.weight is None else source.weight[part].float()
    maps = _targets(source.smooth[part].float(), torch.cat([exact, counts]), torch.eye(2), 1.0)[None]
    image = source.image[part].float()
    x = image.expand(in_channels, -1, -1) if image.shape[0] == 1 else image
    return x[None], named_targets(maps)
