"""Cells as a zip of outlines for the ROI Manager of ImageJ and Fiji."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from roifile import ROI_TYPE, ImagejRoi

from ...imaging.errors import OutputError
from ...imaging.write.atomic import atomic_path
from ...instances.outlines import Outline, outlines

# The ROI format holds corners as 16 bits, of which ImageJ takes the highest for negative ones.
LARGEST = 60535
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def write_rois(path: Path, labels: np.ndarray) -> None:
    """Write the outline of every cell as an ImageJ ROI, named by the cell's id.

    The outlines run along the edges of pixels, as those of ImageJ's wand do: filled again they are the same cells.

    Parameters
    ----------
    path : Path
    labels : ndarray
        ``(Y, X)``, whole numbers, 0 = background.

    Raises
    ------
    OutputError
        If the image is too large for the format, or the system refused to write.
    """
    if max(labels.shape) > LARGEST:
        height, width = labels.shape
        raise OutputError(
            f"{path} was not written: the image has {height} x {width} pixels, but ImageJ's ROI files hold up to "
            f"{LARGEST}. Save GeoJSON instead, or cut the image."
        )
    cells = outlines(labels)
    digits = len(str(cells[-1].id)) if cells else 1
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for cell in cells:
            name = f"cell_{cell.id:0{digits}d}"
            # A date would make every file another one.
            entry = zipfile.ZipInfo(f"{name}.roi", _LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, roi_of(cell, name).tobytes())


def roi_of(cell: Outline, name: str) -> ImagejRoi:
    """Return an outline as an ImageJ ROI: a traced one, or a composite of its parts and holes."""
    rings = [ring for part in cell.parts for ring in part]
    corners = np.concatenate(rings)
    (top, left), (bottom, right) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    roi = ImagejRoi(name=name, top=top, left=left, bottom=bottom, right=right)
    if len(rings) == 1:
        roi.roitype = ROI_TYPE.TRACED
        roi.integer_coordinates = (corners - (top, left))[:, ::-1].astype(np.int32)
        roi.n_coordinates = len(corners)
        return roi
    roi.roitype = ROI_TYPE.RECT
    path: list[float] = []
    for ring in rings:
        for i, (y, x) in enumerate(ring.tolist()):
            path += (_LINE if i else _MOVE, x, y)
        path.append(_CLOSE)
    roi.multi_coordinates = np.array(path, np.float32)
    roi.shape_roi_size = len(path)
    return roi
