"""Read what a fine-tune learns from: a training set, or any dataset of images with masks."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from ...imaging.errors import DatasetError
from ...imaging.progress import Note, relay
from ..events import Phase
from .datasets import iter_dataset
from .sample import Sample
from .training_set import TrainingSet


def iter_training_images(
    path: Path, masks: Path | None = None, classes: bool = False
) -> Generator[Note | Phase, None, list[Sample]]:
    """Read the images of a training set; an entry that cannot be used is named and skipped.

    Parameters
    ----------
    path : Path
        Folder of a training set, or a dataset as :func:`napari_cellseg.training.data.loading.iter_load` reads it, of
        which no image is skipped.
    masks : Path, optional
        The folder of masks, where `path` is the folder of images.
    classes : bool
        Each connected piece of one value of a mask is a cell.

    Yields
    ------
    Note or Phase

    Returns
    -------
    list of Sample

    Raises
    ------
    DatasetError
        If there is no image to learn from.
    """
    if classes or masks is not None or not ((path / "images").is_dir() and (path / "labels").is_dir()):
        return (
            yield from relay(
                iter_dataset(path, masks=masks, classes=classes), lambda p: Phase("reading", p.done, p.total)
            )
        )
    opened = TrainingSet.open(path)
    names, found = opened.names(), []
    for i, name in enumerate(names):
        yield Phase("reading", i, len(names))
        try:
            sample = opened.read(name)
        except DatasetError as error:
            yield Note(f"Skipped: {error}")
            continue
        if sample.reviewed is not None and not sample.reviewed.any():
            yield Note(f"Skipped: nothing of {name} is reviewed.")
            continue
        found.append(sample)
    if not found:
        raise DatasetError(
            f"The training set {path} has no image that can be learned from ({len(names)} in all). "
            "Add images, with something reviewed in each."
        )
    return found
