"""Pictures of images with the outlines of their cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from ..imaging.write.pictures import write_picture

THUMBNAIL = 192
# Bright on dark images and strong on white ones; neighbours get different ones by their ids.
COLORS = np.array(
    [(255, 214, 0), (0, 229, 255), (255, 82, 82), (105, 240, 80), (224, 64, 251), (255, 145, 0)], dtype=np.uint8
)
_DARKEST, _BRIGHTEST = 0.2, 99.8
_SAMPLE = 500_000


def picture(plane: np.ndarray) -> np.ndarray:
    """Return an image as it can be looked at: colours of 8 bits as they are, all else stretched from dark to bright.

    Parameters
    ----------
    plane : ndarray
        ``(Y, X)`` or ``(Y, X, 3)``, raw, any real dtype; what is not finite becomes black.

    Returns
    -------
    ndarray of uint8
        ``(Y, X, 3)``.
    """
    if plane.ndim == 3 and plane.dtype == np.uint8:
        return plane[..., :3]
    # Values beyond what 32 bits hold become infinite, and count as such.
    with np.errstate(over="ignore", invalid="ignore"):
        values = plane.astype(np.float32)
        step = max(1, int(np.sqrt(plane.size / _SAMPLE)))
        sample = values[::step, ::step]
        sample = sample[np.isfinite(sample)]
        low, high = np.percentile(sample, (_DARKEST, _BRIGHTEST)) if sample.size else (0.0, 1.0)
        scaled = (values - low) * (255 / (high - low) if high > low else 0.0)
    grey = np.clip(np.nan_to_num(scaled, nan=0.0, posinf=255, neginf=0), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else grey[..., :3]


def outline_pixels(labels: np.ndarray) -> np.ndarray:
    """Return which pixels lie in a cell and next to another cell or the background; bool, ``(Y, X)``."""
    found = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    found[1:] |= down
    found[:-1] |= down
    found[:, 1:] |= right
    found[:, :-1] |= right
    found &= labels > 0
    return found


def draw_outlines(picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return a picture, uint8 ``(Y, X, 3)``, with the innermost row of pixels of every cell in a bright colour."""
    at = outline_pixels(labels)
    drawn = picture.copy()
    drawn[at] = COLORS[labels[at] % len(COLORS)]
    return drawn


def write_overlay(path: Path, plane: np.ndarray, labels: np.ndarray) -> None:
    """Write the image with the outlines of its cells as a PNG of the same size.

    Raises
    ------
    OutputError
        If the system refused to write.
    """
    drawn = PillowImage.fromarray(draw_outlines(picture(plane), labels))
    write_picture(path, drawn, "PNG", compress_level=3)


def thumbnail(plane: np.ndarray, labels: np.ndarray, size: int = THUMBNAIL) -> np.ndarray:
    """Return a small picture with the outlines of cells, for contact sheets.

    Parameters
    ----------
    plane : ndarray
        ``(Y, X)`` or ``(Y, X, 3)``, raw.
    labels : ndarray
        ``(Y, X)``, whole numbers, 0 = background.
    size : int
        Its longer side in pixels.

    Returns
    -------
    ndarray of uint8
        ``(h, w, 3)``.
    """
    height, width = (max(1, round(n * size / max(labels.shape))) for n in labels.shape)
    smaller = height <= labels.shape[0] and width <= labels.shape[1]
    how = PillowImage.Resampling.BOX if smaller else PillowImage.Resampling.BICUBIC
    small = np.asarray(PillowImage.fromarray(picture(plane)).resize((width, height), how))
    rows, columns = (
        ((np.arange(n) + 0.5) * full / n).astype(int) for n, full in zip((height, width), labels.shape, strict=True)
    )
    return draw_outlines(small, labels[np.ix_(rows, columns)])


def write_thumbnail(path: Path, plane: np.ndarray, labels: np.ndarray, size: int = THUMBNAIL) -> Path:
    """Write a thumbnail as a JPEG of some ten kilobytes.

    Raises
    ------
    OutputError
        If the system refused to write.
    """
    # Colours at half the resolution would wash out outlines of one pixel.
    write_picture(path, PillowImage.fromarray(thumbnail(plane, labels, size)), "JPEG", quality=85, subsampling=0)
    return path
