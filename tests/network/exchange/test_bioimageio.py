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
from torch import Tensor, nn
from torch.nn import functional

from napari_cellseg import segment
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


def _normalised_by(method: str, model: ModelVersion) -> ModelVersion:
    write_config(
        model.path, config=model.config, normalizer=NormalizerParams(method=method), split=model.split,
        threshold=0.5, min_size=5,
    )  # fmt: skip
    return read_version(model.path)


@pytest.mark.parametrize(
    "kind", ["grey", "by type", "bilinear", "folded", pytest.param("encoder", marks=pytest.mark.slow)]
)
def test_a_package_passes_its_own_test(kind: str, tmp_path: Path) -> None:
    core = pytest.importorskip("bioimageio.core")
    settings: dict[str, Any] = {
        "grey": {"in_channels": 1},
        "by type": {},
        "bilinear": {"architecture": "unet-bilinear", "levels": 1, "in_channels": 1},
        "folded": {"fold": 2, "levels": 1},
        "encoder": {},
    }[kind]
    if kind == "encoder":
        pytest.importorskip("segmentation_models_pytorch")
        settings = {"architecture": "resnet18", "levels": 3, "base_channels": 8}
    model = make_model(tmp_path / "mine", **settings)
    methods = {"by type": "type", "bilinear": "standard"}
    model = _normalised_by(methods[kind], model) if kind in methods else model
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
                d["inputs"][0].update(preprocessing=[{"id": "binarize", "kwargs": {"threshold": 0.5}}]),
            ),
            "prepares images by binarize",
        ),
        (
            lambda d: (
                _state_dict(d),
                d["inputs"][0].update(
                    preprocessing=[{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["batch", "y", "x"]}}]
                ),
            ),
            "prepares images by zero_mean_unit_variance",
        ),
        (
            lambda d: (
                _state_dict(d),
                d["outputs"][0].update(postprocessing=[{"id": "scale_linear", "kwargs": {"gain": 2.0}}]),
            ),
            "makes its output by scale_linear",
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


class _Enlarge(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class _Theirs(nn.Module):
    """The network of unet2d_nuclei_broad, with its names of weights."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64, 128)
        self.encoders = nn.ModuleList(map(self.twice, (1, *widths[:2]), widths[:3]))
        self.base = self.twice(64, 128)
        self.decoders = nn.ModuleList(self.twice(2 * n, n) for n in widths[2::-1])
        self.upsamplers = nn.ModuleList(nn.Sequential(_Enlarge(), nn.Conv2d(2 * n, n, 1)) for n in widths[2::-1])
        self.output = nn.Conv2d(16, 1, 1)

    @staticmethod
    def twice(n_in: int, n_out: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1), nn.Conv2d(n_out, n_out, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for encoder in self.encoders:
            skips.append(encoder(x))
            x = functional.max_pool2d(skips[-1], 2)
        x = self.base(x)
        for decoder, upsampler in zip(self.decoders, self.upsamplers, strict=True):
            x = decoder(torch.cat([skips.pop(), upsampler(x)], 1))
        return self.output(x)


def _described(version: str) -> dict[str, Any]:
    """Describe the package as its two versions do."""
    old = version.startswith("0.4")
    image = {"preprocessing": [{"name": "zero_mean_unit_variance", "kwargs": {"mode": "per_sample", "axes": "yx"}}]}
    drawn: dict[str, Any] = {"postprocessing": [{"name": "sigmoid"}], "halo": [0, 0, 8, 8]}
    weights: dict[str, Any] = {"source": "broad_weights.torch", "kwargs": {"input_channels": 1, "output_channels": 1}}
    described: dict[str, Any] = {
        "format_version": version, "type": "model", "name": "UNet 2D Nuclei Broad", "description": "A 2d U-Net.",
        "authors": [{"name": "A. Person"}], "cite": [{"text": "A paper", "doi": "10.1007/978-3-319-24574-4_28"}],
        "license": "MIT", "documentation": "README.md", "timestamp": "2019-12-11T12:22:32+00:00",
    }  # fmt: skip
    if old:
        form = {"axes": "bcyx", "data_type": "float32"}
        image |= {"name": "raw", "shape": [1, 1, 64, 96], **form}
        shape = {"reference_tensor": "raw", "scale": [1.0, 0.0, 1.0, 1.0], "offset": [0.0, 0.5, 0.0, 0.0]}
        drawn |= {"name": "probability", "shape": shape, **form}
        described |= {"test_inputs": ["test_input.npy"], "test_outputs": ["test_output.npy"], "tags": ["unet2d"]}
        weights |= {"architecture": "unet2d.py:UNet2d", "architecture_sha256": "0" * 64}
    else:
        batch, space = [{"type": "batch", "size": 1}], {"type": "space"}
        image = {
            "id": "raw", "test_tensor": {"source": "test_input.npy"},
            "axes": [*batch, {"type": "channel", "channel_names": ["raw"]}, {"id": "y", "size": 64, **space},
                     {"id": "x", "size": 96, **space}],
            "preprocessing": [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["x", "y"]}}],
        }  # fmt: skip
        drawn = {
            "id": "probability", "test_tensor": {"source": "test_output.npy"},
            "axes": [{"type": "batch"}, {"type": "channel", "channel_names": ["probability"]},
                     *({"id": i, "size": {"tensor_id": "raw", "axis_id": i}, "halo": 8, **space} for i in "yx")],
            "postprocessing": [{"id": "sigmoid"}, {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}],
        }  # fmt: skip
        code = {"source": "unet2d.py", "callable": "UNet2d", "kwargs": weights.pop("kwargs")}
        weights |= {"architecture": code, "pytorch_version": "1.5.1"}
    return {**described, "inputs": [image], "outputs": [drawn], "weights": {"pytorch_state_dict": weights}}


def _broad(out: Path, version: str, network: nn.Module) -> Path:
    from ruyaml import YAML

    described, weights = io.BytesIO(), io.BytesIO()
    YAML(typ="safe").dump(_described(version), described)
    torch.save(network.state_dict(), weights)
    files = {"rdf.yaml": described, "broad_weights.torch": weights}
    for name in ("test_input.npy", "test_output.npy"):
        np.save(files.setdefault(name, io.BytesIO()), np.zeros((1, 1, 64, 96), np.float32))
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content.getvalue())
        archive.writestr("README.md", "# UNet 2D Nuclei Broad")
        archive.writestr("unet2d.py", "raise SystemExit('this must not be run')")
    return out


@pytest.fixture
def theirs() -> nn.Module:
    torch.manual_seed(3)
    network = _Theirs().eval()
    with torch.no_grad():
        # Random weights alone draw nearly the same everywhere.
        network.output.weight.mul_(30)
    return network


@pytest.mark.parametrize("version", ["0.4.9", "0.5.3"])
def test_unet2d_nuclei_broad_says_what_it_says_elsewhere(
    version: str, theirs: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(predict_module, "resolve_device", lambda policy: DeviceChoice("cpu", "float32"))
    assert main(["models", "broad", "--import", str(_broad(tmp_path / "theirs.zip", version, theirs))]) == 0
    assert "imported broad" in capsys.readouterr().out
    found = next(model for model in list_models() if model.name == "broad")
    assert found.config.architecture == "unet-bilinear" and found.normalizer.method == "standard"
    assert (found.config.in_channels, found.config.base_channels, found.config.levels) == (1, 16, 3)
    assert found.training["imported"]["license"] == "MIT"
    image = (900 + 9 * blobs(1, size=240, n=40).image[:64, :96]).astype(np.uint16)
    raw = image.astype(np.float32)
    x = torch.from_numpy((raw - raw.mean()) / (raw.std() + 1e-6))
    with torch.no_grad():
        expected = theirs(x[None, None]).sigmoid()[0, 0].numpy()
    assert expected.std() > 0.05 and x.max() > 3
    probability = predict(normalize(image, found.normalizer), found).probability
    np.testing.assert_allclose(probability, expected, atol=1e-4)
    # Three equal colours are grey.
    colours = predict(normalize(np.repeat(image[..., None], 3, 2), found.normalizer), found).probability
    np.testing.assert_allclose(colours, expected, atol=1e-4)
    cells = segment(image, model="broad", threshold=float(np.median(expected)), min_size=1)
    assert cells.count > 0 and cells.recipe.load_model() == found


def test_the_weights_alone_are_the_same_network(theirs: nn.Module, tmp_path: Path) -> None:
    torch.save(theirs.state_dict(), tmp_path / "broad.pth")
    alone = import_model(tmp_path / "broad.pth", normalisation="standard")
    packed = import_model(_broad(tmp_path / "theirs.zip", "0.5.3", theirs))
    assert (alone.sha256, alone.config, alone.normalizer) == (packed.sha256, packed.config, packed.normalizer)


def test_a_network_with_normalisations_between_is_refused(theirs: nn.Module, tmp_path: Path) -> None:
    theirs.encoders[0].append(nn.BatchNorm2d(16))
    with pytest.raises(ModelError, match=r"of another network than they seem .*Taken are U-Nets"):
        import_model(_broad(tmp_path / "theirs.zip", "0.5.3", theirs))


def test_a_network_with_two_classes_is_refused(theirs: nn.Module, tmp_path: Path) -> None:
    theirs.output = nn.Conv2d(16, 2, 1)
    with pytest.raises(ModelError, match="no network that can be rebuilt here"):
        import_model(_broad(tmp_path / "theirs.zip", "0.5.3", theirs))


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
