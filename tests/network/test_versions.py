"""Model versions: listing, importing, and every way in which a model folder can be bad."""

from __future__ import annotations

import json
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import load_file, save_file

from napari_cellseg import segment
from napari_cellseg.cli import main
from napari_cellseg.imaging.errors import ImageError, ModelError
from napari_cellseg.network.exchange.import_model import import_model
from napari_cellseg.network.ready import load_network
from napari_cellseg.network.unet import UNet
from napari_cellseg.network.version_files import set_defaults
from napari_cellseg.network.versions import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    ModelVersion,
    file_sha256,
    list_models,
    load_model,
    user_models_dir,
)
from tests.attacks.state import mutated_json
from tests.models import make_model


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def model(tmp_path: Path) -> ModelVersion:
    return make_model(tmp_path / "mine")


def test_the_bundled_model_comes_first_and_is_whole() -> None:
    first = list_models()[0]
    assert first.name == "cells" and first.bundled
    assert load_model("cells") == first
    assert first.weights.stat().st_size < 40e6
    load_network(first)


def test_a_folder_imports_lists_and_loads(model: ModelVersion) -> None:
    imported = import_model(model.path, name="other name")
    assert imported.path == user_models_dir() / "other name"
    assert imported in list_models()
    assert load_model("other name").sha256 == model.sha256
    with pytest.raises(ModelError, match="already"):
        import_model(model.path, name="other name")
    with pytest.raises(ModelError, match="already"):
        import_model(model.path, name="cells")


def test_a_zip_imports_whatever_folder_is_inside(model: ModelVersion, tmp_path: Path) -> None:
    path = tmp_path / "packed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in model.path.iterdir():
            archive.write(file, f"deep/er/{file.name}")
        archive.writestr("../../escape.txt", "no")
    assert import_model(path).sha256 == model.sha256
    assert sorted(p.name for p in user_models_dir().iterdir()) == ["packed"]


@pytest.mark.parametrize("folder", ["theirs/", "others/"])
def test_a_zip_with_a_file_twice_is_told(model: ModelVersion, folder: str, tmp_path: Path) -> None:
    packed = tmp_path / "theirs.zip"
    with zipfile.ZipFile(packed, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for place in ("theirs/", folder):
            for file in model.path.iterdir():
                archive.write(file, place + file.name)
    with pytest.raises(ModelError, match=r"2 entries named 'theirs/|several files \w+"):
        import_model(packed)
    assert not (user_models_dir() / "theirs").exists()


def test_an_unusable_import_leaves_nothing(model: ModelVersion) -> None:
    blob = (model.path / WEIGHTS_FILE).read_bytes()
    (model.path / WEIGHTS_FILE).write_bytes(blob[:-4] + b"\x00\x01\x02\x03")
    with pytest.raises(ModelError, match="not those"):
        import_model(model.path)
    assert list(user_models_dir().iterdir()) == []


@pytest.mark.parametrize("name", ["../escape", "a/b", ""])
def test_names_cannot_leave_the_folder(model: ModelVersion, name: str) -> None:
    if name:
        with pytest.raises(ModelError, match="name"):
            import_model(model.path, name=name)
    with pytest.raises(ModelError):
        load_model(name)


def test_unknown_model_lists_the_known() -> None:
    with pytest.raises(ModelError, match=r"nowhere.*Known models: cells"):
        load_model("nowhere")


def test_missing_files_are_named(model: ModelVersion) -> None:
    (model.path / WEIGHTS_FILE).rename(model.path / "elsewhere")
    with pytest.raises(ModelError, match=WEIGHTS_FILE):
        load_model(model.path)
    (model.path / CONFIG_FILE).unlink()
    with pytest.raises(ModelError, match=CONFIG_FILE):
        load_model(model.path)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_weights(model: ModelVersion, keep: int) -> None:
    blob = model.weights.read_bytes()
    model.weights.write_bytes(blob[:keep])
    with pytest.raises(ModelError, match=r"safetensors|cut short"):
        load_model(model.path)


class Bomb:
    """Writes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_a_hostile_pickle_is_not_opened(model: ModelVersion, tmp_path: Path) -> None:
    mark = tmp_path / "exploded"
    for write in (
        lambda: model.weights.write_bytes(pickle.dumps(Bomb(mark))),
        lambda: torch.save({"w": Bomb(mark)}, model.weights),
    ):
        write()
        with pytest.raises(ModelError, match="safetensors"):
            load_model(model.path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99},
        {"network": {"levels": "many"}},
        {"network": {"transformer": True}},
        {"normalizer": None},
        {"threshold": "half"},
        {"split": {"floor": 7}},
    ],
)
def test_garbled_settings(model: ModelVersion, change: dict) -> None:
    values = json.loads((model.path / CONFIG_FILE).read_text())
    (model.path / CONFIG_FILE).write_text(json.dumps({**values, **change}))
    with pytest.raises(ModelError):
        load_model(model.path)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_config_that_is_not_json_settings(model: ModelVersion, text: str) -> None:
    (model.path / CONFIG_FILE).write_text(text)
    with pytest.raises(ModelError, match=CONFIG_FILE):
        load_model(model.path)


def test_weights_of_another_shape(model: ModelVersion, tmp_path: Path) -> None:
    other = make_model(tmp_path / "wide", base_channels=6)
    with pytest.raises(ModelError, match="changed or damaged"):
        shutil.copy(other.weights, model.weights)
        load_network(load_model(model.path))
    values = json.loads((other.path / CONFIG_FILE).read_text())
    values["network"]["base_channels"] = 4
    (model.path / CONFIG_FILE).write_text(json.dumps(values))
    with pytest.raises(ModelError, match="do not fit"):
        load_network(load_model(model.path))


def test_a_damaged_model_does_not_hide_the_others(model: ModelVersion) -> None:
    import_model(model.path, "good")
    broken = import_model(model.path, "broken")
    broken.weights.write_bytes(b"x")
    assert [m.name for m in list_models() if not m.bundled] == ["good"] and len(list_models()) > 1


def test_new_defaults_keep_the_weights(model: ModelVersion) -> None:
    changed = set_defaults(model, 0.35, 17)
    assert (changed.threshold, changed.min_size, changed.sha256) == (0.35, 17, model.sha256)


def test_weights_survive_storing_in_half_precision(model: ModelVersion) -> None:
    torch.manual_seed(0)
    network = UNet(model.config)
    stored = load_network(model).state_dict()
    for name, value in network.state_dict().items():
        if value.ndim > 1 and not name.startswith("heads"):
            torch.testing.assert_close(stored[name], value, rtol=1e-3, atol=1e-4)


def test_no_mutated_settings_raise_anything_but_a_model_error(model: ModelVersion) -> None:
    """Types, ranges and sizes are checked where they are read: no mutant takes memory, and a name cannot escape."""
    path = model.path / CONFIG_FILE
    n_refused = 0
    for name, text in mutated_json(json.loads(path.read_text()), 250):
        path.write_text(text, errors="surrogatepass")
        try:
            load_network(load_model(model.path))
        except ModelError:
            n_refused += 1
        assert [found.name for found in list_models() if not found.bundled] == [], name
    assert 150 < n_refused < 250


@pytest.mark.parametrize("training", [{"training_images": 5}, {"data": "x"}, {"hours": "x"}, {"parameters": []}, []])
def test_a_damaged_training_record_is_named(training: object, model: ModelVersion) -> None:
    (model.path / "training.json").write_text(json.dumps(training))
    with pytest.raises(ModelError, match=r"training\.json"):
        load_model(model.path)


def rewritten(model: ModelVersion, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change a version's weights, and their hash in its settings, as a damaged training would leave them."""
    state = load_file(model.weights)
    change(state)
    save_file(state, model.weights)
    values = json.loads((model.path / CONFIG_FILE).read_text())
    (model.path / CONFIG_FILE).write_text(json.dumps({**values, "weights_sha256": file_sha256(model.weights)}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state["heads.foreground.weight"].fill_(torch.nan), "no numbers"),
        (lambda state: state["heads.foreground.bias"].fill_(torch.inf), "no numbers"),
        (lambda state: next(v for k, v in state.items() if k.endswith("running_var")).fill_(-1), "negative variances"),
        (lambda state: state.pop("heads.foreground.bias"), "do not fit"),
    ],
    ids=["NaN", "infinite", "negative variance", "one is missing"],
)
def test_a_model_that_is_not_sane_is_refused(
    change: Callable[[dict[str, torch.Tensor]], object], words: str, model: ModelVersion
) -> None:
    rewritten(model, change)
    with pytest.raises(ModelError, match=words):
        load_network(load_model(model.path))
    with pytest.raises(ModelError, match=words):
        import_model(model.path, name="not sane")
    assert list_models()[-1].bundled


def test_a_prediction_that_is_not_finite_is_an_error_and_not_an_image_without_cells(
    model: ModelVersion, tmp_path: Path
) -> None:
    """Finite weights, each of them sane by itself, whose products are not: a batch reports the image."""

    def huge(state: dict[str, torch.Tensor]) -> None:
        for name, value in list(state.items()):
            if value.is_floating_point() and not name.endswith("running_var"):
                state[name] = 1e30 * (torch.rand(value.shape) - 0.5)

    rewritten(model, huge)
    image = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    with pytest.raises(ImageError, match="holds values that are no numbers"):
        segment(image, model=str(load_model(model.path).path), diameter=0)
    tifffile.imwrite(tmp_path / "a.tif", image)
    words = ["segment", str(tmp_path / "a.tif"), "--out", str(tmp_path / "out"), "--model", str(model.path)]
    assert main([*words, "--diameter", "0", "--device", "cpu"]) == 1
    assert "no numbers" in (tmp_path / "out" / "counts.csv").read_text() and not list(tmp_path.glob("out/*labels*"))
