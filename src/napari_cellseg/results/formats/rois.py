"""Cells as a zip of outlines for the ROI Manager of ImageJ and Fiji."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from roifile import ROI_TYPE, ImagejRoi

from ...imaging.errors import OutputError
from ...imaging.stack_planes import StackPlane
from ...imaging.write.atomic import atomic_path
from ...instances.outlines import Outline, outlines

# The ROI format holds corners as 16 bits, of which ImageJ takes the highest for negative ones.
LARGEST = 60535
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def fits_rois(shape: tuple[int, ...], offset_yx: tuple[int, int] = (0, 0)) -> bool:
    """Whether ROI files can hold the corners of an image of this shape, or of a part that begins at an offset."""
    return max(n + offset for n, offset in zip(shape, offset_yx, strict=True)) <= LARGEST


def write_rois(
    path: Path,
    labels: np.ndarray,
    *,
    plane: StackPlane | None = None,
    top_id: int = 0,
    offset_yx: tuple[int, int] = (0, 0),
) -> None:
    """Write the outline of every cell as an ImageJ ROI, named by the cell's id.

    The outlines run along the edges of pixels, as those of ImageJ's wand do: filled again they are the same cells.

    Parameters
    ----------
    path : Path
    labels : ndarray
        ``(Y, X)``, whole numbers, 0 = background.
    plane : StackPlane, optional
        The plane of a stack on which ImageJ is to show them.
    top_id : int
        Highest id of all planes of the stack, so that a cell has one name in all files; 0 takes that of `labels`.
    offset_yx : tuple of int
        Row and column of the first pixel of `labels` in the image on which the outlines are to lie.

    Raises
    ------
    OutputError
        If the image is too large for the format, or the system refused to write.
    """
    if not fits_rois(labels.shape, offset_yx):
        height, width = labels.shape
        raise OutputError(
            f"{path} was not written: the image has {height} x {width} pixels, but ImageJ's ROI files hold up to "
            f"{LARGEST}. Save GeoJSON instead, or cut the image."
        )
    cells = outlines(labels)
    digits = len(str(max(top_id, cells[-1].id if cells else 0)))
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = b"napari-cellseg"
        for cell in cells:
            name = f"cell_{cell.id:0{digits}d}"
            # A date would make every file another one.
            entry = zipfile.ZipInfo(f"{name}.roi", _LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, roi_of(cell.moved(offset_yx), name, plane).tobytes())


def roi_of(cell: Outline, name: str, plane: StackPlane | None = None) -> ImagejRoi:
    """Return an outline as an ImageJ ROI: a traced one, or a composite of its parts and holes."""
    rings = [ring for part in cell.parts for ring in part]
    corners = np.concatenate(rings)
    (top, left), (bottom, right) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    roi = ImagejRoi(name=name, top=top, left=left, bottom=bottom, right=right)
    _put_on(roi, plane)
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


def _put_on(roi: ImagejRoi, plane: StackPlane | None) -> None:
    """Set the plane of a stack on which ImageJ shows a ROI: a slice number, or slice and frame of a hyperstack."""
    index = {} if plane is None else dict(plane.index)
    if len(index) == 1:
        (roi.position,) = (place + 1 for place in index.values())
    elif index:
        roi.t_position, roi.z_position = index["T"] + 1, index["Z"] + 1
