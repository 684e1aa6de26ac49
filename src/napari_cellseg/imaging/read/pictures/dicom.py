"""Read one DICOM file, and never its neighbours; needs pydicom."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ImageError
from ...from_array import as_image
from ...image import Image
from ...memory import check_room
from ...scale import is_interval, is_pixel_size
from ..formats import INSTALL
from ..packed.inflating import swells
from ..packed.picture_headers import size_of

SUFFIXES = (".dcm", ".dicom")
HEAD_BYTES, _MARK = 132, b"DICM"
_LENGTH_BYTES, _LARGEST_PACKED = 12, 1 << 29
_UM_PER_MM = 1e3
# Their numbers in TIFF.
_JPEG, _JPEG_2000 = 7, 34712
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422")


def has_mark(head: bytes) -> bool:
    """Whether the first `HEAD_BYTES` of a file are those of DICOM; the bytes before that may be those of a TIFF."""
    return head[HEAD_BYTES - len(_MARK) : HEAD_BYTES] == _MARK


def is_dicom(head: bytes, suffix: str) -> bool:
    """Whether a file is DICOM, by its first `HEAD_BYTES`; a damaged one is known by its suffix alone."""
    return has_mark(head) or suffix in SUFFIXES


def read_dicom(path: Path, axes: str | None) -> Image:
    """Read the image of a DICOM file.

    Parameters
    ----------
    path : Path
    axes : str, optional
        Meaning of the dimensions: frames, rows, columns, colours. By default frames with a frame time are time points,
        and those with a slice distance are slices.

    Returns
    -------
    Image
        Stored values, without a rescaling to physical units; white as 0 is inverted.

    Raises
    ------
    ImageError
        pydicom is missing, the file holds no image, or its kind is not supported.
    ValueError, ...
        Anything else of `damage.DAMAGE`.
    """
    try:
        import pydicom
    except ImportError as error:
        raise ImageError(f"{path} is a DICOM file, which needs: {INSTALL}") from error
    try:
        _check_packed(path, pydicom.filereader.read_file_meta_info(path))
        dataset = pydicom.dcmread(path)
    except pydicom.errors.InvalidDicomError as error:
        raise ImageError(f"{path} is not a whole DICOM file. Copy it again, or save it as TIFF.") from error
    values, file_axes, colour = _values(dataset, path)
    known = {"T": _interval(dataset), "Z": _spacing(dataset)}
    if file_axes.startswith("?"):
        letter = next((letter for letter, step in known.items() if step is not None), None)
        file_axes = "" if letter is None else letter + file_axes[1:]
    return as_image(
        values,
        axes or file_axes or None,
        pixel_size=_pixel_size(dataset),
        rgb=colour if axes is None else None,
        name=path.name,
        source=str(path),
        slice_spacing=known["Z"],
        frame_interval=known["T"],
    )


def _check_packed(path: Path, about: Any) -> None:
    """Raise ImageError for a file that is packed as a whole and holds more than the largest that is read so."""
    kind, length = about.get("TransferSyntaxUID"), about.get("FileMetaInformationGroupLength")
    if kind is None or not kind.is_deflated or length is None:
        return
    start = HEAD_BYTES + _LENGTH_BYTES + int(length)
    with path.open("rb") as file:
        file.seek(start)
        if swells(file, _LARGEST_PACKED):
            raise ImageError(f"{path} unpacks to more than {_LARGEST_PACKED >> 20} MB. Save it without compression.")


def _values(dataset: Any, path: Path) -> tuple[np.ndarray, str, bool]:
    """Values, their axes (``?`` for frames), and whether they are colours."""
    from pydicom.pixels import convert_color_space

    if "PixelData" not in dataset:
        raise ImageError(f"{path} holds no image. Give another file.")
    n_frames, kind = int(dataset.get("NumberOfFrames") or 1), str(dataset.PhotometricInterpretation)
    shape = (n_frames, int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel))
    if int(dataset.get("TotalPixelMatrixRows") or 0) > shape[1]:
        raise ImageError(f"{path} holds the tiles of a slide, which are not supported. Save the slide as TIFF.")
    if kind not in ("MONOCHROME1", "MONOCHROME2", *_COLOURS):
        raise ImageError(f"{path} holds {kind} values, which are not supported. Save it as grey or RGB.")
    check_room(math.prod(shape) * -(-int(dataset.BitsAllocated) // 8), str(path), shape)
    _check_frames(dataset, path, shape[1:3], n_frames)
    values = dataset.pixel_array
    if kind == "MONOCHROME1":
        low, high = (-(1 << dataset.BitsStored - 1), (1 << dataset.BitsStored - 1) - 1)
        values = (low + high if dataset.PixelRepresentation else (1 << dataset.BitsStored) - 1) - values
    elif kind.startswith("YBR"):
        values = convert_color_space(values, kind, "RGB")
    return values, ("?" if n_frames > 1 else "") + ("YXC" if kind in _COLOURS else "YX"), kind in _COLOURS


def _check_frames(dataset: Any, path: Path, sides: tuple[int, int], n_frames: int) -> None:
    """Raise ImageError for a frame that is a picture of more pixels by its own header: a decoder takes their memory."""
    from pydicom.encaps import generate_frames
    from pydicom.uid import JPEG2000TransferSyntaxes, JPEGTransferSyntaxes

    syntax = dataset.file_meta.TransferSyntaxUID
    kinds = {**dict.fromkeys(JPEGTransferSyntaxes, _JPEG), **dict.fromkeys(JPEG2000TransferSyntaxes, _JPEG_2000)}
    if syntax not in kinds:
        return
    for frame in generate_frames(dataset.PixelData, number_of_frames=n_frames):
        height, width = size_of(frame, kinds[syntax])
        if height > sides[0] or width > sides[1]:
            raise ImageError(
                f"{path} cannot be read: a frame of it is a picture of {width} x {height} pixels, and the file "
                f"announces {sides[1]} x {sides[0]}. Give another file."
            )


def _pixel_size(dataset: Any) -> tuple[float, float] | None:
    spacing = _measure(dataset, "PixelSpacing") or _measure(dataset, "ImagerPixelSpacing")
    if spacing is None or len(spacing) != 2:
        return None
    y, x = (float(step) * _UM_PER_MM for step in spacing)
    return (y, x) if is_pixel_size(y) and is_pixel_size(x) else None


def _spacing(dataset: Any) -> float | None:
    given = _measure(dataset, "SpacingBetweenSlices")
    step = abs(float(given)) * _UM_PER_MM if given is not None else None
    return step if step is not None and is_pixel_size(step) else None


def _interval(dataset: Any) -> float | None:
    milliseconds = dataset.get("FrameTime")
    step = float(milliseconds) / 1e3 if milliseconds is not None else None
    return step if step is not None and is_interval(step) else None


def _measure(dataset: Any, name: str) -> Any:
    """An entry of the file itself, or of the measures that all its frames share."""
    if dataset.get(name) is not None:
        return dataset[name].value
    for shared in dataset.get("SharedFunctionalGroupsSequence") or ():
        for measures in shared.get("PixelMeasuresSequence") or ():
            if measures.get(name) is not None:
                return measures[name].value
    return None
