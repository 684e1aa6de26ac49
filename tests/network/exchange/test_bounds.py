"""Models from elsewhere are bounded before they are unpacked or built, and a killed import leaves nothing."""

from __future__ import annotations

import json
import multiprocessing
import resource
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_cellseg.imaging import ModelError
from napari_cellseg.network.exchange.import_model import import_model
from napari_cellseg.network.ready import load_network
from napari_cellseg.network.versions import read_version, user_models_dir
from tests.models import make_model


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path / "home"))


def zipped(folder: Path, path: Path, **more: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
        for name, content in more.items():
            archive.writestr(name.replace("_", "."), content)
    return path


def test_a_text_that_is_far_too_long_is_not_unpacked(tmp_path: Path) -> None:
    ours = make_model(tmp_path / "ours").path
    (ours / "training.json").write_bytes(b" " * (70 << 20))
    for source in (ours, zipped(ours, tmp_path / "a.zip")):
        with pytest.raises(ModelError, match=r"training\.json.* bytes"):
            import_model(source, "x")
    assert list(user_models_dir().iterdir()) == []


class Call:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.called = function, arguments

    def __reduce__(self) -> Any:
        return self.called


@pytest.mark.parametrize(
    "held",
    [Call(bytearray, 10**10), Call(torch.FloatStorage, 10**10), Call(torch.Tensor, 10**5, 10**5)],
    ids=["bytearray", "storage", "tensor"],
)
def test_weights_take_no_more_memory_than_the_file_has(held: Any, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for legacy in (False, True):
        torch.save({"a": torch.zeros(3), "b": held}, tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy)
        with pytest.raises(ModelError, match=r"x\.pth"):
            import_model(tmp_path / "x.pth", normalisation="type")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10


def test_weights_that_announce_more_than_they_hold(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "x.pth")
    with pytest.raises(ModelError, match="announces 1,000,000,000,000 values and holds fewer"):
        import_model(tmp_path / "x.pth", normalisation="type")
    torch.save({"a": torch.zeros(60 << 20)}, tmp_path / "x.pth")
    with zipfile.ZipFile(tmp_path / "x.pth") as plain, zipfile.ZipFile(tmp_path / "y.pth", "w", 8) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(ModelError, match="unpacks to"):
        import_model(tmp_path / "y.pth", normalisation="type")


def test_a_network_is_not_built_before_its_weights_are_known_to_fit(tmp_path: Path) -> None:
    path = make_model(tmp_path / "ours").path
    values = json.loads((path / "config.json").read_text())
    values["network"] |= {"levels": 8, "base_channels": 128}
    (path / "config.json").write_text(json.dumps(values))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match="do not fit its configuration"):
        load_network(read_version(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10


def test_what_a_killed_import_left_is_removed_by_the_next(tmp_path: Path) -> None:
    ours = make_model(tmp_path / "ours").path
    child = multiprocessing.get_context("spawn").Process(target=int)
    child.start()
    child.join()
    left = user_models_dir() / f".import-{child.pid}-abc" / "x"
    left.mkdir(parents=True)
    import_model(ours, "x")
    assert [folder.name for folder in user_models_dir().iterdir()] == ["x"]
