"""Cells of training images at the size that prediction will show them at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage.measure import label

from napari_cellseg.imaging.normalize import NormalizerParams
from napari_cellseg.imaging.progress import drain
from napari_cellseg.instances.measure import typical_diameter
from napari_cellseg.network.config import UNetConfig
from napari_cellseg.network.sizing import zoom_for
from napari_cellseg.network.versions import load_model
from napari_cellseg.training.data.sample import Sample
from napari_cellseg.training.data.sizes import common_diameter, magnified, zoom_to
from napari_cellseg.training.fit.augment import prepare
from napari_cellseg.training.params import TrainParams
from tests.blobs import blobs
from tests.training_steps import iter_train


def disc(radius: float, n: int = 160) -> Sample:
    y, x = np.mgrid[:n, :n]
    mask = (y - n / 2) ** 2 + (x - n / 2) ** 2 < radius**2
    return Sample("disc", mask.astype(np.float32), mask.astype(np.int32))


def test_the_diameter_is_that_of_the_median_cell() -> None:
    labels = np.zeros((50, 50), np.int32)
    labels[:10, :10], labels[20:24, 20:24], labels[30:50, 30:50] = 3, 5, 9
    assert typical_diameter(labels) == pytest.approx(np.sqrt(4 / np.pi * 100))
    assert typical_diameter(np.zeros((5, 5), np.int32)) is None


def test_a_size_in_common_is_that_of_images_that_are_alike() -> None:
    diameter, spread = common_diameter([disc(20), disc(22), disc(24)])
    assert diameter == pytest.approx(44, rel=0.02) and spread == pytest.approx(1.1, abs=0.02)
    diameter, spread = common_diameter([disc(10), disc(40)])
    assert diameter == pytest.approx(50, rel=0.02) and spread > 1.6
    assert common_diameter([Sample("empty", np.zeros((9, 9), np.float32), np.zeros((9, 9), np.int32))])[0] is None


@pytest.mark.parametrize("radius", [7, 52])
def test_labels_and_image_are_magnified_alike(radius: float) -> None:
    sample = disc(radius)
    zoom = zoom_to(sample, 26)
    assert zoom == zoom_for(typical_diameter(sample.labels) or 0, 26, (160, 160)) != 1
    reviewed = np.zeros((160, 160), bool)
    reviewed[:80] = True
    larger = magnified(replace(sample, reviewed=reviewed), sample.image, zoom)
    assert larger.labels.shape == larger.image.shape == (round(160 * zoom),) * 2
    assert typical_diameter(larger.labels) == pytest.approx(2 * radius * zoom, rel=0.03)
    assert np.mean((larger.image > 0.5) != (larger.labels > 0)) < 0.01
    assert larger.reviewed is not None and larger.reviewed.mean() == pytest.approx(0.5, abs=0.02)
    assert label(larger.labels).max() == 1


def test_without_a_diameter_nothing_changes() -> None:
    assert zoom_to(disc(50), None) == 1.0
    assert zoom_to(Sample("empty", np.zeros((9, 9), np.float32), np.zeros((9, 9), np.int32)), 26) == 1.0


def test_targets_are_those_of_the_magnified_cells() -> None:
    sample = disc(52)
    as_is, sized = (prepare(sample, NormalizerParams(), 0, diameter=d) for d in (None, 26.0))
    zoom = zoom_to(sample, 26)
    assert float(sized.smooth[0].max()) == pytest.approx(zoom * float(as_is.smooth[0].max()), rel=0.05)
    inside = sized.exact[0] > 0
    assert float(sized.exact[3][inside].mean()) == pytest.approx(float(as_is.exact[3].max()) / zoom, rel=0.03)


def test_a_version_names_the_diameter_and_hands_it_on(tmp_path: Path) -> None:
    params = TrainParams(
        steps=2, batch_size=1, crop=32, device="cpu", diameter=18, network=UNetConfig(base_channels=2, levels=1)
    )
    drain(iter_train([blobs(0)], [blobs(1)], tmp_path / "first", params))
    first = load_model(tmp_path / "first")
    assert first.diameter == 18
    drain(iter_train([blobs(0)], [blobs(1)], tmp_path / "second", replace(params, diameter=None), parent=first))
    assert load_model(tmp_path / "second").diameter == 18
