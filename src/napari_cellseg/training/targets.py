"""What the network is asked to draw: from instance labels to foreground, centre distance and centre offset."""

from __future__ import annotations

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
