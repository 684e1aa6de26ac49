"""Cells as run lengths, as in the Kaggle Data Science Bowl 2018: down the columns, counted from 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from ...imaging.errors import ImageError


def rle_encode(mask: np.ndarray) -> str:
    """Write the pixels of one cell as ``start length start length ...``.

    Parameters
    ----------
    mask : ndarray of bool
        ``(Y, X)``. Pixels are numbered from 1, from top to bottom and then from left to right.
    """
    return rle_rows(mask.astype(bool))[0]


def rle_rows(labels: np.ndarray) -> list[str]:
    """Encode every cell of a label image.

    Parameters
    ----------
    labels : ndarray
        ``(Y, X)``, whole numbers or bool, 0 = background.

    Returns
    -------
    list of str
        One per cell, in the order of rising ids; a single empty one where there is no cell, for every image must have
        a row.
    """
    flat = labels.T.ravel()
    if not flat.size:
        return [""]
    begins = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(begins, append=flat.size)
    ids = flat[begins]
    order = np.argsort(ids, kind="stable")
    order = order[ids[order] > 0]
    if not order.size:
        return [""]
    pairs = np.stack([begins[order] + 1, lengths[order]], axis=1)
    cuts = np.flatnonzero(np.diff(ids[order].astype(np.int64))) + 1
    return [" ".join(map(str, runs.ravel().tolist())) for runs in np.split(pairs, cuts)]


def rle_decode(text: str, shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels that run lengths stand for.

    Parameters
    ----------
    text : str
    shape : tuple of int
        (Y, X).

    Returns
    -------
    ndarray of bool

    Raises
    ------
    ImageError
        If the text is not of whole pairs of numbers, or does not fit into the image.
    """
    try:
        numbers = np.array([int(word) for word in text.split()], dtype=np.int64)
        begins, lengths = numbers.reshape(-1, 2).T - np.array([[1], [0]])
    except (ValueError, OverflowError) as error:
        raise ImageError(f"{_short(text)} are no run lengths: they come in pairs of start and length.") from error
    height, width = shape
    if numbers.size and (begins.min() < 0 or lengths.min() < 1 or (begins + lengths).max() > height * width):
        raise ImageError(
            f"The run lengths {_short(text)} leave an image of {height} x {width} pixels. "
            "Check that they belong to this image."
        )
    flat = np.zeros(height * width, bool)
    for begin, length in zip(begins.tolist(), lengths.tolist(), strict=True):
        flat[begin : begin + length] = True
    return flat.reshape(width, height).T


def image_ids(names: Sequence[str]) -> list[str]:
    """Return what the column ImageId calls images: the name without folders and suffix, or with its folders where it
    is not the only one.
    """
    paths = [PurePosixPath(name) for name in names]
    stems = Counter(path.stem for path in paths)
    whole = Counter(path.with_suffix("").as_posix() for path in paths)
    found = []
    for path in paths:
        long = path.with_suffix("").as_posix()
        found.append(path.stem if stems[path.stem] == 1 else long if whole[long] == 1 else path.as_posix())
    return found


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}...")
