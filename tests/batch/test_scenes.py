"""A batch of files that hold several images: a row for each, and a bad one costs its own."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from napari_cellseg import segment
from napari_cellseg.batch.run import iter_batch
from napari_cellseg.cli import main
from napari_cellseg.imaging.progress import drain
from napari_cellseg.imaging.read.read import find_images, read_image, source_stamp
from napari_cellseg.imaging.write.write import read_labels
from napari_cellseg.results.ledger import Ledger
from napari_cellseg.results.reopening import saved_cells
from napari_cellseg.segmentation.options import RunOptions
from napari_cellseg.segmentation.recipe import Recipe
from tests.blobs import blobs
from tests.imaging.read.microscopes.vendor_files import write_lif, write_nd2
from tests.models import make_model

ON_CPU = RunOptions("cpu")
PLANES = [blobs(i).image.astype(np.uint16) for i in range(3)]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return Recipe(str(make_model(tmp_path_factory.mktemp("models") / "tiny").path))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    line = np.ascontiguousarray(PLANES[0])
    write_lif(folder / "exp.lif", [("S1", "YX", PLANES[0]), ("line", "TX", line), ("S2", "YX", PLANES[1])])
    (folder / "cut.lif").write_bytes((folder / "exp.lif").read_bytes()[:500])
    (folder / "notes.abc").write_text("no image")
    return folder


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "counts.csv").open(newline="", encoding="utf-8") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def test_every_image_of_a_file_is_a_row_and_a_bad_one_costs_its_own(images, tmp_path, recipe):
    out = tmp_path / "out"
    summary = drain(iter_batch(find_images(images), out, recipe, ON_CPU))
    assert (summary.n_done, summary.n_failed) == (2, 2)
    found = rows(out)
    assert set(found) == {"cut.lif", "exp_S1", "exp_S2", "exp_line"}
    assert "cut.lif" in found["cut.lif"]["error"]
    assert "holds no plane of an image here" in found["exp_line"]["error"]
    for name, plane in (("S1", PLANES[0]), ("S2", PLANES[1])):
        labels = read_labels(out / f"exp_{name}_labels.tif")
        np.testing.assert_array_equal(labels, segment(plane, model=recipe.model, device="cpu").labels)
    row = next(row for row in Ledger(out).rows() if row.image == "exp_S2")
    assert row.source == {"path": str(images / "exp.lif" / "S2"), **source_stamp(images / "exp.lif")}
    # What was done is not done again, and each file of labels finds its image.
    again = drain(iter_batch(find_images(images), out, recipe, ON_CPU, resume=True))
    assert (again.n_skipped, again.n_done, again.n_failed) == (2, 0, 2)
    saved = saved_cells(out / "exp_S2_labels.tif")
    assert saved is not None and saved.find_image() == images / "exp.lif" / "S2"


def test_a_file_that_was_moved_keeps_its_results(images, tmp_path, recipe):
    out = tmp_path / "out"
    drain(iter_batch(find_images(images / "exp.lif", scenes="0,2"), out, recipe, ON_CPU))
    images.rename(tmp_path / "elsewhere")
    found = find_images(tmp_path / "elsewhere" / "exp.lif", scenes="0,2")
    again = drain(iter_batch(found, out, recipe, ON_CPU, resume=True))
    assert (again.n_skipped, again.n_done) == (2, 0)
    assert sorted(path.name for path in out.glob("*.tif")) == ["exp_S1_labels.tif", "exp_S2_labels.tif"]


def test_the_command_line_chooses_scenes_and_says_what_it_left_out(images, tmp_path, recipe, capsys):
    command = ["segment", str(images), "--out", str(tmp_path / "out"), "--model", recipe.model, "--device", "cpu"]
    assert main([*command, "--scenes", "0,s2", "--pattern", "exp*"]) == 0
    assert set(rows(tmp_path / "out")) == {"exp_S1", "exp_S2"}
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "1 file of another kind was left out (.abc 1)." in said
    assert main([*command, "--scenes", "9", "--pattern", "exp*"]) == 1
    assert "No image has a scene 9" in capsys.readouterr().err


def test_a_list_of_images_may_name_files_and_scenes(images, tmp_path, recipe):
    listed = [str(images / "exp.lif" / "S2"), [str(images / "exp.lif" / "S1"), "mine"]]
    (tmp_path / "list.json").write_text(json.dumps(listed))
    out = tmp_path / "out"
    command = ["segment", "--files-from", str(tmp_path / "list.json"), "--out", str(out), "--model", recipe.model]
    assert main([*command, "--device", "cpu"]) == 0
    assert set(rows(out)) == {"exp_S2", "mine"}


def test_time_points_of_a_position_that_are_there_are_done(tmp_path, recipe):
    film = np.stack([np.stack(PLANES), np.stack(PLANES[::-1])])[..., None]
    path = write_nd2(tmp_path / "a.nd2", film, ["A01", "A02"], absent=[4])
    out = tmp_path / "out"
    each = Recipe(recipe.model, pages="each")
    summary = drain(iter_batch(find_images(path), out, each, ON_CPU))
    assert (summary.n_done, summary.n_failed) == (5, 1)
    failed = next(row for row in Ledger(out).rows() if row.state == "failed")
    assert (failed.image, failed.page) == ("a_A02", "t001")
    assert "plane 4 is not in the file" in failed.error
    np.testing.assert_array_equal(read_image(path / "A01").data[2], PLANES[2])
