"""Cells in the annotations of a COCO file: polygons and run lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ...errors import ImageError
from .outlines import fill_outlines

# A run length is less than the number of pixels: a few signs of 5 bits.
_LONGEST_SHIFT = 60


def cells_of_coco(values: Mapping[str, Any], shape: tuple[int, int], path: Path, image: str) -> np.ndarray:
    """Return the cells of one image, int32 ``(Y, X)``; what is marked as a crowd is no cell.

    Parameters
    ----------
    values : mapping
        Of the file `path`.
    shape : tuple of int
    path : Path
    image : str
        Name of the image, by which it is found among several.

    Raises
    ------
    ImageError
        The file holds no such image, or no cell of it.
    """
    entries = {str(entry["file_name"]): entry["id"] for entry in values["images"]}
    stem = PurePosixPath(image.replace("\\", "/")).stem
    found = [name for name in entries if len(entries) == 1 or (stem and PurePosixPath(name).stem == stem)]
    if len(found) != 1:
        n = "no image" if not found else f"{len(found)} images"
        raise ImageError(
            f"{path} holds {n} called {stem or 'like this one'}, among {len(entries)}. Name the image as the file does."
        )
    labels, number = np.zeros(shape, np.int32), 0
    for annotation in values["annotations"]:
        if annotation["image_id"] == entries[found[0]] and not annotation.get("iscrowd"):
            number += 1
            labels[mask_of(annotation["segmentation"], shape, path) & (labels == 0)] = number
    if not number:
        raise ImageError(f"{path} holds no cell of {found[0]}. Export its annotations as polygons or run lengths.")
    return labels


def mask_of(segmentation: Any, shape: tuple[int, int], path: Path) -> np.ndarray:
    """Return the pixels of one annotation, bool ``(Y, X)``."""
    if isinstance(segmentation, Mapping):
        if tuple(segmentation["size"]) != shape:
            raise ValueError(f"its size is {segmentation['size']}")
        counts = segmentation["counts"]
        return _of_run_lengths(_decompressed(counts) if isinstance(counts, str) else counts, shape)
    mask = np.zeros(shape, bool)
    for numbers in segmentation:
        # Pieces of one cell; COCO has no holes.
        mask |= fill_outlines([[np.array(numbers, float).reshape(-1, 2)[:, ::-1]]], shape, path) > 0
    return mask


def _of_run_lengths(counts: Sequence[int], shape: tuple[int, int]) -> np.ndarray:
    """Return the mask of lengths that alternate between outside and inside, down the columns."""
    lengths = np.asarray(counts, np.int64)
    # Compared as Python's numbers, which are never too large; else any memory could be asked for.
    if lengths.ndim != 1 or lengths.min(initial=0) < 0 or sum(lengths.tolist()) != shape[0] * shape[1]:
        raise ValueError("its run lengths do not cover the image once")
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(shape[::-1]).T


def _decompressed(text: str) -> list[int]:
    """Return the run lengths of COCO's compressed text: numbers of 5 bits a sign, each less the one two before."""
    counts: list[int] = []
    place = 0
    while place < len(text):
        number, shift, more = 0, 0, True
        while more:
            bits = ord(text[place]) - 48
            number |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            place += 1
            shift += 5
            if shift > _LONGEST_SHIFT:
                raise ValueError("a run length is far too long")
        if bits & 0x10:
            number -= 1 << shift
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
    return counts
