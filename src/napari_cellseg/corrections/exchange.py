"""Export corrections as a label TIFF, and read them again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.errors import ImageError
from ..imaging.read.cells.cell_files import CELL_SUFFIXES, read_cells
from ..imaging.regions import whole
from ..imaging.stack_planes import position_in_stack
from ..imaging.write.write import read_label_stack, read_labels, read_metadata, write_labels
from .run_lengths import Cell, Runs, known_of
from .view import CellView

KEY = "corrected cells"
# Whose corrections a file holds: revisions by author; see `Corrections.known`.
BY_KEY = "corrections by"
# Of a stack of labels: the record of every corrected plane, by the name of the plane.
PLANES_KEY = "corrected planes"
FORMAT = 1


def export_corrections(
    path: str | os.PathLike[str],
    view: CellView,
    metadata: Mapping[str, Any] | None = None,
    pixel_size: tuple[float, float] | None = None,
) -> None:
    """Write the cells as they are shown, together with the record of the edited ones.

    Any program can read the labels; `read_corrections` restores the corrections.

    Raises
    ------
    OutputError
        The system refused to write.
    """
    with view.corrected.corrections.lock:
        labels, record = view.labels(), record_of(view)
        made_by = view.corrected.corrections.made_by
    about = {"corrected": True, KEY: record, BY_KEY: made_by}
    write_labels(path, labels, metadata={**(metadata or {}), **about}, pixel_size=pixel_size)


def record_of(view: CellView) -> dict[str, Any]:
    """Return what a label image alone does not hold about its corrections, as JSON-able values: its entry `KEY`."""
    corrections = view.corrected.corrections
    with corrections.lock:
        ids = [*corrections.owned_ids.tolist(), *corrections.erased_ids.tolist()]
        cells = {str(id_): corrections.cell(id_).to_dict() for id_ in ids}  # type: ignore[union-attr]
        erased = Runs.from_array(whole(view.shape), np.minimum(corrections.claims(), 0)).to_list()
        marks = Runs.from_array(whole(view.shape), corrections.marks()).to_list() if corrections.has_marks else None
    return {"format": FORMAT, "cells": cells, "erased": erased, "marks": marks}


def read_corrections(
    path: str | os.PathLike[str], shape: tuple[int, int], plane: str = "", image: str = ""
) -> dict[str, Any]:
    """Read the arguments of `import_labels` from a file of `export_corrections`, or all cells of any other file.

    Parameters
    ----------
    path : path-like
        A label image, or a file that :func:`napari_cellseg.imaging.read.cells.cell_files.read_cells` reads.
    shape : tuple of int
        (Y, X) of the image.
    plane : str
        Name of the plane in a stack of labels, such as ``t003``.
    image : str
        Name of the image, by which it is found in a COCO file of several.

    Returns
    -------
    dict
        Keyword arguments of `import_labels`.

    Raises
    ------
    ImageError
        The file is not a label image, has another size, or its corrections are damaged.
    """
    if Path(path).suffix.lower() in CELL_SUFFIXES:
        return {"labels": read_cells(Path(path), shape, image)}
    labels = _plane_of(path, plane) if plane else read_labels(path)
    if labels.shape != tuple(shape):
        raise ImageError(
            f"{path} holds {labels.shape[0]} x {labels.shape[1]} pixels, but the image {shape[0]} x {shape[1]}. "
            "Choose the file that belongs to this image."
        )
    try:
        metadata = read_metadata(path)
        record = metadata.get(PLANES_KEY, {}).get(plane) if plane else metadata.get(KEY)
        about = record if plane else metadata
        known = known_of(about.get(BY_KEY)) if isinstance(about, dict) else {}
    except ImageError:  # labels come as PNG too
        record = None
    if not isinstance(record, dict):
        return {"labels": labels}
    try:
        cells = {int(id_): Cell.from_dict(cell, shape) for id_, cell in record["cells"].items()}
        erased = -Runs.from_list(record["erased"], shape).array()
        marks = None if record["marks"] is None else Runs.from_list(record["marks"], shape).array()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ImageError(
            f"The corrections in {path} are damaged ({error}). Save its labels from another program to import them."
        ) from error
    owned = [id_ for id_, cell in cells.items() if cell.how != "erased"]
    return {"labels": labels, "owned_ids": owned, "erased": erased, "cells": cells, "marks": marks, "known": known}


def _plane_of(path: str | os.PathLike[str], plane: str) -> np.ndarray:
    stack, _ = read_label_stack(path)
    try:
        labels: np.ndarray = stack[position_in_stack(plane)]
    except IndexError as error:
        raise ImageError(f"{path} has no plane {plane}. Choose the file that belongs to this image.") from error
    return labels.astype(np.int32)
