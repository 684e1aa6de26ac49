"""One image with its known cells; files of images by their names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...imaging.errors import DatasetError
from ...imaging.read.read import read_image
from ...imaging.write.write import read_labels

# Tables by id, as targets and sizes take them, are as long as the highest one: beyond this it is no number of a cell.
MAX_ID = 1_000_000
IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")


@dataclass(frozen=True, eq=False)
class Sample:
    """One image with its known cells.

    Parameters
    ----------
    name : str
        Identifier, unique within a dataset.
    image : ndarray
        ``(Y, X)`` or ``(Y, X, 3)``, raw values.
    labels : ndarray of int32
        ``(Y, X)``, 0 is background, each cell has its own id.
    kind, group : str
        Kind of image (``fluorescence``, ``histology``, ...) and the field of view it was cut from; may be empty.
    reviewed : ndarray of bool, optional
        ``(Y, X)``, where the labels were reviewed, background included; None is everywhere.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray
    kind: str = ""
    group: str = ""
    reviewed: np.ndarray | None = None


def files_by_stem(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by their names without suffix; nothing for a folder that is not there."""
    if not folder.is_dir():
        return {}
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES and p.name[0] != "."}


def read_pair(name: str, image_path: Path, label_path: Path, reviewed_path: Path | None) -> Sample:
    """Read an image, its labels and its reviewed area (None: all of it) and check that they fit.

    Labels come back with their ids, or with ids from 1 on where one is above `MAX_ID`.
    """
    image = read_image(image_path).plane()
    ids = read_labels(label_path)
    if ids.shape != image.shape[:2]:
        raise DatasetError(
            f"Labels {label_path} are {ids.shape} pixels but {image_path} is {image.shape[:2]}. "
            "Replace one of them, or remove both."
        )
    reviewed = None
    if reviewed_path is not None:
        values = read_image(reviewed_path).plane()
        reviewed = np.any(values > 0, axis=-1) if values.ndim == 3 else values > 0
        if reviewed.shape != ids.shape:
            raise DatasetError(
                f"The reviewed area {reviewed_path} is {reviewed.shape} pixels but {image_path} is {ids.shape}. "
                "Replace it, or remove it if all of the image was reviewed."
            )
    return Sample(name, image, _without_gaps(ids).astype(np.int32), reviewed=reviewed)


def _without_gaps(ids: np.ndarray) -> np.ndarray:
    if ids.max(initial=0) <= MAX_ID:
        return ids
    known, inverse = np.unique(ids, return_inverse=True)
    return inverse.reshape(ids.shape) + (0 if known[0] == 0 else 1)
