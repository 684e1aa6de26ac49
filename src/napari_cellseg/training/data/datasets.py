"""Images with known cells from files, and their split into training and validation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from ...imaging.errors import CellsegError
from ...imaging.progress import Progress, drain
from .layouts import LABEL_FOLDERS, REVIEWED_FOLDER
from .loading import iter_load
from .sample import IMAGE_SUFFIXES, Sample, files_by_stem, read_pair

__all__ = [
    "IMAGE_SUFFIXES",
    "LABEL_FOLDERS",
    "REVIEWED_FOLDER",
    "Sample",
    "files_by_stem",
    "iter_dataset",
    "read_dataset",
    "read_pair",
    "split_by_group",
]


def read_dataset(path: str | Path, groups: str | Path | None = None) -> list[Sample]:
    """Read every sample of a dataset; see :func:`iter_dataset`."""
    return drain(iter_dataset(path, groups))


def iter_dataset(
    path: str | Path, groups: str | Path | None = None, masks: str | Path | None = None, classes: bool = False
) -> Generator[Progress, None, list[Sample]]:
    """Read a dataset image by image, and refuse it where an image cannot be used.

    Parameters, and what is yielded, are those of :func:`napari_cellseg.training.data.loading.iter_load`.

    Returns
    -------
    list of Sample
        Sorted by name.

    Raises
    ------
    DatasetError
        If nothing usable is found, or an image and its labels differ in size.
    """
    loaded = yield from iter_load(path, groups, masks=masks, classes=classes, strict=True)
    return list(loaded.samples)


def split_by_group(
    samples: Sequence[Sample], fraction: float = 0.1, seed: int = 0
) -> tuple[list[Sample], list[Sample]]:
    """Split samples into training and validation, kind by kind, never inside a group.

    Parameters
    ----------
    samples : sequence of Sample
    fraction : float
        Part of each kind's images that goes to validation, 0 to below 1. A kind of two groups or more gives at
        least one group (when `fraction` is above 0) and always keeps one.
    seed : int
        Seed of the shuffle; the same samples and seed give the same split.

    Returns
    -------
    training, validation : list of Sample
    """
    if not 0 <= fraction < 1:
        raise CellsegError(f"The validation fraction is {fraction}; it must be at least 0 and below 1.")
    if seed < 0:
        raise CellsegError(f"The seed is {seed}; it must be 0 or more.")
    rng = np.random.default_rng(seed)
    held_out: set[tuple[str, str]] = set()
    for kind in sorted({s.kind for s in samples}):
        sizes: dict[str, int] = defaultdict(int)
        for sample in samples:
            if sample.kind == kind:
                sizes[sample.group] += 1
        wanted, taken = fraction * sum(sizes.values()), 0
        order = [sorted(sizes)[i] for i in rng.permutation(len(sizes))]
        for group in order[:-1]:
            if taken >= wanted:
                break
            held_out.add((kind, group))
            taken += sizes[group]
    training = [s for s in samples if (s.kind, s.group) not in held_out]
    validation = [s for s in samples if (s.kind, s.group) in held_out]
    return training, validation
