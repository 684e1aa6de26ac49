"""Thresholds chosen on images whose cells are known: in the reviewed area, and not at the cost of what was known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.evaluation import calibration
from napari_cellseg.evaluation.calibration import calibrate, iter_calibrate_version
from napari_cellseg.evaluation.evaluate import iter_predict_samples, score
from napari_cellseg.imaging.progress import drain
from napari_cellseg.network.version_files import set_defaults
from napari_cellseg.network.versions import ModelVersion, read_version
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.training.data.datasets import Sample
from tests.blobs import blobs
from tests.models import make_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_model(tmp_path_factory.mktemp("models") / "random", threshold=0.3, min_size=0)


def as_drawn(model: ModelVersion, threshold: float, min_size: int, seeds: tuple[int, ...] = (1, 2)) -> list[Sample]:
    """Images whose true cells are what the model finds at a setting."""
    found = []
    for seed in seeds:
        sample = blobs(seed)
        (segmented,) = drain(iter_predict_samples([sample], Recipe(model=str(model.path))))
        found.append(replace(sample, labels=np.asarray(segmented.labels(threshold, min_size), np.int32)))
    return found


def own_copy(model: ModelVersion, folder: Path) -> ModelVersion:
    folder.mkdir()
    for file in model.path.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return read_version(folder)


def ap(samples: list[Sample], version: ModelVersion) -> float:
    predicted = drain(iter_predict_samples(samples, Recipe(model=str(version.path))))
    return float(score(samples, predicted).to_dict()["all"]["ap_mean"]["0.50"])


def test_it_finds_the_setting_that_made_the_truth(model: ModelVersion, tmp_path: Path) -> None:
    samples = as_drawn(model, 0.65, 30)
    version = drain(iter_calibrate_version(own_copy(model, tmp_path / "child"), samples, []))
    assert ap(samples, version) == 1 > ap(samples, model)
    assert (version.threshold, version.min_size) == (0.65, 30)
    assert read_version(version.path).threshold == 0.65, "stored in the version"


def test_general_samples_hold_it_back(model: ModelVersion, tmp_path: Path) -> None:
    learned, general = as_drawn(model, 0.65, 30), as_drawn(model, 0.3, 0, (3, 4))
    assert ap(general, model) == 1
    free = drain(iter_calibrate_version(own_copy(model, tmp_path / "free"), learned, []))
    held = drain(iter_calibrate_version(own_copy(model, tmp_path / "held"), learned, general))
    assert ap(general, free) < 0.9, "or this test shows nothing"
    assert ap(general, held) >= 1 - calibration.LARGEST_LOSS


def test_only_reviewed_cells_count(model: ModelVersion) -> None:
    samples = as_drawn(model, 0.7, 25)
    half = np.zeros(samples[0].labels.shape, bool)
    half[:, :48] = True
    spoilt = []
    for sample in samples:
        labels = sample.labels.copy()
        wrong = np.unique(labels[:, 60:])
        labels[np.isin(labels, wrong) & ~half] = 0
        spoilt.append(replace(sample, labels=labels, reviewed=half))
    predicted = drain(iter_predict_samples(samples, Recipe(model=str(model.path))))
    threshold, min_size = calibrate(spoilt, predicted)
    found = score(samples, predicted, threshold, min_size)
    assert found.to_dict()["all"]["ap_mean"]["0.50"] > 0.95


def test_without_cells_nothing_changes(model: ModelVersion, tmp_path: Path) -> None:
    version = set_defaults(own_copy(model, tmp_path / "child"), 0.45, 7)
    empty = [replace(blobs(1), labels=np.zeros((96, 96), np.int32))]
    kept = drain(iter_calibrate_version(version, empty, []))
    assert (kept.threshold, kept.min_size) == (0.45, 7)


def test_many_images_do_not_take_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "MOST_PIXELS", 5 * 96 * 96)
    assert len(calibration._few([blobs(seed) for seed in range(20)])) == 5
    monkeypatch.setattr(calibration, "MOST_PIXELS", 10)
    assert len(calibration._few([blobs(1)])) == 1, "one image at least, however large"
