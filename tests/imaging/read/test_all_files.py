"""Every image file at hand, against the libraries themselves: the same values, or a clear refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

import napari_cellseg
from napari_cellseg.imaging import AxesError, CellsegError, read_image

from .samples import DATA

PACKAGES = ("skimage", "napari", "imageio", "scipy", "sklearn", "matplotlib", "dask", "torchvision", "napari_builtins")
SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".svs")
# Without these a change that reads nothing any more would pass.
LEAST_READ = 20
LEAST_DICOM = 40


def files_at_hand() -> list[Path]:
    """Image files of the installed packages, and those of the shared data where it is there."""
    installed = Path(tifffile.__file__).parents[1]
    own = Path(napari_cellseg.__file__).parent
    folders = [DATA / "cases", DATA / "formats", own, *(installed / name for name in PACKAGES)]
    return sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def values_of_library(path: Path) -> np.ndarray:
    """Values as tifffile or Pillow gives them, with the rules of docs/reading.md applied by hand."""
    with path.open("rb") as file:
        is_tiff = file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    if not is_tiff:
        with PillowImage.open(path) as picture:
            if picture.mode in ("P", "PA"):
                picture = picture.convert("RGBA" if "transparency" in picture.info or picture.mode == "PA" else "RGB")
            elif picture.mode in ("1", "LA", "CMYK"):
                picture = picture.convert("RGB" if picture.mode == "CMYK" else "L")
            return np.asarray(picture)
    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        values, page = series.asarray(), series.keyframe
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
            values = np.invert(values)
        if page.photometric == tifffile.PHOTOMETRIC.SEPARATED:
            values = np.asarray(PillowImage.fromarray(values, "CMYK").convert("RGB"))
        if page.photometric == tifffile.PHOTOMETRIC.RGB and "S" in series.axes:
            values = np.moveaxis(values, series.axes.index("S"), -1)
    return np.squeeze(values)


def test_every_file_has_the_values_that_its_library_reads():
    read, refused = [], {}
    for path in files_at_hand():
        try:
            image = read_image(path)
        except CellsegError as error:
            refused[path] = str(error)
            continue
        values = np.squeeze(np.asarray(image.data))
        expected = values_of_library(path)
        if image.had_colours:
            assert (expected[..., :3] == expected[..., :1]).all(), path
            expected = expected[..., 0]
        if (values.dtype, expected.dtype) == (np.uint16, np.uint8):
            # Pillow keeps the upper half of 16-bit colours.
            values = values >> 8
        assert values.shape == expected.shape and np.array_equal(values, expected), path
        read.append(path)
    assert len(read) >= LEAST_READ, (len(read), refused)
    for path, words in refused.items():
        assert path.name in words and len(words) < 1000, words
    print(f"{len(read)} files have the values of their library, {len(refused)} were refused")


def test_every_dicom_file_has_the_values_that_pydicom_reads():
    """Those that pydicom ships: compressed, of many frames, signed, in colours, damaged."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.pixels import convert_color_space

    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    read, refused = [], {}
    for path in sorted(folder.glob("*.dcm")):
        try:
            image = read_image(path)
        except AxesError:
            # Frames without a time or a distance are time points or slices only if the user says so.
            image = read_image(path, axes="TYXS" if pydicom.dcmread(path).SamplesPerPixel == 3 else "TYX")
        except CellsegError as error:
            refused[path] = str(error)
            continue
        dataset = pydicom.dcmread(path)
        expected, kind = dataset.pixel_array, dataset.PhotometricInterpretation
        if kind.startswith("YBR"):
            expected = convert_color_space(expected, kind, "RGB")
        if kind == "MONOCHROME1":
            expected = (1 << dataset.BitsStored) - 1 - expected
        if image.had_colours:
            expected = expected[..., 0]
        values = np.asarray(image.data)
        assert values.shape == expected.shape and np.array_equal(values, expected), path
        spacing = dataset.get("PixelSpacing")
        if spacing:
            assert image.pixel_size == pytest.approx([1e3 * float(step) for step in spacing]), path
        read.append(path)
    assert len(read) >= LEAST_DICOM, (len(read), refused)
    for path, words in refused.items():
        assert path.name in words and len(words) < 1000, words
    print(f"{len(read)} DICOM files have the values of pydicom, {len(refused)} were refused")
