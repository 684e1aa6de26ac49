"""The U-Net compiled by OpenVINO says what torch says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_cellseg.network.predict as predict_module
from napari_cellseg.network.building import build_network, fuse_for_inference
from napari_cellseg.network.compiled import SWITCH, CompiledNetwork, can_compile
from napari_cellseg.network.config import UNetConfig, config_for
from napari_cellseg.network.devices import DeviceChoice
from napari_cellseg.network.predict import predict
from napari_cellseg.network.ready import load_network
from napari_cellseg.network.versions import load_model
from tests.models import make_model

pytest.importorskip("openvino")


@pytest.mark.parametrize(
    "config",
    [
        {"base_channels": 4, "levels": 3},
        {"base_channels": 5, "levels": 1, "in_channels": 1, "dropout": 0.4},
        {"base_channels": 6, "levels": 2, "fold": 2},
        {"base_channels": 3, "levels": 2, "heads": (("foreground", 1),)},
    ],
)
def test_compiled_equals_torch(config: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every size of network, any height and width, several tiles at once; up to rounding."""
    monkeypatch.setattr(predict_module, "resolve_device", lambda policy: DeviceChoice("cpu", "float32"))
    image = np.random.default_rng(0).random((131, 90), np.float32)
    compiled = predict(image, make_model(tmp_path / "a", **config))
    monkeypatch.setenv(SWITCH, "0")
    by_torch = predict(image, make_model(tmp_path / "b", **config))
    assert "OpenVINO" in compiled.device and "OpenVINO" not in by_torch.device
    assert np.ptp(by_torch.probability) > 0.1
    np.testing.assert_allclose(compiled.probability, by_torch.probability, atol=2e-5)
    assert (compiled.distance is None) == (by_torch.distance is None) == ("heads" in config)
    if by_torch.distance is not None and compiled.distance is not None:
        np.testing.assert_allclose(compiled.distance, by_torch.distance, atol=2e-5)


def test_half_precision_of_the_bundled_model_is_near_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model("cells")
    network = fuse_for_inference(load_network(model))
    x = torch.rand(1, 3, 96, 112, generator=torch.Generator().manual_seed(0))
    whole, half = (CompiledNetwork(network, dtype).maps(x) for dtype in ("float32", "bfloat16"))
    for name in ("foreground", "distance"):
        assert whole[name].shape == (1, 96, 112) and whole[name].dtype == np.float32
        np.testing.assert_allclose(half[name], whole[name], atol=0.02)


def test_the_number_of_threads_changes_nothing() -> None:
    network = fuse_for_inference(build_network(UNetConfig(base_channels=8, levels=2)).eval())
    x = torch.rand(2, 3, 64, 80, generator=torch.Generator().manual_seed(1))
    before = torch.get_num_threads()
    try:
        found = []
        for n in (1, 2):
            torch.set_num_threads(n)
            found.append(CompiledNetwork(network, "float32").maps(x)["foreground"])
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_what_cannot_be_compiled_runs_on_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = UNetConfig(base_channels=2, levels=1)
    assert can_compile(tiny, "float32") and not can_compile(tiny, "float16")
    assert not can_compile(config_for("resnet34"), "float32")
    monkeypatch.setenv(SWITCH, "0")
    assert not can_compile(tiny, "float32")
    monkeypatch.delenv(SWITCH)

    def broken(*_: object) -> None:
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(CompiledNetwork, "__init__", broken)
    with pytest.warns(UserWarning, match="no such instruction.*torch runs"):
        found = predict(np.ones((20, 20), np.float32), make_model(tmp_path / "a"), "cpu")
    assert "OpenVINO" not in found.device


def test_nothing_is_reported_over_the_network() -> None:
    """OpenVINO's own telemetry package, which sends a message at import, stays unused."""
    code = (
        "import sys, torch\n"
        "from napari_cellseg.network.building import build_network, fuse_for_inference\n"
        "from napari_cellseg.network.compiled import CompiledNetwork\n"
        "from napari_cellseg.network.config import UNetConfig\n"
        "net = fuse_for_inference(build_network(UNetConfig(base_channels=2, levels=1)).eval())\n"
        "CompiledNetwork(net, 'float32').maps(torch.ones(1, 3, 16, 16))\n"
        "assert 'openvino' in sys.modules\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
