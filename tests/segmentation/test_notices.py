"""A count that may be wrong comes with a notice that names the remedy, in the window and on the command line alike."""

from __future__ import annotations

import csv
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import skimage.io as skio
import tifffile
from scipy import ndimage as ndi

from napari_cellseg import segment
from napari_cellseg.cli import main
from napari_cellseg.imaging.from_array import as_image
from napari_cellseg.imaging.normalize import NormalizerParams
from napari_cellseg.imaging.progress import drain
from napari_cellseg.segmentation.notices import NO_CELLS, NOISE, STRIPES, far_above, still_true
from napari_cellseg.segmentation.patterns import is_noise, is_striped
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segment import iter_predict_image
from tests.nuclei import draw_nuclei


def test_no_count_of_zero_without_a_word() -> None:
    ramp = np.add.outer(np.arange(120.0), np.arange(150.0))
    result = segment(ramp, device="cpu")
    assert result.count == 0 and NO_CELLS in result.metadata["notes"]
    assert segment(np.full((60, 60), 7), device="cpu").metadata["notes"] == []


@pytest.mark.parametrize("sigma", [2.0, 4.0])
def test_cells_found_in_noise_are_doubted(sigma: float) -> None:
    """Blurred noise holds hundreds of blobs that a network takes for cells."""
    values = ndi.gaussian_filter(np.random.default_rng(1).normal(size=(384, 384)), sigma)
    noise = np.clip(200 + 20 * values / values.std(), 0, 65535).astype(np.uint16)
    result = segment(noise, device="cpu")
    assert result.count > 50 and NOISE in result.metadata["notes"]
    assert NOISE not in still_true(result.metadata["notes"], 0)


@pytest.mark.parametrize(("period", "degrees"), [(6, 30), (12, 0), (24, 0), (48, 30)])
def test_stripes_are_doubted(period: float, degrees: float) -> None:
    y, x = np.mgrid[:384, :384]
    along = x * np.cos(np.deg2rad(degrees)) + y * np.sin(np.deg2rad(degrees))
    noise = np.random.default_rng(1).normal(size=x.shape)
    stripes = (200 + 50 * np.sin(2 * np.pi * along / period) + 5 * noise).astype(np.uint16)
    assert is_striped(stripes) and not is_noise(stripes)
    result = segment(stripes, device="cpu")
    assert (STRIPES in result.metadata["notes"]) == (result.count > 0)


def test_images_of_cells_are_neither_noise_nor_stripes() -> None:
    planes = [
        skio.imread(path) for path in sorted((files("napari_cellseg") / "samples").iterdir()) if path.suffix == ".png"
    ]
    planes += [draw_nuclei(size, (400, 400), n, seed=n or 0).image for size in (9, 28, 90) for n in (2, 12, None)]
    assert len(planes) == 5 + 9
    assert not any(is_noise(plane) or is_striped(plane) for plane in planes)
    assert not is_noise(np.full((90, 90), 0.1)) and not is_striped(np.full((90, 90), 0.1))


@pytest.mark.parametrize("part", [0.003, 0.01])
def test_bright_debris_is_reported(part: float) -> None:
    drawn = draw_nuclei(28, (400, 400), 30, debris=0, seed=3)
    assert far_above(drawn.image, NormalizerParams()) is None
    image = drawn.image.copy()
    places = np.random.default_rng(0).choice(image.size, int(part * image.size), replace=False)
    image.ravel()[places] = 60_000
    times = far_above(image, NormalizerParams())
    assert times is not None and times > 16
    found = segment(image, device="cpu")
    assert any("--percentiles 1 97" in note for note in found.metadata["notes"])
    recipe = Recipe("cells", normalizer=NormalizerParams(1, 97))
    remedied = drain(iter_predict_image(as_image(image), recipe, "cpu")).result()
    n_true = drawn.labels.max()
    assert abs(remedied.count - n_true) <= 0.25 * n_true < abs(found.count - n_true)


def test_a_typed_size_that_is_far_too_small_is_reported() -> None:
    drawn = draw_nuclei(60, (700, 700), None, seed=5)
    wrong = segment(drawn.image, diameter=15, device="cpu")
    note = next(note for note in wrong.metadata["notes"] if "look larger" in note)
    seen = float(note.split("about ")[1].split(" px")[0])
    assert abs(np.log(seen / drawn.diameter)) < np.log(1.2) and "instead of 15" in note
    for fair in (drawn.diameter, 1.5 * drawn.diameter):
        assert not any(
            "look larger" in note for note in segment(drawn.image, diameter=fair, device="cpu").metadata["notes"]
        )


def test_few_bright_cells_are_no_debris() -> None:
    one = draw_nuclei(25, (600, 600), 1, debris=0)
    assert far_above(one.image, NormalizerParams()) is None


def test_the_command_line_reports_an_image_unlike_the_training_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 90)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "noise.tif", noise)
    assert main(["segment", str(tmp_path / "noise.tif"), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert "is unlike the" in capsys.readouterr().err
    with open(tmp_path / "out" / "counts.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert "is unlike the" in row["notes"]
