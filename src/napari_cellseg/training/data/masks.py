"""Cells from the usual kinds of masks: one id per cell, black and white, or one colour per cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.measure import label as label_components

from ...imaging.errors import DatasetError

LABELS, SINGLE, BINARY, COLOURS, CLASSES, EMPTY = "labels", "single", "binary", "colours", "classes", "empty"
WHITE = (255, 65535)


@dataclass(frozen=True, eq=False)
class Mask:
    """Content of a mask file.

    Parameters
    ----------
    labels : ndarray of int32
        ``(Y, X)``, 0 is background, ids without gaps.
    form : {'labels', 'single', 'binary', 'colours', 'classes', 'empty'}
        ``single``: one value besides 0, which may be one cell or all of them.
    gaps : bool
        Whether ids were missing between 1 and the highest one.
    """

    labels: np.ndarray
    form: str
    gaps: bool = False

    def split(self) -> Mask:
        """Return each connected piece as a cell of its own."""
        return Mask(components(self.labels > 0), BINARY)

    def by_class(self) -> Mask:
        """Return each connected piece of one id as a cell of its own: ids are classes of cells."""
        return Mask(components(self.labels), CLASSES)


def components(mask: np.ndarray) -> np.ndarray:
    """Number the connected pieces of equal values (8 neighbours); 0 is background."""
    numbered: np.ndarray = label_components(mask, connectivity=2, background=0).astype(np.int32)
    return numbered


def read_mask(values: np.ndarray, lossy: bool = False) -> Mask:
    """Find out what the values of a mask mean.

    Parameters
    ----------
    values : ndarray
        ``(Y, X)`` or ``(Y, X, 3)``.
    lossy : bool
        The file's format blurs values (JPEG): what is brighter than half is a cell.

    Raises
    ------
    DatasetError
        If the values can be neither ids nor black and white.
    """
    if values.dtype == bool:
        values = values.view(np.uint8) * np.uint8(255)
    if values.dtype.kind == "f":
        values = _whole(values)
    if values.size and values.min() < 0:
        raise DatasetError("its values are below 0. Save it as ids from 0 up, or as black and white")
    if lossy:
        grey = values if values.ndim == 2 else values.max(axis=2)
        return Mask(components(grey > 127), BINARY)
    if values.ndim == 3:
        return _of_colours(values)
    ids, inverse = np.unique(values, return_inverse=True)
    cells = ids[ids > 0]
    if not len(cells):
        return Mask(np.zeros(values.shape, np.int32), EMPTY)
    if len(cells) == 1:
        form = BINARY if int(cells[0]) in WHITE else SINGLE
        mask = Mask((values > 0).astype(np.int32), form)
        return mask.split() if form == BINARY else mask
    if int(cells[-1]) in WHITE and np.mean(values[values > 0] == cells[-1]) > 0.5:
        # White with soft edges: a drawing program smoothed the outlines.
        return Mask(components(values > cells[-1] // 2), BINARY)
    labels = inverse.reshape(values.shape) + (0 if ids[0] == 0 else 1)
    return Mask(labels.astype(np.int32), LABELS, gaps=bool(cells[-1] != len(cells)))


def _whole(values: np.ndarray) -> np.ndarray:
    """Return floats as whole numbers: ids as they are, 0 to 1 as black and white."""
    if not np.isfinite(values).all():
        raise DatasetError("it holds values that are not numbers. Save it as ids, or as black and white")
    if np.all(values == np.rint(values)) and values.max(initial=0) <= np.iinfo(np.int32).max:
        return values.astype(np.int32)
    if values.min() >= 0 and values.max() <= 1:
        white: np.ndarray = (values > 0.5).astype(np.uint8) * np.uint8(255)
        return white
    raise DatasetError("its values are neither whole numbers nor from 0 to 1. Save it as ids, or as black and white")


def _of_colours(values: np.ndarray) -> Mask:
    """Take each connected piece of one colour as a cell; black is background, or else the most frequent colour."""
    packed = (values.astype(np.int64) << (np.arange(values.shape[2]) * 20)).sum(axis=2)
    colours, inverse, counts = np.unique(packed, return_inverse=True, return_counts=True)
    background = 0 if colours[0] == 0 else int(counts.argmax())
    if len(colours) == 1 and colours[0] == 0:
        return Mask(np.zeros(values.shape[:2], np.int32), EMPTY)
    # Neighbours of different colours are different cells, whatever they touch.
    indices = inverse.reshape(values.shape[:2])
    found = label_components(np.where(indices == background, -1, indices), background=-1, connectivity=2)
    return Mask(found.astype(np.int32), COLOURS)
