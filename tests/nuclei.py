"""Images of nuclei of any size with known labels, drawn on the fly: as a microscope shows them, and as flat discs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi


@dataclass(frozen=True, eq=False)
class Drawn:
    """An image uint16 (Y, X) and its true labels int32 (Y, X)."""

    image: np.ndarray
    labels: np.ndarray

    @property
    def diameter(self) -> float:
        """Diameter in pixels of a disc as large as the median cell."""
        areas = np.bincount(self.labels.ravel())[1:]
        return float(np.sqrt(4 / np.pi * np.median(areas[areas > 0])))


def draw_nuclei(
    diameter: float, shape: tuple[int, int] = (1024, 1024), n_cells: int | None = None, *,
    crowded: float = 0.3, photons: float = 60.0, blur: float | None = None, debris: int = 12, seed: int = 0,
) -> Drawn:  # fmt: skip
    """Draw nuclei with fractal chromatin, blur, uneven light, debris and photon noise.

    Parameters
    ----------
    diameter : float
        Typical, in pixels; axes and sizes vary by some 15 %.
    shape : tuple of int
        (Y, X).
    n_cells : int, optional
        As many as cover an eighth of the image by default, at most 200.
    crowded : float
        Part of the nuclei that touch another one, 0 to 1.
    photons : float
        Photons per pixel of a bright nucleus.
    blur : float, optional
        Standard deviation in pixels; grows with the diameter by default.
    debris : int
        Small bright specks.
    seed : int
        Seed of the random numbers.
    """
    rng = np.random.default_rng(seed)
    if n_cells is None:
        n_cells = int(np.clip(0.125 * shape[0] * shape[1] / (np.pi / 4 * diameter**2), 1, 200))
    labels = _places(rng, diameter, shape, n_cells, crowded)
    n_cells = int(labels.max())
    chromatin = np.exp(0.35 * _fractal(rng, shape, diameter))
    brightness = np.concatenate([[0.0], rng.uniform(0.5, 1.0, n_cells)])
    signal = brightness[labels] * chromatin
    specks = np.zeros(shape)
    specks[tuple(rng.integers(0, n, debris) for n in shape)] = rng.uniform(5, 30, debris)
    signal += ndi.gaussian_filter(specks, 1.2)
    signal = ndi.gaussian_filter(signal, max(0.6, diameter / 45) if blur is None else blur)
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    turn = rng.uniform(0, 2 * np.pi)
    light = 1 + 0.25 * (np.cos(turn) * x + np.sin(turn) * y) - 0.15 * (x**2 + y**2)
    seen = rng.poisson(photons * light * (signal + 0.08 + 0.04 * light))
    image = np.clip(100 + 20 * seen + rng.normal(0, 10, shape), 0, 65535).astype(np.uint16)
    return Drawn(image, labels)


def draw_discs(diameter: float, shape: tuple[int, int] = (1024, 1024), n_cells: int = 8) -> Drawn:
    """Draw flat bright discs on a dark ground, as far apart as they go: two rows."""
    labels = np.zeros(shape, np.int32)
    y, x = np.mgrid[: shape[0], : shape[1]]
    columns = -(-n_cells // 2)
    for i in range(n_cells):
        row, column = divmod(i, columns)
        centre = (row + 0.5) * shape[0] / 2, (column + 0.5) * shape[1] / columns
        labels[np.hypot(y - centre[0], x - centre[1]) < diameter / 2] = i + 1
    return Drawn(np.where(labels > 0, 2000, 200).astype(np.uint16), labels)


def enlarged(drawn: Drawn, times: int) -> Drawn:
    """Enlarge an image by a whole number, the pixels smoothed and the labels not."""
    zoom = [times, times] + [1] * (drawn.image.ndim - 2)
    image = ndi.zoom(drawn.image.astype(np.float32), zoom, order=1, grid_mode=True, mode="nearest")
    return Drawn(image.astype(drawn.image.dtype), np.kron(drawn.labels, np.ones((times, times), drawn.labels.dtype)))


def _places(
    rng: np.random.Generator, diameter: float, shape: tuple[int, int], n_cells: int, crowded: float
) -> np.ndarray:
    """Ellipses, some of which touch, none of which lies on another."""
    labels = np.zeros(shape, np.int32)
    centres: list[tuple[float, float]] = []
    tries = 0
    while len(centres) < n_cells and tries < 100 * n_cells:
        tries += 1
        size = diameter * np.exp(rng.normal(0, 0.1))
        if centres and rng.random() < crowded:
            angle, near = rng.uniform(0, 2 * np.pi), centres[rng.integers(len(centres))]
            centre = near[0] + 1.02 * size * np.sin(angle), near[1] + 1.02 * size * np.cos(angle)
        else:
            centre = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        margin = size / 2
        if not all(margin < place < n - margin for place, n in zip(centre, shape, strict=True)):
            continue
        if any(np.hypot(centre[0] - y, centre[1] - x) < 0.95 * size for y, x in centres):
            continue
        stretch, angle = np.exp(rng.normal(0, 0.12)), rng.uniform(0, np.pi)
        reach = int(size) + 2
        rows, columns = (
            slice(max(0, int(place) - reach), min(n, int(place) + reach + 1))
            for place, n in zip(centre, shape, strict=True)
        )
        y, x = np.mgrid[rows, columns]
        u = (x - centre[1]) * np.cos(angle) + (y - centre[0]) * np.sin(angle)
        v = (y - centre[0]) * np.cos(angle) - (x - centre[1]) * np.sin(angle)
        inside = np.hypot(u / stretch, v * stretch) < size / 2
        part = labels[rows, columns]
        part[inside & (part == 0)] = len(centres) + 1
        centres.append(centre)
    return labels


def _fractal(rng: np.random.Generator, shape: tuple[int, int], diameter: float) -> np.ndarray:
    """Noise whose octaves reach from half a nucleus to a pixel, standard deviation 1."""
    total, side, strength = np.zeros(shape), diameter / 3, 1.0
    while side > 1.5:
        coarse = rng.standard_normal([int(n / side) + 3 for n in shape])
        zoom = ndi.zoom(coarse, side, order=1)[: shape[0], : shape[1]]
        total += strength * zoom[: shape[0], : shape[1]]
        side, strength = side / 2, strength * 0.8
    return total / max(float(total.std()), 1e-6)
