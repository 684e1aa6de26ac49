"""Kinds of images: told apart by colour and ground, editable, compared with a person's; unlike images are told."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.cli import main
from napari_cellseg.evaluation.kinds import compare_kinds, iter_kinds
from napari_cellseg.evaluation.kinds_table import KindTable, sources
from napari_cellseg.imaging.errors import DatasetError, ImageError, ParamsError
from napari_cellseg.imaging.progress import drain
from napari_cellseg.imaging.write.write import write_labels
from napari_cellseg.network.versions import load_model, read_version
from napari_cellseg.segmentation.familiar import FAMILIAR_FILE, Familiar, familiar_to, remember_images, unlike
from napari_cellseg.segmentation.image_features import FEATURES, image_features
from napari_cellseg.training.data.choice import DataChoice
from napari_cellseg.training.data.dataset_report import DatasetReport
from napari_cellseg.training.data.general import general_samples
from napari_cellseg.training.data.loading import Loaded
from tests.models import make_model

COUNTS = {"fluorescence": 12, "histology": 4, "brightfield": 2}


def draw(kind: str, seed: int, shape: tuple[int, int] = (90, 110)) -> np.ndarray:
    """Discs on a ground, in the colours of the kind."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    cells = np.zeros(shape)
    for _ in range(8):
        away = np.hypot(y - rng.uniform(0, shape[0]), x - rng.uniform(0, shape[1]))
        cells = np.maximum(cells, np.clip(8 - away, 0, 1))
    noise = rng.normal(0, 3, shape)
    if kind == "fluorescence":
        return np.clip(8 + cells * rng.uniform(60, 200) + noise, 0, 255).astype(np.uint8)
    if kind == "brightfield":
        return np.clip(220 - cells * 150 + noise, 0, 255).astype(np.uint8)
    ground, cell = np.array([230, 170, 220]), np.array([90, 40, 150])
    return np.clip(ground + cells[..., None] * (cell - ground) + noise[..., None], 0, 255).astype(np.uint8)


def images() -> list[tuple[str, np.ndarray, str]]:
    return [(f"{kind}{i}", draw(kind, i), "") for kind, n in COUNTS.items() for i in range(n)]


def test_rare_kinds_are_found_and_named() -> None:
    """k-means likes clusters of one size; two brightfield images among twelve others are a kind all the same."""
    found = drain(iter_kinds(images(), sum(COUNTS.values())))
    assert found.counts() == COUNTS
    assert all(name.startswith(kind) for name, kind in zip(found.images, found.kinds, strict=True))
    assert found.groups == found.images


@pytest.mark.parametrize("kind", list(COUNTS))
def test_features_do_not_depend_on_the_range_of_values(kind: str) -> None:
    plane = draw(kind, 0)
    expected = image_features(plane)
    assert np.isfinite(expected).all() and len(expected) == len(FEATURES)
    for other in (plane.astype(np.uint16) * 200 + 1000, plane / 3.0, plane.astype(np.float32) - 50):
        np.testing.assert_allclose(image_features(other), expected, atol=1e-6)


def test_strange_images_have_features_too() -> None:
    holes = draw("fluorescence", 0).astype(float)
    holes[:5] = np.nan
    for plane in (np.zeros((1, 1)), np.full((40, 40, 3), 7), holes, np.eye(30, dtype=bool)):
        assert np.isfinite(image_features(plane)).all()
    with pytest.raises(ImageError, match="no number"):
        image_features(np.full((4, 4), np.nan))
    with pytest.raises(ImageError, match=r"\(3, 4, 4\)"):
        image_features(np.zeros((3, 4, 4)))


def test_too_many_kinds_and_images_that_are_all_alike() -> None:
    same = [(str(i), draw("fluorescence", 0), "") for i in range(4)]
    assert drain(iter_kinds(same, 4, k=3)).counts() == {"fluorescence": 4}
    with pytest.raises(DatasetError, match="4 image"):
        drain(iter_kinds(same, 4, k=5))
    with pytest.raises(ParamsError, match="0 kinds"):
        drain(iter_kinds(same, 4, k=0))


def test_agreement_whatever_the_kinds_are_called() -> None:
    theirs = {"a": "x", "b": "x", "c": "y", "d": "y", "e": "", "f": "z"}
    renamed = compare_kinds({"a": "1", "b": "1", "c": "2", "d": "2", "e": "2", "g": "2"}, theirs)
    assert (renamed.n_images, renamed.adjusted_rand, renamed.accuracy) == (4, 1, 1)
    wrong = compare_kinds({"a": "1", "b": "1", "c": "1", "d": "2"}, theirs)
    assert wrong.accuracy == 0.75 and wrong.adjusted_rand < 0.5 and wrong.crossed["y"] == {"1": 1, "2": 1}
    assert compare_kinds({"q": "1"}, theirs) is None


def test_the_command_writes_a_table_that_evaluation_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("images", "labels"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for name, plane, _ in images():
        if name in ("fluorescence0", "fluorescence3", "fluorescence6", "brightfield0"):
            write_labels(tmp_path / "data/images" / f"{name}.tif", plane)
            write_labels(tmp_path / "data/labels" / f"{name}.tif", (plane > 100).astype(np.uint8))
    given = tmp_path / "groups.csv"
    given.write_text("image_id,kind,group\nfluorescence0,dark,1\nfluorescence3,dark,1\nbrightfield0,light,2\n")
    table, page = tmp_path / "kinds.csv", tmp_path / "kinds.html"
    asked = ["kinds", str(tmp_path / "data"), "--k", "2", "--groups", str(given)]
    assert main([*asked, "--out", str(table), "--html", str(page)]) == 0
    said = capsys.readouterr().out
    assert "adjusted Rand index 1.000, 100.0% of 3 images" in said
    rows = list(csv.DictReader(table.open()))
    assert list(rows[0]) == ["image_id", "kind", "group"] and {r["kind"] for r in rows} == {
        "fluorescence",
        "brightfield",
    }
    assert page.read_text().count("data:image/png") == len(rows)
    # A person edits the table; evaluation takes it as it then is.
    table.write_text(table.read_text().replace("brightfield,", "odd,"))
    own = make_model(tmp_path / "own")
    out = tmp_path / "out"
    run = ["evaluate", str(tmp_path / "data"), "--model", str(own.path), "--device", "cpu", "--out", str(out)]
    assert main([*run, "--groups", str(table)]) == 0
    assert json.loads((out / "metrics.json").read_text())["odd"]["n_images"] == 1
    assert main([*asked, "--out", str(given)]) == 1
    assert "dark" in given.read_text(), "what a person gave is not overwritten"


def test_a_plain_folder_of_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, plane, _ in images()[-4:]:
        if plane.ndim == 2:
            write_labels(tmp_path / f"{name}.tif", plane)
    assert main(["kinds", str(tmp_path), "--k", "1"]) == 0
    assert "brightfield" in capsys.readouterr().out


def test_unlike_images_are_told_and_like_ones_are_not(tmp_path: Path) -> None:
    own = make_model(tmp_path / "own")
    assert unlike(draw("histology", 0), own) is None, "nothing is known yet"
    remember_images(own.path, [draw("fluorescence", i) for i in range(15)])
    for seed in range(100, 110):
        assert unlike(draw("fluorescence", seed), own) is None
        assert unlike(draw("fluorescence", seed).astype(np.uint16) * 100, own) is None
    said = unlike(draw("brightfield", 0), own)
    assert said is not None and "ground is brighter" in said and "the 15 that own" in said
    assert "more colour" in str(unlike(draw("histology", 0), own))
    assert unlike(np.random.default_rng(0).random((80, 80)), own) is not None
    assert unlike(np.full((5, 5), np.nan), own) is None

    child = make_model(tmp_path / "child")
    remember_images(child.path, [draw("brightfield", i) for i in range(3)], own)
    assert unlike(draw("brightfield", 9), child) is None and unlike(draw("fluorescence", 9), child) is None
    assert "the 18 that child" in str(unlike(draw("histology", 0), child))


def test_what_is_familiar_survives_the_disk_and_stays_small(tmp_path: Path) -> None:
    own = make_model(tmp_path / "own")
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (1000, len(FEATURES)))
    features[500] = 40
    familiar = Familiar.from_features(features)
    assert len(familiar.vectors) == 256 and familiar.n_images == 1000
    assert familiar.distance(features[500]) == 0, "what is rare is kept"
    assert np.mean([familiar.distance(f) > 1 for f in rng.normal(0, 1, (200, len(FEATURES)))]) < 0.05
    (own.path / FAMILIAR_FILE).write_text(json.dumps(familiar.to_dict()))
    again = familiar_to(read_version(own.path))
    assert again is not None and again.limit == pytest.approx(familiar.limit, abs=1e-3)
    for damaged in ("{", "[]", '{"features": ["other"]}', json.dumps({**familiar.to_dict(), "scale": [1]})):
        (own.path / FAMILIAR_FILE).write_text(damaged)
        assert familiar_to(own) is None and unlike(draw("histology", 0), own) is None
    assert remember_images(tmp_path, []) is None and not (tmp_path / FAMILIAR_FILE).exists()
    assert Familiar.from_features(features[:1]).distance(features[0] + 0.01) < 1


def test_the_bundled_model_knows_its_images() -> None:
    model = load_model("cells")
    assert familiar_to(model) is not None
    warned = [sample.kind for sample in general_samples("check") if unlike(sample.image, model)]
    assert len(warned) <= 3 and "fluorescence" not in warned
    page = np.kron(np.random.default_rng(0).integers(0, 2, (30, 30)), np.ones((8, 8))) * 255
    assert unlike(page, model) is not None


@pytest.mark.parametrize("kind", list(COUNTS))
def test_a_crop_has_the_features_of_the_image(kind: str) -> None:
    plane = np.tile(draw(kind, 0, (128, 128)), (4, 4) if kind != "histology" else (4, 4, 1))
    np.testing.assert_allclose(image_features(plane[:256, :256]), image_features(plane), atol=0.1)


def test_the_table_that_was_kept_last_comes_first_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, loaded = DataChoice(tmp_path / "data"), Loaded((), DatasetReport("data", "nothing", 0, 0, {}, {}))
    first, second = (KindTable(("a",), (kind,), ("a",), {}) for kind in ("dark", "light"))
    first.keep(data, tmp_path)
    monkeypatch.setattr("time.time_ns", lambda: 10**9)
    kept = second.keep(data, tmp_path)
    assert sources(data, loaded, None, tmp_path)[0].path == kept
