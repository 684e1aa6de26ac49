"""Packages of bioimage.io: they pass that community's own test, and come back as they were."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_cellseg.cli import main
from napari_cellseg.imaging.errors import ModelError, OutputError
from napari_cellseg.imaging.normalize import NormalizerParams, normalize
from napari_cellseg.network import predict as predict_module
from napari_cellseg.network.devices import DeviceChoice
from napari_cellseg.network.exchange.bioimageio_export import PackageParams, export_bioimageio
from napari_cellseg.network.exchange.import_model import import_model
from napari_cellseg.network.predict import predict
from napari_cellseg.network.version_files import write_config
from napari_cellseg.network.versions import ModelVersion, list_models, read_version
from napari_cellseg.results.origin import is_ours
from tests.blobs import blobs
from tests.models import make_model
from tests.torchvision_stub import allow_torchvision

allow_torchvision()
pytest.importorskip("bioimageio.spec")

BY = PackageParams(("A. Person", "B. Person"), "CC-BY-4.0")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path / "home"))


@pytest.fixture
def model(tmp_path: Path) -> ModelVersion:
    return make_model(tmp_path / "mine", in_channels=1)


def _by_type(model: ModelVersion) -> ModelVersion:
    write_config(
        model.path, config=model.config, normalizer=NormalizerParams(method="type"), split=model.split,
        threshold=0.5, min_size=5,
    )  # fmt: skip
    return read_version(model.path)


@pytest.mark.parametrize("kind", ["grey", "by type", "folded", pytest.param("encoder", marks=pytest.mark.slow)])
def test_a_package_passes_its_own_test(kind: str, tmp_path: Path) -> None:
    core = pytest.importorskip("bioimageio.core")
    settings: dict[str, Any] = {
        "grey": {"in_channels": 1},
        "by type": {},
        "folded": {"fold": 2, "levels": 1},
        "encoder": {},
    }[kind]
    if kind == "encoder":
        pytest.importorskip("segmentation_models_pytorch")
        settings = {"architecture": "resnet18", "levels": 3, "base_channels": 8}
    model = make_model(tmp_path / "mine", **settings)
    model = _by_type(model) if kind == "by type" else model
    out = export_bioimageio(model, tmp_path / "package.zip", BY)
    summary = core.test_model(out, devices=["cpu"])
    assert summary.status == "passed", summary.format()


def test_others_see_what_we_see(model: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's own normalisation and weights give the probability that we give."""
    core = pytest.importorskip("bioimageio.core")
    monkeypatch.setattr(predict_module, "resolve_device", lambda policy: DeviceChoice("cpu", "float32"))
    out = export_bioimageio(model, tmp_path / "package.zip", BY)
    image = 40 + 9 * blobs(1, size=240, n=40).image[:, :200]
    found = core.predict(model=out, inputs={"image": image[None, None]})
    theirs = np.asarray(found.members["probability"].data)[0, 0]
    ours = predict(normalize(image, model.normalizer), model).probability
    # They mirror the image at its edges before they normalise it, which moves the percentiles a little.
    inner = (slice(model.config.context, -model.config.context),) * 2
    np.testing.assert_allclose(theirs[inner], ours[inner], atol=0.03)
    assert ours[inner].std() > 0.1


def test_it_comes_back_as_it_was(model: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = export_bioimageio(model, tmp_path / "package.zip", BY)
    # Nothing but our own files is needed for that.
    monkeypatch.setitem(sys.modules, "bioimageio.spec", None)
    again = import_model(out, "back")
    assert (again.sha256, again.config, again.normalizer) == (model.sha256, model.config, model.normalizer)
    assert (again.threshold, again.min_size) == (model.threshold, model.min_size)


def test_the_command_asks_for_author_and_licence(
    model: ModelVersion, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "package.zip"
    words = ["export", str(model.path), str(out), "--format", "bioimageio"]
    assert main(words) == 1
    assert "--author" in capsys.readouterr().err and not out.exists()
    assert main([*words, "--author", "A. Person", "--license", "CC-BY-4.0"]) == 0
    assert "bioimageio test" in capsys.readouterr().out and is_ours(out)
    with zipfile.ZipFile(out) as archive:
        described = archive.read("rdf.yaml" if "rdf.yaml" in archive.namelist() else "bioimageio.yaml").decode()
        assert "A. Person" in described and "CC-BY-4.0" in described and "scale_range" in described
        assert "# Validation" in archive.read("README.md").decode()


def test_what_cannot_be_exported_is_said_in_words(
    model: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="license"):
        export_bioimageio(model, tmp_path / "x.zip", PackageParams(("A. Person",), "do what you like"))
    with pytest.raises(OutputError, match=r"x\.tif"):
        export_bioimageio(model, tmp_path / "x.tif", BY)
    monkeypatch.setitem(sys.modules, "bioimageio.spec.model.v0_5", None)
    with pytest.raises(ModelError, match=r"pip install \"napari-cellseg\[bioimageio\]\""):
        export_bioimageio(model, tmp_path / "x.zip", BY)
    assert list(tmp_path.glob("x*")) == []


Edit = Callable[[dict[str, Any]], None]


def _foreign(package: Path, out: Path, edit: Edit, files: dict[str, bytes]) -> Path:
    """Write a package as others would: without our files, with another description."""
    from ruyaml import YAML

    yaml = YAML(typ="safe")
    with zipfile.ZipFile(package) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            if name.endswith(".yaml"):
                described = yaml.load(source.read(name))
                described["attachments"] = []
                edit(described)
                written = io.BytesIO()
                yaml.dump(described, written)
                target.writestr(name, written.getvalue())
            elif name not in ("config.json", "weights.safetensors"):
                target.writestr(name, source.read(name))
        for name, content in files.items():
            target.writestr(name, content)
    return out


def _state_dict(described: dict[str, Any]) -> None:
    architecture = {"callable": "Unet", "import_from": "segmentation_models_pytorch", "kwargs": {}}
    entry = {"source": "state.pt", "architecture": architecture, "pytorch_version": "2.4.0"}
    described["weights"] = {"pytorch_state_dict": entry}


def test_a_package_of_others_is_rebuilt(model: ModelVersion, tmp_path: Path) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    network = smp.Unet("resnet18", encoder_weights=None, encoder_depth=3, decoder_channels=(32, 16, 8), in_channels=1)
    content = io.BytesIO()
    torch.save(network.state_dict(), content)
    package = export_bioimageio(model, tmp_path / "package.zip", BY)
    path = _foreign(package, tmp_path / "theirs.zip", _state_dict, {"state.pt": content.getvalue()})
    found = import_model(path)
    assert found.config.architecture == "resnet18" and found.normalizer == model.normalizer
    assert found.training["imported"]["authors"] == ["A. Person", "B. Person"]
    assert found.training["imported"]["license"] == "CC-BY-4.0"
    assert predict(np.random.default_rng(0).random((40, 40), np.float32), found).probability.shape == (40, 40)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda d: None, "holds weights only as torchscript"),
        (_state_dict, r"state\.pt are not inside"),
        (lambda d: d.update(inputs=[]), "not a valid bioimage.io model"),
        (lambda d: (_state_dict(d), d["inputs"][0].update(preprocessing=[])), "prepares images by nothing"),
        (
            lambda d: (
                _state_dict(d),
                d["inputs"][0].update(
                    preprocessing=[{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}]
                ),
            ),
            "zero_mean_unit_variance",
        ),
    ],
)
def test_packages_that_cannot_be_rebuilt_are_refused(
    edit: Edit, words: str, model: ModelVersion, tmp_path: Path
) -> None:
    package = export_bioimageio(model, tmp_path / "package.zip", BY)
    path = _foreign(package, tmp_path / "theirs.zip", edit, {})
    with pytest.raises(ModelError, match=words):
        import_model(path)
    assert all(m.bundled for m in list_models())


@pytest.mark.parametrize(
    ("steps", "method", "imagenet"),
    [
        ([("scale_linear", {"gain": 1 / 255, "offset": 0.0})], "type", False),
        (
            [
                ("scale_linear", {"gain": 1 / 255, "offset": 0.0}),
                ("fixed_zero_mean_unit_variance", {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}),
            ],
            "type",
            True,
        ),
        (
            [("fixed_zero_mean_unit_variance", {"mean": [123.7, 116.3, 103.5], "std": [58.4, 57.1, 57.4]})],
            "type",
            True,
        ),
    ],
)
def test_their_normalisations_in_our_words(steps: list, method: str, imagenet: bool) -> None:
    from bioimageio.spec.model import v0_5

    from napari_cellseg.network.exchange.bioimageio_import import normalizer_of

    described = []
    for name, values in steps:
        if name == "scale_linear":
            described.append(v0_5.ScaleLinearDescr(kwargs=v0_5.ScaleLinearKwargs(**values)))
        else:
            kwargs = v0_5.FixedZeroMeanUnitVarianceAlongAxisKwargs(axis=v0_5.AxisId("channel"), **values)
            described.append(v0_5.FixedZeroMeanUnitVarianceDescr(kwargs=kwargs))
    normalizer, found = normalizer_of(described, "x.zip")
    assert (normalizer.method, found) == (method, imagenet)
