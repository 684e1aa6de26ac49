"""Files of microscopes: opening and first plane, and 200 images in one file, against the package that reads them alone.

``python -m tests.benchmarks formats``. Stacks below 64 MB, and TIFF below 1 GB, are read as a whole on both
sides. The real files are measured where the shared data is there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellseg.imaging import find_images, plane_image, planes_of, read_image
from napari_cellseg.imaging.read.microscopes import read as vendor
from tests.benchmarks.harness import Row, median, median_ratio, paired
from tests.imaging.read.microscopes.vendor_files import write_czi, write_lif, write_nd2

# A ratio says nothing where both are over in an instant.
GOAL, SMALL = 1.1, 0.002
SIDE, N_POSITIONS = 1024, 200
_BESIDE = Path(__file__).parents[2] / ".." / "shared" / "data"
DATA = Path(os.environ.get("NAPARI_CELLSEG_TEST_DATA", _BESIDE)) / "formats"


def run() -> list[Row]:
    """Measure every format that can be written, and the real files that are there."""
    real: dict[str, Callable[[Path], object]] = {"cluster.nd2": _nd2_whole, "toxo.dv": _dv_whole}
    real |= dict.fromkeys(("4D-series.ome.tiff", "CMU-1-Small-Region.svs"), _tiff_whole)
    rows = [
        _row(f"{name}: opening, with all values", _whole, alone, DATA / name, 15)
        for name, alone in real.items()
        if (DATA / name).is_file()
    ]
    plane = np.random.default_rng(0).integers(0, 4096, (SIDE, SIDE)).astype(np.uint16)
    values = np.broadcast_to(plane[None, None, :, :, None], (1, N_POSITIONS, SIDE, SIDE, 1))
    names = [f"A{i:03}" for i in range(N_POSITIONS)]
    many: tuple[tuple[str, Callable[[Path], object], Callable[[Path], object]], ...] = (
        (".nd2", lambda path: write_nd2(path, values.swapaxes(0, 1), names), _nd2_all),
        (".czi", lambda path: write_czi(path, {i: plane[None] for i in range(N_POSITIONS)}), _czi_all),
        (".lif", lambda path: write_lif(path, [(name, "YX", plane) for name in names]), _lif_all),
    )
    size = f"{N_POSITIONS} {{}} of {SIDE:,} x {SIDE:,} in one {{}} file"
    for suffix, write, alone in many:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"a{suffix}")
            write(path)
            rows.append(_row(f"{size.format('images', suffix)}, listed and read", _all, alone, path, 5, N_POSITIONS))
    with tempfile.TemporaryDirectory() as folder:
        path = write_nd2(Path(folder, "a.nd2"), values)
        rows.append(_row(f"{size.format('frames', '.nd2')}: opening and first", _first_plane, _nd2_first, path, 15))
    return rows


def _row(
    what: str, ours: Callable[[Path], Any], alone: Callable[[Path], Any], path: Path, rounds: int, n_images: int = 1
) -> Row:
    np.testing.assert_array_equal(ours(path), alone(path))
    here, there = paired([lambda: ours(path), lambda: alone(path)], rounds)
    ratio, more = median_ratio(here, there), (median(here) - median(there)) / n_images
    figure = f"{median(here) * 1e3:.1f} ms, {ratio:.2f} x the package alone ({more * 1e3:+.1f} ms an image)"
    if alone is _tiff_whole:
        # Every page and piece of a TIFF is checked before memory is taken for it.
        return Row(what, figure)
    return Row(what, figure, f"{GOAL} x, or {SMALL * 1e3:.0f} ms an image", ratio <= GOAL or more <= SMALL)


def _whole(path: Path) -> np.ndarray:
    vendor.forget()
    return np.asarray(read_image(path).data)


def _first_plane(path: Path) -> np.ndarray:
    vendor.forget()
    image = read_image(path)
    part = plane_image(image, planes_of(image)[0])
    return part.plane(0 if image.n_channels > 1 else None)


def _all(path: Path) -> int:
    vendor.forget()
    return sum(int(read_image(one).plane()[0, 0]) for one, _ in find_images(path))


def _nd2_first(path: Path) -> np.ndarray:
    import nd2

    with nd2.ND2File(path) as file:
        assert file.metadata
        return np.array(file.read_frame(0))


def _nd2_whole(path: Path) -> np.ndarray:
    import nd2

    with nd2.ND2File(path) as file:
        assert file.metadata
        return file.asarray()


def _dv_whole(path: Path) -> np.ndarray:
    import mrc

    with mrc.DVFile(path) as file:
        return file.asarray()


def _tiff_whole(path: Path) -> np.ndarray:
    import tifffile

    return tifffile.imread(path)


def _nd2_all(path: Path) -> int:
    import nd2

    with nd2.ND2File(path) as file:
        assert file.experiment and file.metadata
        return sum(int(np.array(file.read_frame(i))[0, 0]) for i in range(file.sizes["P"]))


def _czi_all(path: Path) -> int:
    from pylibCZIrw import czi

    with czi.open_czi(str(path)) as file:
        assert file.metadata
        return sum(int(file.read(scene=i)[0, 0, 0]) for i in file.scenes_bounding_rectangle)


def _lif_all(path: Path) -> int:
    import liffile

    with liffile.LifFile(path) as file:
        return sum(int(image.asarray()[0, 0]) for image in file.images)
