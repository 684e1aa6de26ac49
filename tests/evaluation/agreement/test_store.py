"""Counts by people on the disk: they outlive models and sliders, and a damaged file costs no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_cellseg.evaluation.agreement import store as agreement_store
from napari_cellseg.evaluation.agreement.of_batch import read_batch
from napari_cellseg.evaluation.agreement.store import OURS, PEOPLE, AgreementStore, PersonCount, Settings, image_id
from napari_cellseg.imaging.errors import CellsegError
from napari_cellseg.network.versions import ModelVersion
from napari_cellseg.results.counts import open_ledger
from napari_cellseg.results.rows import BatchRow
from napari_cellseg.segmentation.counting import number_names
from napari_cellseg.segmentation.marker import Marker
from napari_cellseg.segmentation.recipe import Recipe
from tests.models import make_model

SETTINGS = Settings("cells", "a" * 64, "b" * 64, 0.5, 25)


@pytest.fixture
def store(tmp_path: Path) -> AgreementStore:
    return AgreementStore(tmp_path / "agreement")


@pytest.fixture
def tiny(tmp_path: Path) -> ModelVersion:
    return make_model(tmp_path / "tiny")


def hash_of(i: int) -> str:
    return f"{i:064x}"


def counted(store: AgreementStore, n: int, more: int = 0) -> None:
    for i in range(n):
        store.put(PersonCount(hash_of(i), f"image {i} µ", 10 * i + more))


def test_what_was_put_is_there_another_day(store: AgreementStore) -> None:
    points = ((1.5, 2.25), (3.0, 4.0))
    store.put(PersonCount(hash_of(1), "a", 2, points))
    store.put(PersonCount(hash_of(2), "b", None, points[:1]))
    store.put_automatic(SETTINGS, {hash_of(1): 3})
    store.put_automatic(SETTINGS, {hash_of(2): 4})
    again = AgreementStore(store.folder)
    assert again.people() == {
        hash_of(1): PersonCount(hash_of(1), "a", 2, points),
        hash_of(2): PersonCount(hash_of(2), "b", None, points[:1]),
    }
    assert again.automatic(SETTINGS) == {hash_of(1): 3, hash_of(2): 4}
    again.forget(hash_of(1))
    assert list(AgreementStore(store.folder).people()) == [hash_of(2)]


def test_only_finished_and_used_counts_agree(store: AgreementStore) -> None:
    counted(store, 6)
    store.put_automatic(SETTINGS, {hash_of(i): 10 * i + 1 for i in range(6)})
    assert store.agreement(SETTINGS).n == 6 and store.agreement(SETTINGS).bias == 1
    store.put(replace(store.people()[hash_of(0)], used=False))
    store.put(PersonCount(hash_of(1), "b", None, ((1.0, 1.0),)))
    assert store.agreement(SETTINGS).n == 4
    # What is at hand goes before what was kept.
    assert store.agreement(SETTINGS, {hash_of(5): 55}).bias == (1 + 1 + 1 + 5) / 4


def test_other_settings_need_counts_of_their_own(store: AgreementStore) -> None:
    counted(store, 6)
    store.put_automatic(SETTINGS, {hash_of(i): 10 * i for i in range(6)})
    for other in (replace(SETTINGS, model_sha256="c" * 64), replace(SETTINGS, recipe_sha256="c" * 64)):
        assert store.agreement(other) is None
        # Also where the beginnings of the hashes, which name the file, are alike.
    alike = replace(SETTINGS, model_sha256="a" * 63 + "b")
    assert alike.name == SETTINGS.name and AgreementStore(store.folder).agreement(alike) is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 1}', '{"format": 9, "people": 3}', "\x00\xff"])
def test_a_damaged_file_costs_no_other(store: AgreementStore, damage: str) -> None:
    counted(store, 6)
    store.put_automatic(SETTINGS, {hash_of(i): 10 * i for i in range(6)})
    (store.folder / PEOPLE / f"{hash_of(2)}.json").write_text(damage, encoding="latin-1")
    again = AgreementStore(store.folder)
    assert again.agreement(SETTINGS).n == 5
    assert [path.stem for path in again.unread] == [hash_of(2)]
    (store.folder / OURS / SETTINGS.name).write_text(damage, encoding="latin-1")
    assert AgreementStore(store.folder).automatic(SETTINGS) == {}


def test_counts_of_ours_do_not_pile_up(store: AgreementStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement_store, "MOST_SETTINGS", 4)
    for i in range(7):
        store.put_automatic(replace(SETTINGS, recipe_sha256=hash_of(i)[::-1]), {hash_of(1): i})
    assert len(list((store.folder / OURS).iterdir())) == 4
    assert AgreementStore(store.folder).automatic(replace(SETTINGS, recipe_sha256=hash_of(6)[::-1])) == {hash_of(1): 6}


@pytest.mark.parametrize("people", [-1, 10**9])
def test_no_count(people: int) -> None:
    with pytest.raises(CellsegError, match="no count of cells"):
        PersonCount(hash_of(1), "a", people)


def test_a_path_is_no_id() -> None:
    with pytest.raises(CellsegError, match="small letters"):
        PersonCount("../../x", "a", 1)


def test_settings_are_those_that_decide_labels(tiny: ModelVersion) -> None:
    recipe = Recipe(str(tiny.path))
    one = Settings.from_recipe(recipe, tiny)
    assert (one.threshold, one.min_size, one.model_sha256) == (tiny.threshold, tiny.min_size, tiny.sha256)
    for same in (replace(recipe, axes="YX"), replace(recipe, threshold=tiny.threshold)):
        assert Settings.from_recipe(same, tiny) == one
    for other in (replace(recipe, threshold=0.123), replace(recipe, channel=1), replace(recipe, accurate=True)):
        assert Settings.from_recipe(other, tiny) != one


def test_how_cells_are_called_decides_the_counts_of_those_alone(tiny: ModelVersion) -> None:
    recipe = Recipe(str(tiny.path), positive=(Marker("GFP", 320.0), Marker("RFP", 5.0, "ring")), grow="3px")
    moved = replace(recipe, positive=(Marker("GFP", 330.0), recipe.positive[1]))
    grown = replace(recipe, grow="4px")
    assert number_names(recipe)[:3] == ["GFP_pos", "RFP_pos", "GFP_pos_RFP_pos"]
    for cells, by_threshold, by_growth in (("", False, False), ("GFP_pos", True, False), ("RFP_pos", False, True)):
        one, *others = (Settings.from_recipe(of, tiny, cells) for of in (recipe, moved, grown))
        assert [one.name != other.name for other in others] == [by_threshold, by_growth]
    names = {Settings.from_recipe(recipe, tiny, cells).name for cells in ("", *number_names(recipe))}
    assert len(names) == 7 and str(Settings.from_recipe(recipe, tiny, "GFP_pos_RFP_neg")).startswith("GFP+ RFP− of ")
    assert PersonCount(image_id(hash_of(1), "DAPI", "t001", "GFP_pos"), "a", 3).id != image_id(
        hash_of(1), "DAPI", "t001"
    )


def test_rows_of_a_batch_that_can_be_compared(tmp_path: Path, tiny: ModelVersion) -> None:
    out = tmp_path / "out"
    recipe = Recipe(str(tiny.path), channel=1).resolved(tiny)
    digest = recipe.digest(tiny)
    good = BatchRow("a.tif", state="done", count=7, recipe=digest, image_sha256=hash_of(1), stem="a")
    rows = [
        replace(good, source={"path": "/there/a.tif"}),
        replace(good, image="copy.tif", stem="copy"),
        replace(good, image="p.tif", page="t001", stem="p", source={"path": "/there/p.tif"}),
        replace(good, image="mine.tif", stem="mine", corrected=True, image_sha256=hash_of(3)),
        replace(good, image="old.tif", stem="old", recipe="0" * 64, image_sha256=hash_of(4)),
        BatchRow("bad.tif", state="failed", error="torn", stem="bad"),
    ]
    with pytest.raises(CellsegError, match="holds no results"):
        read_batch(tmp_path)
    out.mkdir()
    recipe.write(out / "recipe.json")
    ledger = open_ledger(out)
    ledger.put(rows[3:])
    with pytest.raises(CellsegError, match="None of the 2 results"):
        read_batch(out)
    ledger.put(rows[:3])
    ledger.close()
    found = read_batch(out)
    assert [found.id_of(one) for one in found.counts] == [image_id(hash_of(1), 1), image_id(hash_of(1), 1, "t001")]
    assert [one.count for one in found.counts] == [7, 7] and found.counts[1].path == ""
    assert found.left_out == "Skipped: 1 corrected by you and 1 counted with other settings."
    assert found.settings() == Settings.from_recipe(recipe, tiny)
