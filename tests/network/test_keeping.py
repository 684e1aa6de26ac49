"""Models are renamed and deleted, and what was made from them stays whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from napari_cellseg.imaging.errors import ModelError
from napari_cellseg.network.keeping import delete_model, made_from, rename_model
from napari_cellseg.network.version_files import settings_of, write_config
from napari_cellseg.network.versions import ModelVersion, lineage, list_models, load_model, user_models_dir
from tests.models import make_model


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path / "home"))


@pytest.fixture
def family() -> tuple[ModelVersion, ModelVersion]:
    """A model, and one that was made from it."""
    make_model(user_models_dir() / "first")
    second = make_model(user_models_dir() / "second", seed=1)
    write_config(second.path, **settings_of(second) | {"parent": "first"})
    return load_model("first"), load_model("second")


def test_a_renamed_model_stays_the_parent_of_those_made_from_it(family: tuple[ModelVersion, ModelVersion]) -> None:
    first, second = family
    assert made_from(first, list_models()) == ["second"]
    renamed = rename_model(first, " my cells 2 ")
    assert renamed.name == "my cells 2" and renamed.sha256 == first.sha256 and not first.path.exists()
    after = load_model("second")
    assert lineage(after, list_models()) == ["my cells 2", "second"] and after.sha256 == second.sha256


def test_a_deleted_model_is_gone_and_those_made_from_it_are_not(family: tuple[ModelVersion, ModelVersion]) -> None:
    delete_model(family[0])
    assert not list(user_models_dir().glob(".first*")) and not family[0].path.exists()
    assert lineage(load_model("second"), list_models()) == ["first (gone)", "second"]


@pytest.mark.parametrize("name", ["", "second", "cells", "../first", "a/b", ".hidden", "ends."])
def test_a_name_that_is_taken_or_no_folder_is_refused(family: tuple[ModelVersion, ModelVersion], name: str) -> None:
    with pytest.raises(ModelError, match="name"):
        rename_model(family[0], name)
    assert load_model("first").sha256 == family[0].sha256


@pytest.mark.parametrize("change", [delete_model, lambda model: rename_model(model, "other")])
def test_only_own_models_are_changed(tmp_path: Path, change: Callable[[ModelVersion], object]) -> None:
    for model in (load_model("cells"), make_model(tmp_path / "elsewhere")):
        with pytest.raises(ModelError, match="Only your own models"):
            change(model)
        assert model.weights.is_file()
