"""Crowded cells: whole cells of an image are pasted beside others, so that they touch."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

# Around a pasted cell this many pixels of its surroundings are blended in.
_RIM = 2
_TRIES, _FARTHEST = 3, 60
_MOST = 24
_SMALLEST = 0.3
_OUTSIDE = 1 << 14


def crowded(image: Tensor, smooth: Tensor, exact: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Paste copies of whole cells onto the background, most of them touching another cell.

    A pasted cell covers background only, so that the targets of the cells that were there stay exact.

    Parameters
    ----------
    image : Tensor of float32
        ``(1 or 3, Y, X)``, normalised.
    smooth, exact : Tensor of float32
        ``(1 or 2, Y, X)`` and ``(4, Y, X)``: planes of a :class:`napari_cellseg.training.fit.augment.TrainingImage`, at
        its own pixels. Gaps between cells (the second plane of `smooth`) are not drawn anew.
    rng : numpy.random.Generator

    Returns
    -------
    image, smooth, exact : Tensor of float32
        The same where there is no whole cell.
    """
    planes = torch.cat([image, smooth[:1], exact]).numpy().copy()
    n = len(image)
    ids, boxes = _whole_cells(planes[n + 1 :])
    if not boxes:
        return image, smooth, exact
    taken = planes[n + 1] > 0
    pixels = planes[:n].mean(axis=0)
    ground = np.median(planes[:n, ~taken], axis=1) if not taken.all() else planes[:n].min(axis=(1, 2))
    pick = np.maximum if pixels[taken].mean() > float(ground.mean()) else np.minimum
    for _ in range(rng.integers(1, min(_MOST, 2 + len(boxes)) + 1)):
        patch, mask = _turned(*_cut(planes, ids, *boxes[rng.integers(len(boxes))]), n, rng)
        patch[:n] = ground[:, None, None] + (patch[:n] - ground[:, None, None]) * rng.uniform(0.7, 1.3)
        for _ in range(_TRIES):
            place = _place(taken, mask, boxes[rng.integers(len(boxes))][1], rng)
            if place is not None:
                _paste(planes, taken, patch, mask, place, n, pick)
                break
    done = torch.from_numpy(planes)
    return done[:n], torch.cat([done[n : n + 1], smooth[1:]]), done[n + 1 :]


def _whole_cells(exact: np.ndarray) -> tuple[np.ndarray, list[tuple[int, tuple[slice, slice]]]]:
    """Number the cells by their centres; return the numbers and (number, box) of those that lie inside as a whole."""
    height, width = exact.shape[1:]
    y, x = np.nonzero(exact[0] > 0)
    # Centres of cells that reach out of the window may lie outside of it too.
    centre_y, centre_x = (np.round(exact[k, y, x]).astype(int) + p + _OUTSIDE for k, p in ((1, y), (2, x)))
    _, index, counts = np.unique(centre_y * 4 * _OUTSIDE + centre_x, return_inverse=True, return_counts=True)
    ids = np.zeros((height, width), np.int32)
    ids[y, x] = index.ravel() + 1
    area = np.zeros(len(counts) + 1)
    area[ids[y, x]] = 1 / np.maximum(exact[3, y, x], 1e-3) ** 2
    # Fragments are left where they are: many of them would teach that cells are small.
    smallest = _SMALLEST * float(np.median(area[1:])) if len(counts) else 0.0
    whole = []
    for i, box in enumerate(ndimage.find_objects(ids), start=1):
        inside = all(s.start > _RIM and s.stop < size - _RIM for s, size in zip(box, (height, width), strict=True))
        if inside and area[i] >= smallest and abs(counts[i - 1] - area[i]) <= 1 + 0.01 * area[i]:
            whole.append((i, box))
    return ids, whole


def _cut(planes: np.ndarray, ids: np.ndarray, i: int, box: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = (slice(s.start - _RIM, s.stop + _RIM) for s in box)
    return planes[:, rows, columns].copy(), ids[rows, columns] == i


def _turned(patch: np.ndarray, mask: np.ndarray, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Flip and transpose a patch at random; its offsets, planes n + 2 and n + 3, turn with it."""
    for axis in (0, 1):
        if rng.random() < 0.5:
            patch, mask = np.flip(patch, axis + 1).copy(), np.flip(mask, axis)
            patch[n + 2 + axis] *= -1
    if rng.random() < 0.5:
        patch, mask = patch.transpose(0, 2, 1).copy(), mask.T
        patch[[n + 2, n + 3]] = patch[[n + 3, n + 2]]
    return patch, mask


def _place(
    taken: np.ndarray, mask: np.ndarray, near: tuple[slice, slice], rng: np.random.Generator
) -> tuple[int, int] | None:
    """Slide a mask away from a cell until it covers no other; return its corner, or None where there is no room."""
    angle = rng.uniform(0, 2 * np.pi)
    step = np.array([np.sin(angle), np.cos(angle)])
    start = np.array([(s.start + s.stop) / 2 for s in near]) - np.array(mask.shape) / 2
    gap = int(rng.integers(4)) if rng.random() < 0.4 else 0
    for reach in range(_FARTHEST):
        y, x = np.round(start + reach * step).astype(int)
        if y < 0 or x < 0 or y + mask.shape[0] > taken.shape[0] or x + mask.shape[1] > taken.shape[1]:
            return None
        if not (taken[y : y + mask.shape[0], x : x + mask.shape[1]] & mask).any():
            if gap == 0:
                return int(y), int(x)
            gap -= 1
    return None


def _paste(
    planes: np.ndarray,
    taken: np.ndarray,
    patch: np.ndarray,
    mask: np.ndarray,
    place: tuple[int, int],
    n: int,
    pick: np.ufunc,
) -> None:
    here = (slice(None), *(slice(p, p + size) for p, size in zip(place, mask.shape, strict=True)))
    old = planes[here]
    alpha = np.maximum(mask, np.minimum(1.6 * ndimage.gaussian_filter(mask.astype(np.float32), 1.0), 1))
    blended = alpha * patch[:n] + (1 - alpha) * old[:n]
    # Outside of the mask the surroundings of the pasted cell must not draw a gap into its neighbours.
    old[:n] = np.where(mask, blended, pick(blended, old[:n]))
    old[n:] = np.where(mask, patch[n:], old[n:])
    taken[here[1:]] |= mask
