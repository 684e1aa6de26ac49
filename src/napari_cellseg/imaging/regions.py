"""Regions of an image: rows and columns with plain starts and stops."""

from __future__ import annotations

import numpy as np

Region = tuple[slice, slice]


def shape_of(region: Region) -> tuple[int, int]:
    """Shape (Y, X) of a region."""
    rows, columns = region
    return rows.stop - rows.start, columns.stop - columns.start


def whole(shape: tuple[int, int]) -> Region:
    """Region of a whole image."""
    return slice(0, shape[0]), slice(0, shape[1])


def plain_region(region: Region | None, shape: tuple[int, int]) -> Region:
    """Region with plain starts and stops within an image; None is the whole image."""
    if region is None:
        return whole(shape)
    rows, columns = (slice(*part.indices(length)[:2]) for part, length in zip(region, shape, strict=True))
    return slice(rows.start, max(rows.start, rows.stop)), slice(columns.start, max(columns.start, columns.stop))


def is_empty(region: Region) -> bool:
    """Whether a region holds no pixel."""
    return 0 in shape_of(region)


def union(*regions: Region | None) -> Region:
    """Smallest region around all that hold a pixel; an empty one at the corner without any."""
    found = [region for region in regions if region is not None and not is_empty(region)]
    if not found:
        return slice(0, 0), slice(0, 0)
    rows, columns = zip(*found, strict=True)
    return (
        slice(min(part.start for part in rows), max(part.stop for part in rows)),
        slice(min(part.start for part in columns), max(part.stop for part in columns)),
    )


def grown(region: Region, margin: int, shape: tuple[int, int]) -> Region:
    """Region with a margin around it, within an image."""
    rows, columns = region
    return (
        slice(max(0, rows.start - margin), min(shape[0], rows.stop + margin)),
        slice(max(0, columns.start - margin), min(shape[1], columns.stop + margin)),
    )


def within(inner: Region, outer: Region) -> Region:
    """`inner` as seen from the corner of `outer`."""
    return (
        slice(inner[0].start - outer[0].start, inner[0].stop - outer[0].start),
        slice(inner[1].start - outer[1].start, inner[1].stop - outer[1].start),
    )


def box_of_pixels(rows: np.ndarray, columns: np.ndarray) -> Region:
    """Smallest region around some pixels; empty without any."""
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return (
        slice(int(rows.min()), int(rows.max()) + 1),
        slice(int(columns.min()), int(columns.max()) + 1),
    )


def mask_of_pixels(rows: np.ndarray, columns: np.ndarray) -> tuple[Region, np.ndarray]:
    """Smallest region around some pixels, and a bool mask of them in it."""
    region = box_of_pixels(rows, columns)
    mask = np.zeros(shape_of(region), dtype=bool)
    mask[rows - region[0].start, columns - region[1].start] = True
    return region, mask


def common(first: Region, second: Region) -> Region:
    """Return what two regions have in common; it may be empty."""
    rows, columns = (
        slice(max(a.start, b.start), max(a.start, b.start, min(a.stop, b.stop)))
        for a, b in zip(first, second, strict=True)
    )
    return rows, columns
