"""U-Nets with an encoder from elsewhere: built, run, trained and taken over like our own."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_cellseg.imaging.errors import ModelError
from napari_cellseg.network import features as features_module
from napari_cellseg.network import predict as predict_module
from napari_cellseg.network.building import build_network, fuse_for_inference
from napari_cellseg.network.config import UNetConfig, architectures, config_for
from napari_cellseg.network.devices import DeviceChoice
from napari_cellseg.network.encoders import IMAGENET_DEVIATION, IMAGENET_MEAN, EncoderUNet
from napari_cellseg.network.features import features
from napari_cellseg.network.predict import predict
from napari_cellseg.network.versions import ModelVersion, read_version
from napari_cellseg.training.params import TrainParams
from tests.blobs import blobs
from tests.models import make_model
from tests.torchvision_stub import allow_torchvision
from tests.training_steps import iter_train

allow_torchvision()
pytest.importorskip("segmentation_models_pytorch")

SMALL = {"architecture": "resnet18", "base_channels": 8, "levels": 3}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_model(tmp_path_factory.mktemp("models") / "resnet", **SMALL)


@pytest.fixture
def float32_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding of bfloat16 would hide seams."""
    for module in (predict_module, features_module):
        monkeypatch.setattr(module, "resolve_device", lambda policy: DeviceChoice("cpu", "float32"))


def _image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize("architecture", ["resnet34", "mobilenet_v2", "efficientnet-b0"])
def test_every_head_has_the_size_of_any_image_also_when_fused(architecture: str) -> None:
    config = config_for(architecture)
    network = build_network(config)
    x = torch.rand(2, 3, 65, 40)
    network.train()
    with torch.no_grad():
        network(x)
        outputs, fused = network.eval()(x), fuse_for_inference(network)(x)
    assert {name: tuple(v.shape) for name, v in outputs.items()} == {n: (2, c, 65, 40) for n, c in config.heads}
    for name, values in outputs.items():
        torch.testing.assert_close(fused[name], values, rtol=1e-3, atol=1e-3)


def test_a_fused_resnet_has_no_normalisation_left() -> None:
    network = fuse_for_inference(build_network(UNetConfig(**SMALL)))
    assert not [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_a_version_runs_and_is_reread(model: ModelVersion) -> None:
    again = read_version(model.path)
    assert again == model and again.config.architecture == "resnet18"
    found = predict(_image(70, 45), model, "cpu")
    assert found.probability.shape == (70, 45) and found.distance is not None
    assert found.probability.std() > 0.01


@pytest.mark.usefixtures("float32_only")
def test_tiles_leave_no_seams_where_the_halo_holds_all_that_is_seen(model: ModelVersion) -> None:
    image = _image(330, 700)
    whole, tiled = predict(image, model, tile=2048), predict(image, model, tile=512)
    np.testing.assert_allclose(tiled.probability, whole.probability, atol=1e-4)


@pytest.mark.usefixtures("float32_only")
def test_kept_features_give_the_models_own_prediction(model: ModelVersion) -> None:
    image = _image(61, 50)
    found = features(image, model)
    np.testing.assert_allclose(found.prediction.probability, predict(image, model).probability, atol=1e-6)
    assert [level.scale for level in found.levels] == [1, 2, 4]


def test_it_is_trained_and_fine_tuned_like_our_own(tmp_path: Path) -> None:
    samples = [blobs(seed, size=64, n=4) for seed in range(3)]
    params = TrainParams(
        steps=12, batch_size=2, crop=64, validate_every=6, device="cpu", network=UNetConfig(**SMALL),
    )  # fmt: skip
    progress = list(iter_train(samples[:2], samples[2:], tmp_path / "one", params, None, "test"))
    assert np.mean([p.loss for p in progress[-4:]]) < np.mean([p.loss for p in progress[:4]])
    first = read_version(tmp_path / "one")
    assert first.config == UNetConfig(**SMALL)
    list(iter_train(samples[:2], samples[2:], tmp_path / "two", TrainParams(steps=2, batch_size=2, crop=64), first, ""))
    second = read_version(tmp_path / "two")
    assert second.config == first.config and second.sha256 != first.sha256


def test_imagenet_input_is_the_same_as_preparing_the_image() -> None:
    torch.manual_seed(0)
    plain = build_network(UNetConfig(**SMALL)).eval()
    prepared = build_network(UNetConfig(**SMALL, imagenet_input=True)).eval()
    prepared.load_state_dict(plain.state_dict())
    x = torch.rand(1, 3, 32, 32)
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    with torch.no_grad():
        expected, found = plain((x - mean) / deviation), prepared(x)
    torch.testing.assert_close(found["foreground"], expected["foreground"])


def test_an_encoders_weights_come_from_a_file(tmp_path: Path) -> None:
    config = UNetConfig(**SMALL)
    source = build_network(config)
    state = {
        name: value + 0.25 if value.is_floating_point() else value for name, value in source.down.state_dict().items()
    }
    # As torchvision saves them: with the layer that tells the classes apart.
    torch.save({**state, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, tmp_path / "encoder.pth")
    loaded = build_network(config, tmp_path / "encoder.pth").down.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "part.safetensors")
    with pytest.raises(ModelError, match=r"part\.safetensors does not hold the weights of the encoder resnet18"):
        build_network(config, tmp_path / "part.safetensors")


def test_weights_that_cannot_be_fetched_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="imagenet weights of resnet18 could not be fetched"):
        build_network(UNetConfig(**SMALL), "imagenet")


def test_unknown_names_and_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"no architecture 'resnet35'.*resnet34"):
        build_network(config_for("resnet35"))
    with pytest.raises(ModelError, match="has no encoder"):
        build_network(UNetConfig(base_channels=2), "imagenet")
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(ModelError, match=r"pip install \"napari-cellseg\[smp\]\""):
        build_network(config_for("resnet34"))


def test_settings_of_an_encoder() -> None:
    config = config_for("resnet34", dropout=0.2)
    assert (config.base_channels, config.levels, config.stride) == (16, 5, 32)
    assert config.context % config.stride == 0
    assert UNetConfig.from_dict(config.to_dict()) == config
    # What an older installation reads stays as it was.
    assert set(UNetConfig().to_dict()) == {"in_channels", "base_channels", "levels", "dropout", "heads"}
    assert config_for(base_channels=8) == UNetConfig(base_channels=8)
    assert {"unet", "resnet34"} <= set(architectures())
    wrong: list[dict] = [{"architecture": "../x"}, {"architecture": "resnet34", "levels": 2}, {"imagenet_input": 1}]
    for values in [*wrong, {"imagenet_input": True, "in_channels": 1}]:
        with pytest.raises(ModelError):
            UNetConfig(**values)


def test_it_stands_in_for_our_own() -> None:
    """What training and prediction use of a network is there under the same names."""
    network = build_network(UNetConfig(**SMALL))
    assert isinstance(network, EncoderUNet)
    found = network.decoded(torch.rand(1, 3, 24, 40))
    levels = network.config.levels
    assert [f.shape[-1] for f in found] == [40, 20, 10, 5, 10, 20, 40] and len(found) == 2 * levels + 1
    parts = {name.partition(".")[0] for name in network.state_dict()}
    assert parts == {"down", "up", "heads"}
