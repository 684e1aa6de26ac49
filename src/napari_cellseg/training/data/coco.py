"""Images with cells in a COCO file: one JSON for all images, with polygons or run lengths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...imaging.damage import DAMAGE
from ...imaging.errors import DatasetError
from ...imaging.read.cell_files import fill_outlines
from ...imaging.read.json_file import read_values
from ...imaging.read.read import read_image
from .masks import LABELS, Mask
from .sample import Sample

# A run length is less than the number of pixels: a few signs of 5 bits.
_LONGEST_SHIFT = 60
_NEXT_STEP = "Give a COCO file with images and annotations."


class Coco:
    """A COCO file.

    Every annotation is a cell, whatever its category. Where an annotation is a crowd (``iscrowd``), its area counts as
    not reviewed.

    Parameters
    ----------
    path : Path
        The images lie beside it, or in a folder ``images`` there, under the names that the file gives.

    Raises
    ------
    DatasetError
        It is no such file.
    """

    def __init__(self, path: Path) -> None:
        values = read_values(path, DatasetError, _NEXT_STEP, largest=None)
        self.path = path
        self._annotations: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
        try:
            self._images = {str(image["file_name"]): image["id"] for image in values["images"]}
            for annotation in values["annotations"]:
                self._annotations[annotation["image_id"]].append(dict(annotation))
            for id_ in self._images.values():
                self._annotations.setdefault(id_, [])
        except KeyError as error:
            raise DatasetError(f"{path} lacks the entry {error}. {_NEXT_STEP}") from error
        except DAMAGE as error:
            raise DatasetError(f"{path} garbles an entry ({error}). {_NEXT_STEP}") from error

    @property
    def names(self) -> list[str]:
        """Names of the images with annotations."""
        return [name for name, id_ in self._images.items() if self._annotations[id_]]

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """Images without an annotation, and why they are skipped."""
        return [(name, "it has no annotation") for name, id_ in self._images.items() if not self._annotations[id_]]

    def read(self, name: str) -> tuple[Sample, Mask]:
        """Read one image and its cells.

        Raises
        ------
        DatasetError
            The image is missing, or an annotation of it is damaged.
        """
        folders = (self.path.parent, self.path.parent / "images")
        file = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if file is None:
            raise DatasetError(f"{name} is not in {folders[0]} or its folder images. Put the images there.")
        image = read_image(file).plane()
        shape = (int(image.shape[0]), int(image.shape[1]))
        labels, reviewed = np.zeros(shape, np.int32), np.ones(shape, bool)
        for i, annotation in enumerate(self._annotations[self._images[name]], start=1):
            try:
                mask = _mask_of(annotation["segmentation"], shape, self.path)
            except DAMAGE as error:
                raise DatasetError(
                    f"{self.path}: annotation {annotation.get('id', i)} of {name} has no polygon or run lengths that "
                    f"fit {shape[0]} x {shape[1]} pixels ({error}). Export it again."
                ) from error
            if annotation.get("iscrowd"):
                reviewed &= ~mask
            else:
                labels[mask & (labels == 0)] = i
        return Sample(name, image, labels, reviewed=None if reviewed.all() else reviewed), Mask(labels, LABELS)


def _mask_of(segmentation: Any, shape: tuple[int, int], path: Path) -> np.ndarray:
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
