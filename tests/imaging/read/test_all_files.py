"""Every image file at hand, against the libraries themselves: the same values, or a clear refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image as PillowImage

import napari_cellseg
from napari_cellseg.imaging import CellsegError, read_image

from .samples import DATA

PACKAGES = ("skimage", "napari", "imageio", "scipy", "sklearn", "matplotlib", "dask", "torchvision", "napari_builtins")
SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".svs")
# Without these a change that reads nothing any more would pass.
LEAST_READ = 20


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
