"""Images of one size, cut into windows or resized, once it is known which of them are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from skimage.transform import resize

from ...imaging.errors import CellsegError
from .sample import Sample
from .splitting import Split, apply_split

FITS = ("crop", "resize")


def divide(
    samples: Sequence[Sample], split: Split, size: int | None = None, how: str = "crop"
) -> tuple[list[Sample], list[Sample], list[str]]:
    """Return the samples to learn from and those held out, brought to one size where that is asked for.

    Parameters
    ----------
    samples : sequence of Sample
    split : Split
    size, how :
        As :func:`fit_samples` takes them; without a size images stay as they are.

    Returns
    -------
    training, validation : list of Sample
    notes : list of str
        What does not fit.
    """
    training, validation, notes = apply_split(samples, split)
    if size:
        # After the split: windows of one image must not come to lie on both sides.
        training, more = fit_samples(training, size, how)
        validation, _ = fit_samples(validation, size, how)
        notes += more
    return training, validation, notes


def fit_samples(samples: Sequence[Sample], size: int, how: str = "crop") -> tuple[list[Sample], list[str]]:
    """Bring images to `size` x `size` pixels.

    Parameters
    ----------
    samples : sequence of Sample
    size : int
        Pixels.
    how : {'crop', 'resize'}
        Cut each image into as many windows as fit, around its middle; one that is smaller stays as it is. Or resize
        it, which changes the shape of cells where an image is not square.

    Returns
    -------
    samples : list of Sample
        Windows are called ``NAME_0``, ``NAME_1``, ... and keep the group of their image.
    notes : list of str
    """
    if how not in FITS:
        raise CellsegError(f"Images are made to fit by {' or '.join(FITS)}, not by {how!r}.")
    if size < 16:
        raise CellsegError(f"The size to fit images to is {size} pixels; it must be at least 16.")
    small = sum(min(s.labels.shape) < size for s in samples)
    if how == "resize":
        return [_resized(sample, size) for sample in samples], []
    found = [window for sample in samples for window in _windows(sample, size)]
    notes = [f"{small} image(s) are smaller than {size} x {size} pixels and stay as they are."] if small else []
    return found, [f"{len(samples)} images were cut into {len(found)} of at most {size} x {size} pixels.", *notes]


def _windows(sample: Sample, size: int) -> list[Sample]:
    counts = [max(length // size, 1) for length in sample.labels.shape]
    starts = [max(length - n * size, 0) // 2 for length, n in zip(sample.labels.shape, counts, strict=True)]
    boxes = [
        tuple(slice(start + i * size, start + (i + 1) * size) for start, i in zip(starts, place, strict=True))
        for place in np.ndindex(*counts)
    ]
    name = (lambda i: sample.name) if len(boxes) == 1 else (lambda i: f"{sample.name}_{i}")
    return [
        replace(
            sample,
            name=name(i),
            image=sample.image[box],
            labels=sample.labels[box],
            reviewed=None if sample.reviewed is None else sample.reviewed[box],
        )
        for i, box in enumerate(boxes)
        if sample.reviewed is None or sample.reviewed[box].any()
    ]


def _resized(sample: Sample, size: int) -> Sample:
    if sample.labels.shape == (size, size):
        return sample
    shape = (size, size, *sample.image.shape[2:])
    image = resize(sample.image.astype(np.float32), shape, order=1, preserve_range=True).astype(np.float32)
    exact = {"order": 0, "preserve_range": True, "anti_aliasing": False}
    labels = resize(sample.labels, (size, size), **exact).astype(np.int32)
    reviewed = sample.reviewed
    if reviewed is not None:
        reviewed = resize(reviewed.astype(np.uint8), (size, size), **exact) > 0
    return replace(sample, image=image, labels=labels, reviewed=reviewed)
