"""Cells in files of other programs that are no label image: ImageJ ROIs, QuPath's GeoJSON, COCO, NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...damage import DAMAGE
from ...errors import ImageError
from ..packed.zip_entries import opened_zip, read_entry
from ..pictures.arrays import read_npy
from ..values.json_file import read_json
from .coco_masks import cells_of_coco
from .outlines import Rings, fill_outlines

ROI_SUFFIXES = (".zip", ".roi")
GEOJSON_SUFFIXES = (".geojson", ".json")
CELL_SUFFIXES = (*ROI_SUFFIXES, *GEOJSON_SUFFIXES, ".npy")
# ROIs of ImageJ have some bytes a corner.
_LARGEST_ROI = 1 << 22
_NUMPY = b"\x93NUMPY"


def read_cells(path: Path, shape: tuple[int, int], image: str = "") -> np.ndarray:
    """Read the cells of an image from a file whose name ends in one of `CELL_SUFFIXES`.

    Parameters
    ----------
    path : Path
        A zip of ImageJ ROIs or one ROI; GeoJSON with polygons, as QuPath exports it; a COCO file; or a ``.npy`` of
        labels.
    shape : tuple of int
        (Y, X) of the image.
    image : str
        Name of the image, by which it is found in a COCO file of several.

    Returns
    -------
    ndarray of int32
        ``(Y, X)``, 0 = background. Of outlines, each is one cell in the order of the file; a pixel belongs to a cell
        if its centre lies inside, and to the first of cells that overlap.

    Raises
    ------
    ImageError
        The file cannot be read, holds other things than cells, or does not belong to an image of this size.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            return _array(path, shape)
        if suffix in ROI_SUFFIXES:
            return fill_outlines((rings for _, rings in outlines_of(path)), shape, path)
        content = read_json(path, None)
        if isinstance(content, dict) and "annotations" in content:
            return cells_of_coco(content, shape, path, image)
        return fill_outlines((rings for _, rings in _of_geojson(content, path)), shape, path)
    except DAMAGE as error:
        raise ImageError(f"{path} cannot be read as cells ({error}). Export it again.") from error


def outlines_of(path: Path) -> Iterator[tuple[str, Rings]]:
    """Yield the outlines in a file of `ROI_SUFFIXES` or `GEOJSON_SUFFIXES`, with their names.

    Of GeoJSON the name of the object, or of its class in QuPath; empty where there is none.

    Raises
    ------
    ImageError, or one of DAMAGE
        The file cannot be read, or holds lines or points.
    """
    return _of_rois(path) if path.suffix.lower() in ROI_SUFFIXES else _of_geojson(read_json(path, None), path)


def _of_rois(path: Path) -> Iterator[tuple[str, Rings]]:
    from roifile import ROI_TYPE, ImagejRoi

    if path.suffix.lower() == ".zip":
        with opened_zip(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(".roi")]
            contents = [read_entry(archive, name, _LARGEST_ROI) for name in names]
    else:
        contents = [path.read_bytes()]
    rois = [ImagejRoi.frombytes(content) for content in contents]
    planes = {(roi.position, roi.z_position, roi.t_position) for roi in rois} - {(0, 0, 0)}
    if len(planes) > 1:
        raise ImageError(f"{path} holds ROIs of {len(planes)} slices or frames. Save those of one plane in a file.")
    lines = (ROI_TYPE.LINE, ROI_TYPE.FREELINE, ROI_TYPE.POLYLINE, ROI_TYPE.ANGLE, ROI_TYPE.POINT, ROI_TYPE.NOROI)
    for roi in rois:
        if roi.roitype in lines:
            raise ImageError(
                f"{path}: the ROI {roi.name!r} is a line or a point, not the outline of a cell: remove it."
            )
        yield roi.name or "", [np.asarray(ring, np.float64)[:, ::-1] for ring in roi.coordinates(multi=True)]


def _of_geojson(content: Any, path: Path) -> Iterator[tuple[str, Rings]]:
    features = content if isinstance(content, list) else content.get("features", [content])
    for feature in features:
        geometry = feature["geometry"]
        polygons = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}
        if geometry["type"] not in polygons:
            raise ImageError(f"{path} holds a {geometry['type']}, which is not the outline of a cell. Remove it.")
        about = feature.get("properties") or {}
        name = about.get("name") or (about.get("classification") or {}).get("name") or ""
        rings = [np.array(ring, np.float64)[:, 1::-1] for polygon in polygons[geometry["type"]] for ring in polygon]
        yield str(name), rings


def _array(path: Path, shape: tuple[int, int]) -> np.ndarray:
    with path.open("rb") as file:
        if file.read(len(_NUMPY)) != _NUMPY:
            raise ValueError("it is no array of NumPy")
    try:
        values = read_npy(path, 1)
    except ImageError as error:
        if "pickle" not in str(error):
            raise
        raise ImageError(
            f"{path} holds Python objects, which may run a program when they are read, so it is refused. If it is "
            "Cellpose's _seg.npy, save the masks in Cellpose as PNG or TIFF (File > Save masks), which gives "
            "_cp_masks.png or _cp_masks.tif."
        ) from error
    if values.dtype.kind not in "bui" or values.shape != tuple(shape):
        raise ImageError(
            f"{path} holds {values.dtype} of {' x '.join(map(str, values.shape))}, and labels of the image would be "
            f"whole numbers of {shape[0]} x {shape[1]}. Choose the file of this image."
        )
    return np.array(values, np.int32)
