"""Features that are kept: no seams, the prediction the model's own, weighing and sampling one and the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_cellseg.imaging.errors import ImageError
from napari_cellseg.network import features as features_module
from napari_cellseg.network import predict as predict_module
from napari_cellseg.network.devices import DeviceChoice
from napari_cellseg.network.features import LIMIT, enlarge, features, iter_features
from napari_cellseg.network.predict import predict
from napari_cellseg.network.versions import ModelVersion
from tests.models import make_model


@pytest.fixture(scope="module", params=[1, 2], ids=["plain", "folded"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    levels, width = (2, 4) if request.param == 1 else (2, 8)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return make_model(folder, base_channels=width, levels=levels, fold=request.param)


@pytest.fixture(autouse=True)
def float32_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding of bfloat16 would hide seams."""
    for module in (features_module, predict_module):
        monkeypatch.setattr(module, "resolve_device", lambda policy: DeviceChoice("cpu", "float32"))


def _image(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


@pytest.mark.parametrize("shape", [(61, 50), (1, 1), (64, 33, 3)])
def test_the_prediction_is_the_models_own(model: ModelVersion, shape: tuple[int, ...]) -> None:
    """Up to the rounding of whatever runs the network."""
    image = _image(*shape)
    found, alone = features(image, model), predict(image, model)
    np.testing.assert_allclose(found.prediction.probability, alone.probability, atol=2e-5)
    assert found.prediction.distance is not None and alone.distance is not None
    np.testing.assert_allclose(found.prediction.distance, alone.distance, atol=2e-5)
    assert found.shape == shape[:2] and found.prediction.model == model.name


def test_tiles_leave_no_seams(model: ModelVersion) -> None:
    image = _image(300, 517)
    whole, tiled = features(image, model, tile=2048), features(image, model, tile=256)
    for one, other in zip(whole.levels, tiled.levels, strict=True):
        assert one.scale == other.scale
        np.testing.assert_allclose(one.maps.astype(np.float32), other.maps.astype(np.float32), atol=0.02)
    np.testing.assert_allclose(whole.covariance, tiled.covariance, atol=0.01)


def test_features_are_standardised_over_the_image(model: ModelVersion) -> None:
    found = features(_image(96, 120), model)
    assert found.covariance.shape == (found.n_channels, found.n_channels)
    assert found.nbytes == sum(2 * level.maps.size for level in found.levels)
    for level in found.levels:
        maps = level.maps.astype(np.float64)
        assert np.abs(maps).max() <= LIMIT
        spread = maps.std(axis=(1, 2))
        alive = spread > 0.01  # a ReLU that never fires gives a constant map
        np.testing.assert_allclose(maps.mean(axis=(1, 2)), 0, atol=0.1)
        # What stands out is cut, which takes a little off.
        assert np.all((spread[alive] > 0.4) & (spread[alive] < 1.05))


def test_weighing_all_pixels_equals_weighing_samples(model: ModelVersion) -> None:
    found = features(_image(45, 70), model)
    weights = np.random.default_rng(1).standard_normal(found.n_channels)
    pixels = np.arange(45 * 70)
    np.testing.assert_allclose(found.at(pixels) @ weights, found.weigh(weights).ravel(), atol=1e-3)


def test_the_parents_logit_is_among_the_weighted_sums(tmp_path: Path) -> None:
    """So whatever is refitted can reach what the parent said (of a folded network, up to a block of pixels)."""
    model = make_model(tmp_path / "plain")
    found = features(_image(80, 80), model)
    p = found.prediction.probability.ravel().astype(np.float64)
    inner = (p > 0.01) & (p < 0.99)
    inputs = np.column_stack([found.at(np.flatnonzero(inner)), np.ones(inner.sum())])
    logit = np.log(p[inner] / (1 - p[inner]))
    answer, *_ = np.linalg.lstsq(inputs, logit, rcond=None)
    assert np.corrcoef(inputs @ answer, logit)[0, 1] > 0.99


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_enlarging_is_torchs_bilinear(scale: int) -> None:
    small = _image(7, 5, seed=2)
    full = torch.nn.functional.interpolate(torch.from_numpy(small)[None, None], scale_factor=scale, mode="bilinear")
    crop = (7 * scale - scale + 1, 5 * scale - 1 if scale > 1 else 5)
    np.testing.assert_allclose(enlarge(small, scale, crop), full[0, 0, : crop[0], : crop[1]], atol=1e-6)


def test_an_image_whose_features_would_fill_the_memory_is_refused(
    model: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "MAX_BYTES", 1000)
    with pytest.raises(ImageError, match=r"64 x 64 pixels.*Crop the image"):
        features(_image(64, 64), model)


def test_less_memory_smaller_tiles_the_same_features(model: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    image = _image(300, 300)
    expected = features(image, model)
    real, fails = features_module.ready_network, [2]

    def ready(*args: object) -> object:
        if fails[0]:
            fails[0] -= 1
            raise MemoryError
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(features_module, "ready_network", ready)
    found = features(image, model)
    assert "Memory ran out" in found.prediction.notes[0]
    np.testing.assert_allclose(found.prediction.probability, expected.prediction.probability, atol=2e-5)


def test_closing_cancels(model: ModelVersion, tmp_path: Path) -> None:
    steps = iter_features(_image(600, 300), model, tile=256)
    next(steps)
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)
