"""Networks of other packages find cells everywhere that our own do, and fail in words."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cellseg import list_models, load_model, open_cells, segment
from napari_cellseg.batch.item import segment_item
from napari_cellseg.cli import main
from napari_cellseg.evaluation.agreement.agreement import Agreement
from napari_cellseg.evaluation.doctor import SAMPLE
from napari_cellseg.imaging.errors import ModelError
from napari_cellseg.imaging.normalize import normalize
from napari_cellseg.imaging.progress import drain
from napari_cellseg.imaging.read.read import read_image
from napari_cellseg.imaging.write.write import write_labels
from napari_cellseg.instances import Instances, Prediction
from napari_cellseg.network import plugged
from napari_cellseg.network.ready import load_network
from napari_cellseg.network.version_files import set_defaults
from napari_cellseg.reports.agreement_report import AGREEMENT_FILE
from napari_cellseg.results.plan import Item
from napari_cellseg.segmentation.options import RunOptions
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segment import iter_predict_image


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the small package where installed ones are found."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "tiny_networks"))
    plugged._load.cache_clear()


def test_they_are_models_and_none_is_imported_to_list_them() -> None:
    sys.modules.pop("tiny_networks", None)
    models = {model.name: model for model in list_models()}
    assert models["network:bright"].description == "A network of tiny-networks 1.0" and "cells" in models
    assert "tiny_networks" not in sys.modules
    assert load_model("network:bright") == models["network:bright"]
    assert len({models[f"network:{name}"].sha256 for name in ("bright", "blobs", "masks")}) == 3
    with pytest.raises(ModelError, match="network:nothing"):
        load_model("network:nothing")


@pytest.mark.parametrize("name", ["bright", "blobs"])
def test_the_sliders_are_live_and_counts_can_only_fall(name: str) -> None:
    found = drain(iter_predict_image(read_image(SAMPLE), Recipe(f"network:{name}"), "cpu"))
    counts = [found.instances.count(threshold, 20) for threshold in (0.15, 0.5, 0.85, 0.95)]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1] and 80 < counts[1] < 200
    assert (
        found.prediction.device == f"CPU ({name})" and found.result().metadata["recipe"]["model"] == f"network:{name}"
    )
    if name == "blobs":
        own = found.prediction.basins
        assert own is not None and np.array_equal(found.labels(0, 0), own), "its cells, not split again"


def test_labels_alone_are_cells_at_every_threshold() -> None:
    low, high = (
        segment(SAMPLE, model="network:masks", threshold=threshold, min_size=0, device="cpu")
        for threshold in (0.1, 0.9)
    )
    assert low.count == high.count > 80
    np.testing.assert_array_equal(low.labels, high.labels)


def test_a_batch_gives_what_one_image_does_and_its_recipe_repeats_it(tmp_path: Path) -> None:
    words = ["segment", str(SAMPLE), "--out", str(tmp_path / "a"), "--device", "cpu"]
    assert main([*words, "--model", "network:blobs", "--cells", "--min-size", "30"]) == 0
    (row,) = csv.DictReader((tmp_path / "a" / "counts.csv").open(encoding="utf-8"))
    assert int(row["count"]) == segment(SAMPLE, model="network:blobs", min_size=30, device="cpu").count
    words[3] = str(tmp_path / "b")
    assert main([*words, "--recipe", str(tmp_path / "a" / "recipe.json")]) == 0
    names = [next((tmp_path / folder).glob("*_labels.tif")) for folder in "ab"]
    assert names[0].read_bytes() == names[1].read_bytes()


@pytest.mark.parametrize("name", ["bright", "blobs", "masks"])
def test_corrections_outlast_the_sliders_and_come_back_with_the_file(name: str, tmp_path: Path) -> None:
    cells = segment(SAMPLE, model=f"network:{name}", min_size=30, device="cpu")
    first, second = cells.table["index"][:2].tolist()
    before, gone, kept = cells.count, cells.labels == first, cells.labels == second
    painted = cells.delete(first).accept(second).labels.copy()
    painted[200:207, :7] = 0
    painted[201:206, 1:6] = 5000
    cells.paint(painted)
    assert cells.count == before
    for threshold, min_size in ((0.2, 0), (0.95, 0), (0.95, 10_000)):
        labels = cells.at(threshold, min_size).labels
        assert not labels[gone & (painted == 0)].any() and labels[kept].all() and labels[201:206, 1:6].all()
    assert cells.at(0.95, 10_000).count == 2, "only what a user vouched for"
    files = cells.save(tmp_path)
    again = open_cells(files[0]).labels
    np.testing.assert_array_equal(again > 0, cells.labels > 0)
    # The same cells; one that a user accepted may have another number.
    assert len(np.unique(np.stack([again, cells.labels]).reshape(2, -1), axis=1).T) == len(np.unique(cells.labels))


def test_counts_of_a_batch_are_checked_against_those_by_people(tmp_path: Path) -> None:
    """Six crops; the interval is of this network's counts, and another network's are of another recipe."""
    (tmp_path / "in").mkdir()
    plane = read_image(SAMPLE).plane()
    for i, size in enumerate(range(120, 180, 10)):
        write_labels(tmp_path / "in" / f"{i}.tif", plane[:size, :size])
    words = ["segment", str(tmp_path / "in"), "--device", "cpu", "--min-size", "20", "--out"]
    for name in ("blobs", "bright"):
        assert main([*words, str(tmp_path / name), "--model", f"network:{name}"]) == 0
    rows = list(csv.DictReader((tmp_path / "blobs" / "counts.csv").open(encoding="utf-8")))
    people = tmp_path / "people.csv"
    people.write_text("image,people\n" + "".join(f"{row['image']},{int(row['count']) - 1}\n" for row in rows))
    check = ["agreement", str(people), "--out", str(tmp_path / "check"), "--counts"]
    assert main([*check, str(tmp_path / "blobs" / "counts.csv")]) == 0
    found = Agreement.from_dict(json.loads((tmp_path / "check" / AGREEMENT_FILE).read_text()))
    assert found.n == 6 and found.bias == 1 and found.interval(int(rows[3]["count"])) is not None
    other = next(csv.DictReader((tmp_path / "bright" / "counts.csv").open(encoding="utf-8")))
    assert other["recipe"] != rows[0]["recipe"] and {row["recipe"] for row in rows} == {rows[0]["recipe"]}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wrong_shape", r"shape \(3, 3\)"),
        ("wrong_values", "finite"),
        ("wrong_names", "answers with mask"),
        ("failing", "ZeroDivisionError: of no use"),
        ("gone", "cannot be loaded"),
    ],
)
def test_what_is_no_answer_is_refused_in_words(name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        segment(np.random.default_rng(0).random((40, 50), np.float32), model=f"network:{name}", device="cpu")


def test_what_needs_weights_says_so() -> None:
    model = load_model("network:bright")
    with pytest.raises(ModelError, match="cannot be trained"):
        load_network(model)
    with pytest.raises(ModelError, match="not changed"):
        set_defaults(model, 0.4, 10)


def test_an_image_in_blocks_fails_by_itself(tmp_path: Path) -> None:
    item = Item(Path(SAMPLE), "nuclei.tif", "nuclei")
    (row,) = drain(segment_item(item, Recipe("network:bright"), tmp_path, RunOptions(blocks=True)))
    assert row.state == "failed" and "network of another package" in row.error and "block by block" in row.error


def test_the_example_of_the_documentation_is_a_network() -> None:
    page = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    image = normalize(read_image(SAMPLE).plane())
    maps = plugged._checked(names["find_cells"](image, device="cpu", diameter=None), image.shape, "mine")
    assert Instances.from_prediction(Prediction(maps["probability"], maps["distance"])).count(0.5, 25) > 80
