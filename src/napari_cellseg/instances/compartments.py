"""Nuclei grown to cells, and the brightness of nucleus, ring and whole cell."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import scipy

from ..imaging.errors import ParamsError
from ..imaging.memory import check_room
from .measure import check_labels, number_ids

NUCLEUS, RING, CELL = "nucleus", "ring", "cell"
PLACES = (NUCLEUS, RING, CELL)
MOST = 1000.0
# Of memory per pixel: distances, and the place of the nearest nucleus.
GROWING_BYTES = 40
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)\s*(um|µm|μm|px)(?:\s*:\s*(\S.*))?")
# Pixels by which a channel is smoothed before its edge is looked for: less noise, and edges where they were.
SMOOTHING = 1.0


@dataclass(frozen=True)
class Growth:
    """How far nuclei are grown.

    Parameters
    ----------
    amount : float
        Above 0 and up to 1000.
    unit : {'um', 'px'}
    edge : str
        Name or number of a channel to whose edge they grow at most; empty for none.

    Raises
    ------
    ParamsError
        If a value is out of its range.
    """

    amount: float
    unit: str
    edge: str = ""

    def __post_init__(self) -> None:
        if self.unit not in ("um", "px") or not 0 < self.amount <= MOST:
            raise ParamsError(
                f"Nuclei can't be grown by {self.amount:g} {self.unit}. Give a length above 0 and up to {MOST:g} with "
                "its unit, such as 3um or 5px."
            )

    @classmethod
    def parse(cls, text: str) -> Growth:
        """Read a length such as ``3um`` or ``5px``, or with a channel such as ``10um:RFP``.

        Raises
        ------
        ParamsError
            It is none.
        """
        found = _NUMBER.fullmatch(text.strip())
        if found is None:
            raise ParamsError(
                f"{text!r} is no length by which nuclei can be grown. Give a number with its unit, such as 3um or 5px."
            )
        return cls(float(found[1]), "px" if found[2] == "px" else "um", (found[3] or "").strip())

    def __str__(self) -> str:
        return f"{self.amount:.15g}{self.unit}" + (f":{self.edge}" if self.edge else "")


def grow(labels: np.ndarray, growth: Growth, pixel_size: tuple[float, float] | None = None) -> np.ndarray:
    """Grow every nucleus into the background by the same length; none loses a pixel, and none takes one of another.

    Parameters
    ----------
    labels : numpy.ndarray
        Whole numbers (Y, X), 0 = background.
    growth : Growth
    pixel_size : tuple of float, optional
        Height and width of a pixel in micrometres, needed for a growth in micrometres.

    Returns
    -------
    numpy.ndarray
        Same ids, shape and dtype. A pixel that several reach belongs to the nearest.

    Raises
    ------
    ParamsError
        The growth is in micrometres and the pixel size is not known.
    MemoryTooSmallError
        There is no room for it.
    ValueError
        `labels` is not a label image.
    """
    check_labels(labels)
    if growth.unit == "um" and pixel_size is None:
        raise ParamsError(
            f"Nuclei can't be grown by {growth}: this image has no pixel size. Give the length in pixels, such as 5px."
        )
    # Imported late: it takes a tenth of a second, and most never grow anything.
    from skimage.segmentation import expand_labels

    spacing = pixel_size if growth.unit == "um" and pixel_size is not None else (1.0, 1.0)
    # Background far from all nuclei costs time and gets nothing.
    inside = np.flatnonzero(labels.any(axis=1)), np.flatnonzero(labels.any(axis=0))
    if not inside[0].size:
        return labels.copy()
    reach = [math.ceil(growth.amount / step) + 1 for step in spacing]
    box = tuple(slice(max(int(p[0]) - r, 0), int(p[-1]) + r + 1) for p, r in zip(inside, reach, strict=True))
    part = labels[box]
    check_room(GROWING_BYTES * part.size, "Growing nuclei", part.shape)
    grown = labels.copy()
    grown[box] = expand_labels(part, growth.amount, spacing)
    return grown


def up_to_edge(labels: np.ndarray, grown: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """Take from grown nuclei what lies outside of the cells that a channel shows, and part touching cells at their rim.

    A pixel is in a cell where the smoothed channel is above Otsu's threshold of all pixels that were grown into, the
    nuclei included. From the nuclei each cell is flooded from bright to dark (seeded watershed).

    Parameters
    ----------
    labels, grown : numpy.ndarray
        Whole numbers (Y, X): nuclei, and what they were grown to.
    plane : numpy.ndarray
        Raw channel, (Y, X).

    Returns
    -------
    numpy.ndarray
        As `grown`: same ids, and no nucleus loses a pixel.
    """
    from skimage.filters import threshold_otsu
    from skimage.segmentation import watershed

    reached = grown > 0
    if not reached.any():
        return grown
    values = scipy.ndimage.gaussian_filter(np.nan_to_num(plane.astype(np.float32), posinf=0, neginf=0), SMOOTHING)
    inside = reached & ((values > threshold_otsu(values[reached])) | (labels > 0))
    # Nuclei are the seeds with all their pixels, however bright these are.
    return watershed(-values, labels, mask=inside).astype(grown.dtype)


def compartment(labels: np.ndarray, grown: np.ndarray | None, place: str) -> np.ndarray:
    """Return the labels of one of `PLACES`; without `grown` the nucleus is all that there is.

    Raises
    ------
    ParamsError
        Another place than the nucleus is asked for, and nothing was grown.
    """
    if place == NUCLEUS:
        return labels
    if grown is None:
        raise ParamsError(f"There is no {place} while nuclei are not grown. Give a distance, such as --grow 3um.")
    return grown if place == CELL else np.where(labels > 0, 0, grown)


def cell_means(part: np.ndarray, plane: np.ndarray, ids: np.ndarray, above: float | None = None) -> np.ndarray:
    """Return the mean brightness of each cell in a compartment, or its share of pixels above a level.

    Parameters
    ----------
    part : numpy.ndarray
        Labels of the compartment, (Y, X).
    plane : numpy.ndarray
        Raw image, (Y, X).
    ids : numpy.ndarray
        Cells to measure, ascending.
    above : float, optional
        The level.

    Returns
    -------
    numpy.ndarray
        float64, one per id. NaN and infinite pixels are skipped; a cell without a finite pixel there has NaN.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    if part.shape != plane.shape:
        raise ValueError(f"labels have shape {part.shape} but the image has {plane.shape}.")
    inside = np.flatnonzero(part)
    found, cell = number_ids(part.ravel()[inside])
    values = plane.ravel()[inside].astype(np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        values, cell = values[finite], cell[finite]
    values = values if above is None else (values > above).astype(np.float64)
    n = np.bincount(cell, minlength=len(found))
    sums = np.bincount(cell, weights=values, minlength=len(found))
    means = np.divide(sums, n, out=np.full(len(found), np.nan), where=n > 0)
    place = np.searchsorted(found, ids).clip(max=max(len(found) - 1, 0))
    return np.where(found[place] == ids, means[place], np.nan) if len(found) else np.full(len(ids), np.nan)
