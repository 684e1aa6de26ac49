"""Prediction: tiles without seams, odd images, channels, memory running out, cancelling."""

from __future__ import annotations

import gc
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_cellseg.imaging.errors import ImageError, ModelError
from napari_cellseg.network import predict as predict_module
from napari_cellseg.network import ready as ready_module
from napari_cellseg.network.devices import DeviceChoice, list_devices, resolve_device
from napari_cellseg.network.predict import iter_predict, next_smaller, predict
from napari_cellseg.network.ready import ready_network
from napari_cellseg.network.versions import ModelVersion
from tests.models import make_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_model(tmp_path_factory.mktemp("models") / "tiny", base_channels=4, levels=2)


@pytest.fixture(autouse=True)
def float32_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding of bfloat16 would hide seams."""
    monkeypatch.setattr(predict_module, "resolve_device", lambda policy: DeviceChoice("cpu", "float32"))


@pytest.mark.parametrize("shape", [(300, 517), (256, 900)])
def test_tiled_equals_untiled(model: ModelVersion, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random(shape, np.float32)
    whole = predict(image, model, tile=2048)
    tiled = predict(image, model, tile=256)
    assert np.ptp(whole.probability) > 0.05
    np.testing.assert_allclose(tiled.probability, whole.probability, atol=2e-5)
    assert whole.distance is not None and tiled.distance is not None
    np.testing.assert_allclose(tiled.distance, whole.distance, atol=2e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (7, 3), (33, 65)])
def test_small_and_odd_images(model: ModelVersion, shape: tuple[int, int]) -> None:
    prediction = predict(np.ones(shape, np.float32), model)
    assert prediction.probability.shape == shape
    assert prediction.probability.dtype == np.float32
    assert 0 <= prediction.probability.min() <= prediction.probability.max() <= 1


def test_grey_is_the_same_as_equal_colours(model: ModelVersion) -> None:
    grey = np.random.default_rng(1).random((40, 50), np.float32)
    colour = np.repeat(grey[..., None], 3, axis=-1)
    np.testing.assert_allclose(predict(grey, model).probability, predict(colour, model).probability, atol=1e-6)


def test_wrong_number_of_channels_is_told(model: ModelVersion) -> None:
    with pytest.raises(ImageError, match=r"2 channels.*reads 3"):
        predict(np.zeros((20, 20, 2), np.float32), model)


def test_progress_counts_tiles_and_closing_cancels(model: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(predict_module.BATCH_PIXELS, "cpu", 256 * 256)
    calls: list[int] = []
    original = predict_module.batch_maps

    def counted(*args: object) -> dict[str, np.ndarray]:
        calls.append(1)
        return original(*args)

    monkeypatch.setattr(predict_module, "batch_maps", counted)
    steps = iter_predict(np.zeros((600, 600), np.float32), model, tile=256)
    first = next(steps)
    assert first.done == 0 and first.total > 4
    assert next(steps).done == 1
    steps.close()
    assert len(calls) == 1


def test_memory_running_out_falls_back_step_by_step(model: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a small GPU: more than 256 x 256 pixels at once do not fit."""
    asked: list[tuple[int, int]] = []
    original = predict_module.batch_maps

    def limited(network: object, crops: list[torch.Tensor], *args: object) -> dict[str, np.ndarray]:
        asked.append((len(crops), crops[0].shape[-1]))
        if len(crops) * crops[0].shape[-1] ** 2 > 256 * 256:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return original(network, crops, *args)

    image = np.random.default_rng(2).random((700, 700), np.float32)
    expected = predict(image, model, tile=2048)
    monkeypatch.setattr(predict_module, "batch_maps", limited)
    monkeypatch.setitem(predict_module.BATCH_PIXELS, "cpu", 2 * 512 * 512)
    prediction = predict(image, model, tile=512)
    assert asked[:3] == [(2, 512), (1, 512), (1, 256)]
    assert len(prediction.notes) == 1 and "256 pixels" in prediction.notes[0]
    np.testing.assert_allclose(prediction.probability, expected.probability, atol=2e-5)


def test_order_of_falling_back() -> None:
    gpu = DeviceChoice("cuda", "bfloat16")
    chain = [(gpu, 1024, 4)]
    while (smaller := next_smaller(*chain[-1], 256)) is not None:
        chain.append(smaller)
    assert [(c.device, tile, batch) for c, tile, batch in chain] == [
        ("cuda", 1024, 4), ("cuda", 1024, 2), ("cuda", 1024, 1), ("cuda", 512, 1), ("cuda", 256, 1), ("cpu", 256, 1),
    ]  # fmt: skip


def test_nothing_left_to_try_is_told(model: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object) -> dict[str, np.ndarray]:
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr(predict_module, "batch_maps", never)
    with pytest.raises(ImageError, match="not enough memory"):
        predict(np.zeros((64, 64), np.float32), model)


def test_other_failures_name_model_and_device(model: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> dict[str, np.ndarray]:
        raise RuntimeError("mat1 and mat2 shapes")

    monkeypatch.setattr(predict_module, "batch_maps", broken)
    with pytest.raises(ModelError, match=r"tiny failed on CPU"):
        predict(np.zeros((64, 64), np.float32), model)


def test_no_device_is_promised_that_is_not_there() -> None:
    assert list_devices()[-1] == "cpu"
    assert resolve_device("auto").device == list_devices()[0]
    missing = {"cuda", "mps"} - set(list_devices())
    for policy in missing:
        with pytest.raises(ModelError, match=policy):
            resolve_device(policy)
    with pytest.raises(ModelError, match="tpu"):
        resolve_device("tpu")


def test_bfloat16_stays_close_to_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = make_model(tmp_path / "own", base_channels=8, levels=3)
    image = np.random.default_rng(3).random((96, 96), np.float32)
    exact = predict(image, own)
    monkeypatch.setattr(predict_module, "resolve_device", lambda policy: DeviceChoice("cpu", "bfloat16"))
    rounded = predict(image, own)
    assert not np.array_equal(rounded.probability, exact.probability)
    difference = np.abs(rounded.probability - exact.probability)
    assert difference.mean() < 0.005 and difference.max() < 0.1


def test_only_two_networks_are_kept(tmp_path: Path) -> None:
    kept = []
    for i in range(4):
        own = make_model(tmp_path / f"m{i}", base_channels=2, levels=1, seed=i)
        kept.append(weakref.ref(ready_network(own, DeviceChoice("cpu", "float32"))))
    gc.collect()
    assert [ref() is not None for ref in kept] == [False, False, True, True]


def test_threads_that_ask_for_one_network_load_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, choice = make_model(tmp_path / "m"), resolve_device("cpu")
    loaded, load = [], ready_module.load_network

    def slowly(version: ModelVersion) -> Any:
        loaded.append(version)
        time.sleep(0.1)
        return load(version)

    monkeypatch.setattr(ready_module, "load_network", slowly)
    with ThreadPoolExecutor(4) as pool:
        networks = list(pool.map(lambda _: ready_module.network_for_maps(model, choice), range(4)))
    assert len(loaded) == 1 and all(network is networks[0] for network in networks)
