"""Weights of U-Nets that were trained elsewhere: the same outputs, or a clear refusal."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_cellseg.cli import main
from napari_cellseg.imaging.errors import ModelError
from napari_cellseg.imaging.normalize import NormalizerParams, normalize
from napari_cellseg.network import predict as predict_module
from napari_cellseg.network.devices import DeviceChoice
from napari_cellseg.network.exchange.import_model import import_model
from napari_cellseg.network.predict import predict
from napari_cellseg.network.ready import load_network
from napari_cellseg.network.versions import list_models, user_models_dir
from tests.models import make_model
from tests.torchvision_stub import allow_torchvision

allow_torchvision()
smp = pytest.importorskip("segmentation_models_pytorch")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path / "home"))


def _unet(encoder: str = "resnet18", **more: Any) -> Any:
    torch.manual_seed(1)
    settings = {"encoder_depth": 3, "decoder_channels": (32, 16, 8), **more}
    return smp.Unet(encoder, encoder_weights=None, classes=settings.pop("classes", 1), **settings).eval()


def _saved(path: Path, network: Any) -> Path:
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.parametrize("encoder", ["resnet18", "resnet34"])
def test_it_says_what_it_said_where_it_came_from(encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict_module, "resolve_device", lambda policy: DeviceChoice("cpu", "float32"))
    network = smp.Unet(encoder, encoder_weights=None, classes=1).eval()
    model = import_model(_saved(tmp_path / "unet_final_model.pth", network), normalisation="type")
    assert model.name == "unet_final_model" and model.config.architecture == encoder
    assert "normalised by type" in model.description
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    x = torch.from_numpy(np.moveaxis(image, -1, 0)[None].astype(np.float32) / 255)
    with torch.no_grad():
        expected = network(x)
        found = load_network(model)(x)["foreground"]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    predicted = predict(normalize(image, model.normalizer), model, "cpu")
    np.testing.assert_allclose(predicted.probability, expected.sigmoid()[0, 0], atol=1e-4)
    assert predicted.distance is None


def test_what_training_scripts_wrap_around_is_taken_off(tmp_path: Path) -> None:
    network = _unet()
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"epoch": 3, "model_state_dict": state}, tmp_path / "checkpoint.pt")
    model = import_model(tmp_path / "checkpoint.pt", "mine", normalisation="imagenet")
    assert model.config.imagenet_input and model.config.levels == 3 and model.normalizer.method == "type"
    assert list_models()[-1] == model


@pytest.mark.parametrize("fold", [1, 2])
def test_weights_of_our_own_shape(fold: int, tmp_path: Path) -> None:
    ours = make_model(tmp_path / "ours", in_channels=1, base_channels=6, levels=3, fold=fold)
    path = _saved(tmp_path / "plain.pth", load_network(ours))
    model = import_model(path, normalisation="minmax")
    assert model.config == ours.config and model.normalizer == NormalizerParams(0, 100)
    image = np.random.default_rng(0).random((40, 40), np.float32)
    np.testing.assert_array_equal(predict(image, model).probability, predict(image, ours).probability)


@pytest.mark.parametrize(
    ("changes", "asked", "words"),
    [
        ({"classes": 3}, None, "predicts 3 classes"),
        ({"decoder_attention_type": "scse"}, None, "fit none of resnet18"),
        ({}, "resnet50", "not of a U-Net with the encoder resnet50"),
        ({"encoder": "mobilenet_v2"}, None, r"Name the encoder \(--architecture\)"),
        ({"decoder_channels": (64, 32, 8)}, "resnet18", r"up\.blocks"),
        ({}, "unet", "no network that can be rebuilt"),
        ({}, "resnet35", "no architecture 'resnet35'"),
    ],
)
def test_other_networks_are_refused_in_words(changes: dict, asked: str, words: str, tmp_path: Path) -> None:
    path = _saved(tmp_path / "other.pth", _unet(**changes))
    with pytest.raises(ModelError, match=words):
        import_model(path, architecture=asked, normalisation="type")
    assert list(user_models_dir().iterdir()) == []


def test_an_encoder_that_is_named_need_not_be_found_out(tmp_path: Path) -> None:
    path = _saved(tmp_path / "mobile.pth", _unet("mobilenet_v2"))
    assert import_model(path, None, "mobilenet_v2", "type").config.architecture == "mobilenet_v2"


def test_weights_that_ran_away_are_refused(tmp_path: Path) -> None:
    state = _unet().state_dict()
    state["encoder.conv1.weight"][0] = torch.nan
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(ModelError, match=r"down\.conv1\.weight in nan\.pth holds values that are no numbers"):
        import_model(tmp_path / "nan.pth", normalisation="type")


class _Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    (tmp_path / "old.pth").write_bytes(pickle.dumps(_Hostile(tmp_path / "ran"), protocol=2))
    torch.save({"weights": _Hostile(tmp_path / "ran")}, tmp_path / "new.pth")
    torch.save(_unet(), tmp_path / "whole.pth")
    for name in ("old.pth", "new.pth", "whole.pth"):
        with pytest.raises(ModelError, match="could run code when opened"):
            import_model(tmp_path / name, normalisation="type")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut", b"\x80\x02"])
def test_damaged_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(ModelError, match=r"x\.pth"):
        import_model(tmp_path / "x.pth", normalisation="type")
    assert list(user_models_dir().iterdir()) == []


@pytest.mark.parametrize("held", [[1, 2], {}, {"lr": 0.1}, torch.zeros(3)])
def test_files_without_weights_are_refused(held: Any, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "x.pth")
    with pytest.raises(ModelError, match=r"x\.pth holds"):
        import_model(tmp_path / "x.pth", normalisation="type")


def test_the_command_asks_how_images_were_normalised(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = str(_saved(tmp_path / "net.pth", _unet()))
    assert main(["models", "--import", path]) == 1
    assert "--normalisation percentiles | minmax | type | imagenet | standard" in capsys.readouterr().err
    assert main(["models", "--import", path, "--normalisation", "other"]) == 1
    assert main(["models", "taken over", "--import", path, "--normalisation", "type"]) == 0
    out = capsys.readouterr().out
    assert "imported taken over" in out and "napari-cellseg calibrate" in out
    assert main(["models", "taken over"]) == 0
    assert '"architecture": "resnet18"' in capsys.readouterr().out
    assert main(["models", "--architecture", "resnet18"]) == 1
    ours = make_model(tmp_path / "ours")
    assert main(["models", "--import", str(ours.path), "--normalisation", "type"]) == 1
