"""The outputs that can be saved of a segmented image, and the function that writes them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.errors import ParamsError
from ..imaging.read.finding import GROWN_SUFFIX
from ..imaging.write.write import write_labels
from ..instances.measure import intensity_columns, shape_columns
from ..segmentation.recipe import Recipe
from ..segmentation.segmented import SegmentResult
from .formats.arrow import check_installed
from .formats.geojson import write_geojson
from .formats.probability import write_probability
from .formats.rle import image_ids, rle_rows
from .formats.rois import fits_rois, write_rois
from .overlay import thumbnail, write_overlay, write_thumbnail
from .place import Place

HERE = Place()

__all__ = [
    "CELL_TABLES",
    "OUTPUTS",
    "Output",
    "cells_table",
    "check_outputs",
    "image_ids",
    "output_path",
    "rle_rows",
    "thumbnail",
    "write_outputs",
    "write_thumbnail",
]


@dataclass(frozen=True)
class Output:
    """One kind of output.

    Parameters
    ----------
    name : str
        Name in recipes and on the command line.
    label : str
        Name in the window.
    help : str
    suffix : str
        What follows the image's stem in the file name; for a combined one the whole file name. Empty for what lies
        elsewhere.
    default : bool
        Whether it is ticked until the user chooses.
    combined : bool
        One file for all images of a folder, not one per image.
    seldom : bool
        Whether the window shows it among what is rarely needed.
    """

    name: str
    label: str
    help: str
    suffix: str
    default: bool = False
    combined: bool = False
    seldom: bool = False

    @property
    def is_file(self) -> bool:
        """Whether every image gets a file of its own beside its labels."""
        return bool(self.suffix) and not self.combined


OUTPUTS: dict[str, Output] = {
    output.name: output
    for output in (
        Output("labels", "Labels", "a TIFF in which every cell has a number of its own", "_labels.tif", default=True),
        Output(
            "cells", "Table of cells", "cells.csv: size, shape and brightness of every cell", "cells.csv", True, True
        ),
        Output(
            "overlay", "Pictures with outlines", "a PNG of each image with the outlines of its cells", "_overlay.png"
        ),
        Output("rois", "ImageJ ROIs", "a zip of outlines for the ROI Manager of ImageJ and Fiji", "_rois.zip"),
        Output("geojson", "QuPath outlines", "a GeoJSON file that QuPath imports as detections", "_outlines.geojson"),
        Output("probability", "Probability", "a TIFF of how sure the model is of every pixel", "_probability.tif"),
        Output(
            "rle",
            "Pixels of cells",
            "rle.csv: the pixels of every cell as pairs of start and length (run lengths), as Kaggle asks for them",
            "rle.csv",
            False,
            True,
        ),
        Output(
            "submission",
            "Counts alone",
            "submission.csv: two columns, image and count, as Kaggle asks for them",
            "submission.csv",
            False,
            True,
        ),
        Output("parquet", "Table, Parquet", "cells.csv with types and units", "cells.parquet", False, True, True),
        Output(
            "anndata",
            "Table, AnnData",
            "for scanpy and squidpy: intensities as X, shapes as obs, positions as obsm['spatial']",
            "cells.h5ad",
            combined=True,
            seldom=True,
        ),
        Output(
            "inside",
            "Labels in the image",
            "labels and a table of cells in each OME-Zarr image (labels/cells, tables/cells); others are refused",
            "",
            seldom=True,
        ),
    )
}


# All of them are made of one measurement of the cells.
CELL_TABLES = ("cells", "parquet", "anndata")


def check_outputs(names: Collection[str], recipe: Recipe | None = None) -> tuple[str, ...]:
    """Return names of outputs, each once and in the order of `OUTPUTS`.

    Raises
    ------
    ParamsError
        If one is unknown, needs a package that is missing, or can't be made of what the recipe gives.
    """
    unknown = [name for name in names if name not in OUTPUTS]
    if unknown:
        raise ParamsError(f"Unknown outputs: {', '.join(map(repr, unknown))}. Choose from {', '.join(OUTPUTS)}.")
    check_installed(names)
    if recipe is not None and recipe.link == "z" and "rle" in names:
        raise ParamsError(
            "Run lengths (rle) are of single planes, but the recipe links cells over slices. Don't save rle, or link "
            "nothing (--link none)."
        )
    return tuple(name for name in OUTPUTS if name in names)


def output_path(name: str, stem: Path) -> Path:
    """Return the path of an image's own output: ``<stem><suffix>``."""
    return stem.parent / (stem.name + OUTPUTS[name].suffix)


def grown_path(stem: Path) -> Path:
    """Return the path of the labels of an image's grown nuclei."""
    return stem.parent / f"{stem.name}{GROWN_SUFFIX}"


def write_outputs(
    names: Collection[str],
    result: SegmentResult,
    plane: np.ndarray,
    stem: Path,
    *,
    pixel_size: tuple[float, float] | None = None,
    channels: Mapping[str, np.ndarray] | None = None,
    place: Place = HERE,
) -> dict[str, Path]:
    """Write the files of one image; each appears whole or not at all.

    Parameters
    ----------
    names : collection of str
        Of `OUTPUTS`. Combined ones (`cells`, `rle`, `submission`) belong to all images of a folder, and `inside` to the
        image itself: they are skipped, see `save.save_result`.
    result : SegmentResult
    plane : ndarray
        ``(Y, X)`` or ``(Y, X, 3)``, raw.
    stem : Path
        Folder and beginning of the file names: ``out/A01`` gives ``out/A01_labels.tif``.
    pixel_size : tuple of float, optional
        Height and width of a pixel in micrometres.
    channels : mapping of str to ndarray, optional
        All channels of the image, ``(Y, X)`` each; cells in GeoJSON carry their brightness in each.
    place : Place, optional
        Outlines of a part are also written as they lie in the whole image: ``<stem>_rois_whole.zip`` (where the
        format can hold it) and ``<stem>_outlines_whole.geojson``.

    Returns
    -------
    dict of str to Path
        The files by name of output. Where nuclei were grown, `grown` is their label image, ``<stem>_grown.tif``.

    Raises
    ------
    ParamsError
        If a name is unknown.
    OutputError
        If the system refused to write, or the image is too large for the format.
    """
    table: dict[str, np.ndarray] | None = None

    def cells() -> dict[str, np.ndarray]:
        nonlocal table
        table = table or place.in_whole(cells_table(result, plane, channels, pixel_size))
        return table

    def geojson(path: Path) -> None:
        write_geojson(path, result.labels, cells(), result.metadata)
        if place.offset_yx is not None:
            write_geojson(in_whole_name(path), result.labels, cells(), result.metadata, place.offset_yx)

    writers: dict[str, Callable[[Path], Any]] = {
        "labels": lambda path: write_labels(path, result.labels, metadata=result.metadata, pixel_size=pixel_size),
        "overlay": lambda path: write_overlay(path, plane, result.labels),
        "rois": lambda path: _write_rois(path, result.labels, place),
        "geojson": geojson,
        "probability": lambda path: write_probability(path, result.probability, result.metadata, pixel_size),
    }
    paths = {}
    for name in check_outputs(names):
        if OUTPUTS[name].is_file:
            paths[name] = output_path(name, stem)
            writers[name](paths[name])
    return {**paths, **write_grown(result, stem, pixel_size)}


def write_grown(result: SegmentResult, stem: Path, pixel_size: tuple[float, float] | None) -> dict[str, Path]:
    """Write the labels of the grown nuclei, where there are any; return the file by its name."""
    grown, path = result.counted.grown, grown_path(stem)
    if grown is None:
        return {}
    write_labels(path, grown, metadata=result.metadata, pixel_size=pixel_size)
    return {"grown": path}


def _write_rois(path: Path, labels: np.ndarray, place: Place) -> None:
    write = partial(write_rois, labels=labels, plane=place.plane, top_id=place.top_id)
    write(path)
    if place.offset_yx is not None and fits_rois(labels.shape, place.offset_yx):
        write(in_whole_name(path), offset_yx=place.offset_yx)


def in_whole_name(path: Path) -> Path:
    """Return the path of the file with the positions in the whole image, beside that of a part."""
    return path.with_stem(f"{path.stem}_whole")


def cells_table(
    result: SegmentResult,
    plane: np.ndarray,
    channels: Mapping[str, np.ndarray] | None = None,
    pixel_size: tuple[float, float] | None = None,
) -> dict[str, np.ndarray]:
    """Measure cells in full: what ``cells.csv`` holds, one entry per cell in every column.

    Parameters
    ----------
    result : SegmentResult
    plane : ndarray
        ``(Y, X)`` or ``(Y, X, 3)``, raw; the channels where `channels` is None.
    channels : mapping of str to ndarray, optional
        Names of the channels and their planes, ``(Y, X)`` each.
    pixel_size : tuple of float, optional
        Height and width of a pixel in micrometres.

    Returns
    -------
    dict of str to ndarray
        The columns of `result.table`, then those of `shape_columns` and `intensity_columns`.
    """
    channels = plane_channels(plane) if channels is None else channels
    table = dict(result.table)
    table.update(shape_columns(result.labels, pixel_size))
    table.update(intensity_columns(result.labels, channels))
    return table


def plane_channels(plane: np.ndarray) -> dict[str, np.ndarray]:
    """Return the colours of a plane by name; a grey one has one channel without a name."""
    colors = ("red", "green", "blue")
    return {"": plane} if plane.ndim == 2 else {name: plane[..., i] for i, name in enumerate(colors)}
