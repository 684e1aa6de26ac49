"""Images with cells in a COCO file: one JSON for all images, with polygons or run lengths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...imaging.damage import DAMAGE
from ...imaging.errors import DatasetError
from ...imaging.read.cells.coco_masks import mask_of
from ...imaging.read.read import read_image
from ...imaging.read.values.json_file import read_values
from .masks import LABELS, Mask
from .sample import Sample

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
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DatasetError(
                f"{self.path} names the image {name!r}, which lies elsewhere. Put the images beside the file."
            )
        file = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if file is None:
            raise DatasetError(f"{name} is not in {folders[0]} or its folder images. Put the images there.")
        image = read_image(file).plane()
        shape = (int(image.shape[0]), int(image.shape[1]))
        labels, reviewed = np.zeros(shape, np.int32), np.ones(shape, bool)
        for i, annotation in enumerate(self._annotations[self._images[name]], start=1):
            try:
                mask = mask_of(annotation["segmentation"], shape, self.path)
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
