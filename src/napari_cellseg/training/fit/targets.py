"""What the network is asked to draw: from instance labels to foreground, centre distance and centre offset."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import label as label_components

OFFSET_SCALE = 16.0


@dataclass(frozen=True, eq=False)
class TargetMaps:
    """Per-pixel targets of one image, all ``(Y, X)`` unless noted.

    Parameters
    ----------
    foreground : ndarray of bool
    border_distance : ndarray of float16
        Pixels to the nearest pixel of another cell or background; 0 in the background.
    offset : ndarray of float16
        ``(2, Y, X)``, pixels (y, x) from here to the cell's centre; 0 in the background.
    inverse_size : ndarray of float16
        1 / sqrt(area of the cell in pixels); 0 in the background.
    """

    foreground: np.ndarray
    border_distance: np.ndarray
    offset: np.ndarray
    inverse_size: np.ndarray


def make_targets(labels: np.ndarray) -> TargetMaps:
    """Compute the targets for an instance label image.

    The centre of a cell is its pixel nearest to the centroid, so it lies inside whatever the shape.

    Parameters
    ----------
    labels : ndarray of int
        ``(Y, X)``, 0 is background.
    """
    shape = labels.shape
    border_distance = np.zeros(shape, np.float16)
    offset = np.zeros((2, *shape), np.float16)
    inverse_size = np.zeros(shape, np.float16)
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        mask = labels[box] == i
        padded = np.pad(mask, 1)
        edt = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
        y, x = np.nonzero(mask)
        nearest = np.argmin((y - y.mean()) ** 2 + (x - x.mean()) ** 2)
        cy, cx = y[nearest], x[nearest]
        border_distance[box][mask] = edt[mask]
        offset[(0, *box)][mask] = cy - y
        offset[(1, *box)][mask] = cx - x
        inverse_size[box][mask] = 1.0 / np.sqrt(len(y))
    return TargetMaps(labels > 0, border_distance, offset, inverse_size)


def gap_map(labels: np.ndarray, width: float) -> np.ndarray:
    """Return how narrow the gap between two cells is at each pixel (Ronneberger et al., U-Net, MICCAI 2015).

    Parameters
    ----------
    labels : ndarray of int
        ``(Y, X)``, 0 is background.
    width : float
        In diameters of the median cell: where the distances to the two nearest cells add up to 1.4 times this much,
        the map has fallen to 0.37.

    Returns
    -------
    ndarray of float16
        ``(Y, X)``: 1 where two cells touch, towards 0 where the second nearest cell is far; 0 for a single cell.
    """
    areas = np.bincount(labels.ravel())[1:]
    areas = areas[areas > 0]
    if len(areas) < 2:
        return np.zeros(labels.shape, np.float16)
    sigma = max(1.0, width * 2 * math.sqrt(float(np.median(areas)) / math.pi))
    reach = math.ceil(4 * sigma)
    nearest = np.full(labels.shape, np.inf, np.float32)
    second = nearest.copy()
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        wide = tuple(slice(max(s.start - reach, 0), s.stop + reach) for s in box)
        distance = ndimage.distance_transform_edt(labels[wide] != i).astype(np.float32)
        second[wide] = np.minimum(second[wide], np.maximum(nearest[wide], distance))
        nearest[wide] = np.minimum(nearest[wide], distance)
    # An outermost pixel of a cell is one pixel from its touching neighbour, and in no gap at all.
    gap = np.maximum(nearest + second - 1, 0)
    narrow: np.ndarray = np.exp(-(gap**2) / (2 * sigma**2)).astype(np.float16)
    return narrow


def mirror_pad(image: np.ndarray, labels: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Mirror an image and its labels outward; a mirrored cell gets an id of its own unless it touches its original.

    Parameters
    ----------
    image : ndarray
        ``(Y, X)`` or ``(Y, X, C)``.
    labels : ndarray of int
        ``(Y, X)``.
    width : int
        Pixels on each side; at most one less than the image's shorter side is used.
    """
    width = min(width, min(labels.shape) - 1)
    if width <= 0:
        return image, labels
    pads = ((width, width), (width, width))
    image = np.pad(image, pads + ((0, 0),) * (image.ndim - 2), mode="reflect")
    return image, label_components(np.pad(labels, pads, mode="reflect"), background=0, connectivity=2).astype(np.int32)
