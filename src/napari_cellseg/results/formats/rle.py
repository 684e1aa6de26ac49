"""Cells as run lengths, as in the Kaggle Data Science Bowl 2018: down the columns, counted from 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np


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
