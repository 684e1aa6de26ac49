"""The files of a training set's entry: checked before they are written, written elsewhere before they count."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ...imaging.errors import DatasetError
from ...imaging.from_array import as_image
from ...imaging.read.values.json_file import read_values
from ...imaging.write.atomic import atomic_path
from ...imaging.write.write import write_json, write_labels
from .layouts import REVIEWED_FOLDER
from .replacing import staged

IMAGES, LABELS, PROVENANCE = "images", "labels", "provenance"


def check_fit(name: str, image: np.ndarray, labels: np.ndarray, reviewed: np.ndarray | None) -> None:
    """Check that an image, its labels and its reviewed area are of one shape, and that something is reviewed."""
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise DatasetError(f"{name}: an image to train on is (Y, X) or (Y, X, 3), but this one is {image.shape}.")
    for what, values in (("labels", labels), ("reviewed area", reviewed)):
        if values is not None and values.shape != image.shape[:2]:
            raise DatasetError(
                f"{name}: the {what} {'are' if what == 'labels' else 'is'} {values.shape} pixels but the image is "
                f"{image.shape[:2]}. Give both for the same image."
            )
    if reviewed is not None and not reviewed.any():
        raise DatasetError(
            f"Nothing of {name} is reviewed, so there is nothing to learn from it. "
            "Correct or accept cells, or mark an area as reviewed."
        )


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """Return a name that files can have everywhere, with a number where it is taken."""
    # Windows allows none of these signs, nor a dot or blank at the end.
    base = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", wanted).strip(" .")[:120].strip(" .") or "image"
    folded = {name.casefold() for name in taken}
    name, i = base, 1
    while name.casefold() in folded:
        i += 1
        name = f"{base} {i}"
    return name


def write_files(
    root: Path,
    name: str,
    image: np.ndarray,
    labels: np.ndarray,
    reviewed: np.ndarray,
    record: Mapping[str, Any],
    pixel_size: tuple[float, float] | None,
) -> set[Path]:
    """Write the files of an entry, in the place of those that have their names; returns where they are.

    Raises
    ------
    OutputError
        If the folder cannot be written to; what was there is untouched.
    """
    # Everything is written elsewhere first: a full disk must not leave new labels beside an old reviewed area.
    # One rename then makes them the entry.
    with staged(root) as stage:
        write_plane(stage / IMAGES / f"{name}.tif", image, pixel_size)
        write_plane(stage / REVIEWED_FOLDER / f"{name}.tif", reviewed.astype(np.uint8) * 255, pixel_size)
        write_json(stage / PROVENANCE / f"{name}.json", dict(record))
        write_labels(stage / LABELS / f"{name}.tif", labels, metadata=record, pixel_size=pixel_size)
    return {root / folder / f"{name}.tif" for folder in (IMAGES, REVIEWED_FOLDER, LABELS)}


def raw_plane(image: np.ndarray) -> np.ndarray:
    """Return a plane as it comes back from a file: grey where its colours are equal."""
    return as_image(image, "YXC"[: image.ndim], rgb=image.ndim == 3).plane()


def plane_sha256(plane: np.ndarray) -> str:
    """Hash of the values of a plane."""
    return as_image(plane, "YXC"[: plane.ndim], rgb=plane.ndim == 3).content_hash()


def write_plane(path: Path, image: np.ndarray, pixel_size: tuple[float, float] | None) -> None:
    """Write ``(Y, X)`` or ``(Y, X, 3)`` values as a compressed TIFF."""
    options: dict[str, Any] = {}
    if pixel_size is not None:
        options = {"resolution": tuple(1e4 / size for size in reversed(pixel_size)), "resolutionunit": "CENTIMETER"}
    photometric = "rgb" if image.ndim == 3 else "minisblack"
    with atomic_path(path) as temporary:
        tifffile.imwrite(temporary, image, photometric=photometric, compression="zlib", metadata=None, **options)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds values by name."""
    return read_values(path, DatasetError, "Put back the file as it was, or remove it.")
