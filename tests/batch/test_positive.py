"""Positive cells, classes and grown nuclei: Python, window, command line and batch say the same in equal bytes."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_cellseg import segment
from napari_cellseg.batch.events import RowDone
from napari_cellseg.batch.run import iter_batch
from napari_cellseg.cli import main
from napari_cellseg.corrections import CorrectedInstances, Corrections
from napari_cellseg.corrections.calling import call_cells
from napari_cellseg.corrections.run_lengths import CLASS
from napari_cellseg.imaging.errors import ImageError
from napari_cellseg.imaging.progress import drain
from napari_cellseg.imaging.read.read import find_images
from napari_cellseg.imaging.write.write import read_labels
from napari_cellseg.instances.area_files import read_areas, write_outlines
from napari_cellseg.instances.filters import filters_of
from napari_cellseg.results.counts import COUNTS_FILE, read_counts
from napari_cellseg.results.ledger import Ledger
from napari_cellseg.results.save_cells import command_line, save_cells
from napari_cellseg.results.save_corrected import save_into_batch
from napari_cellseg.segmentation.cells import Cells
from napari_cellseg.segmentation.classes import Classes
from napari_cellseg.segmentation.classing import example_of
from napari_cellseg.segmentation.counting import class_features
from napari_cellseg.segmentation.options import RunOptions
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segment import iter_predict_image, open_image
from tests.blobs import blobs
from tests.tables import rows_of

MARKERS = ["GFP>150", "RFP:ring>40"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two images of three channels, and one without GFP."""
    for i, names in enumerate((["DAPI", "GFP", "RFP"], ["DAPI", "GFP", "RFP"], ["DAPI", "CFP", "RFP"])):
        blob = blobs(i).image
        channels = np.stack([blob, 3 * blob[::-1], blob.T]).astype(np.uint16)
        about = {"axes": "CYX", "Channel": {"Name": names}, "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        (tmp_path / "in").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "in" / f"{i}.tif", channels, ome=True, metadata=about)
    return tmp_path / "in"


def run(*words: str) -> int:
    return main(["segment", *words, "--device", "cpu"])


def cells_in_window(path: Path, recipe: Recipe) -> Cells:
    """The cells as a session holds them."""
    found = drain(iter_predict_image(open_image(path), Recipe(recipe.model, channel=recipe.channel), "cpu"))
    corrected = CorrectedInstances(found.instances, Corrections(found.instances.shape))
    return Cells(
        found, found.threshold, found.min_size, corrected, 0, recipe.positive, recipe.grow, classes=recipe.classes
    )


def test_a_folder_is_counted_and_a_channel_that_is_missing_costs_its_columns(
    images: Path, model: str, tmp_path: Path
) -> None:
    words = ["--model", model, "--channel", "0", "--grow", "1.5um", "--cells"]
    for marker in MARKERS:
        words += ["--positive", marker]
    assert run(str(images), "--out", str(tmp_path / "out"), *words) == 0
    table, cells = rows_of(tmp_path / "out" / COUNTS_FILE), rows_of(tmp_path / "out" / "cells.csv")
    for row in table:
        own = [cell for cell in cells if cell["image"] == row["image"]]
        recipe = {"channel": 0, "device": "cpu", "grow": "1.5um", "positive": MARKERS}
        alone = segment(images / row["image"], model=model, **recipe)  # type: ignore[arg-type]
        assert int(row["count"]) == len(own) == alone.count > 0
        for name in ("GFP", "RFP"):
            if name == "GFP" and row["image"].startswith("2"):
                assert row["n_GFP_pos"] == row["pct_GFP_pos"] == "" and "no channel 'GFP'" in row["notes"]
                assert {cell["GFP_value"] for cell in own} == {""}
                continue
            n = sum(cell[f"{name}_pos"] == "True" for cell in own)
            assert int(row[f"n_{name}_pos"]) == n == alone.counted.numbers[f"{name}_pos"]
            assert float(row[f"pct_{name}_pos"]) == pytest.approx(100 * n / len(own))
            np.testing.assert_array_equal(
                [float(cell[f"{name}_value"] or "nan") for cell in own], alone.table[f"{name}_value"]
            )
        grown = read_labels(tmp_path / "out" / f"{row['image'].removesuffix('.tif')}_grown.tif")
        np.testing.assert_array_equal(grown, alone.counted.grown)
        assert (grown > 0).sum() > (alone.labels > 0).sum() and (grown == alone.labels)[alone.labels > 0].all()
    both = [int(row["n_GFP_pos_RFP_neg"]) + int(row["n_GFP_pos_RFP_pos"]) for row in table[:2]]
    assert both == [int(row["n_GFP_pos"]) for row in table[:2]] and "n_CFP_pos" not in table[0]
    # The table alone tells as much as the ledger.
    known = read_counts(tmp_path / "out" / COUNTS_FILE)
    assert known is not None and known[0].positive["GFP_pos"] == int(table[0]["n_GFP_pos"])
    # The folder of results holds no further images.
    with pytest.raises(ImageError, match="No image was found"):
        find_images(tmp_path / "out")


def test_window_and_command_line_write_equal_bytes(
    images: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.from_dict({"model": model, "channel": 0, "grow": "4px:RFP", "positive": MARKERS})
    cells = cells_in_window(images / "0.tif", recipe)
    save_cells(cells, tmp_path / "window", "0")
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command_line(cells))
    assert main([*words[1:]]) == 0
    for name in ("0_labels.tif", "0_grown.tif"):
        assert (tmp_path / "window" / name).read_bytes() == (tmp_path / "results" / name).read_bytes()
    (window,), (batch,) = rows_of(tmp_path / "window" / COUNTS_FILE), rows_of(tmp_path / "results" / COUNTS_FILE)
    assert {**window, "seconds": ""} == {**batch, "seconds": ""} and window["n_GFP_pos"]


def with_classes(recipe: Recipe, path: Path) -> Recipe:
    """The recipe with the brightest and darkest cells of an image in GFP as examples."""
    found = cells_in_window(path, recipe).result()
    image, ids = open_image(path), found.table["index"]
    columns = class_features(image, found.labels, found.counted.grown, ids)
    classes = Classes(("dim", "bright"), tuple(columns))
    order = np.argsort(columns["intensity_mean_GFP"])
    for name, places in (("dim", order[:3]), ("bright", order[-3:])):
        for i in places.tolist():
            one = example_of(classes, columns, i, name, image.name, image.content_hash(), int(ids[i]))
            classes = replace(classes, examples=(*classes.examples, one))
    return replace(recipe, classes=classes)


def test_classes_are_the_same_in_python_window_command_line_and_batch(
    images: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = with_classes(Recipe.from_dict({"model": model, "channel": 0, "grow": "3px"}), images / "0.tif")
    recipe.write(tmp_path / "0_recipe.json")
    monkeypatch.chdir(tmp_path)
    words = ["--recipe", "0_recipe.json", "--save", "labels,cells"]
    assert run(str(images), "--out", "batch", *words) == 0
    cells = cells_in_window(images / "0.tif", recipe)
    save_cells(cells, tmp_path / "window", "0", outputs=["cells"])
    assert main(shlex.split(command_line(cells))[1:]) == 0
    table, own = rows_of(tmp_path / "batch" / COUNTS_FILE), rows_of(tmp_path / "batch" / "cells.csv")
    for row in table:
        mine = [cell for cell in own if cell["image"] == row["image"]]
        alone = segment(images / row["image"], recipe="0_recipe.json")
        assert int(row["count"]) == len(mine) == alone.count > 0
        if row["image"] == "2.tif":
            assert row["n_class_dim"] == "" and "intensity_mean_GFP" in row["notes"] and not row["error"]
            continue
        said = [cell["class"] for cell in mine]
        assert said == alone.table["class"].tolist() and row["pct_class_dim"]
        for name in ("dim", "bright"):
            assert int(row[f"n_class_{name}"]) == said.count(name) == alone.counted.numbers[f"class_{name}"]
        certainty = [float(cell["class_certainty"]) for cell in mine]
        np.testing.assert_array_equal(certainty, alone.table["class_certainty"])
    first = {**table[0], "seconds": ""}
    for folder in ("window", "results"):
        assert {**rows_of(tmp_path / folder / COUNTS_FILE)[0], "seconds": ""} == first
    window = rows_of(tmp_path / "window" / "cells.csv")
    assert [(cell["class"], cell["class_certainty"]) for cell in window] == [
        (cell["class"], cell["class_certainty"]) for cell in own if cell["image"] == "0.tif"
    ]
    known = read_counts(tmp_path / "batch" / COUNTS_FILE)
    assert known is not None and known[0].positive["class_dim"] == int(table[0]["n_class_dim"])


def test_markers_classes_filters_and_regions_together_write_equal_bytes(
    images: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fold at once: the window, the command line by options, and by the recipe that the window saved."""
    recipe = Recipe.from_dict({"model": model, "channel": 0, "grow": "4px:RFP", "positive": MARKERS})
    recipe = replace(with_classes(recipe, images / "0.tif"), filters=filters_of(["circularity>=0.3"]), edges="frame:5")
    half = np.array([(0, 0), (0, 48), (96, 48), (96, 0)], float)
    write_outlines(images / "0_regions.geojson", [("left", [half]), ("right", [half + (0, 48)])])  # noqa: RUF005
    cells = cells_in_window(images / "0.tif", recipe).filtered(recipe.sieve)
    areas = read_areas(images / "0_regions.geojson", cells.segmented.instances.shape)
    cells = replace(cells, segmented=cells.segmented.in_areas(areas))
    outputs = ["labels", "cells", "rois"]
    save_cells(cells, tmp_path / "window", "0", outputs=outputs)
    monkeypatch.chdir(tmp_path)
    saved = [*shlex.split(command_line(cells))[1:], "--save", ",".join(outputs)]
    saved[saved.index("--recipe") + 1] = "window/0_recipe.json"
    assert main(saved) == 0
    words = ["--recipe", "window/0_recipe.json", "--save", ",".join(outputs), "--regions", "beside"]
    assert run(str(images / "0.tif"), "--out", "recipe", *words) == 0
    own = ("0_labels.tif", "0_grown.tif", "regions.csv", "0_rois.zip")
    for name in own:
        files = [(tmp_path / folder / name).read_bytes() for folder in ("window", "results", "recipe")]
        assert files[0] == files[1] == files[2], name
    rows = [
        rows_of(tmp_path / folder / COUNTS_FILE)[0] | {"seconds": "", "files": ""} for folder in ("window", "recipe")
    ]
    assert rows[0] == rows[1] == rows_of(tmp_path / "results" / COUNTS_FILE)[0] | {"seconds": "", "files": ""}
    assert int(rows[0]["count"]) > 0 and all(rows[0][f"n_{name}"] for name in ("GFP_pos", "class_dim"))
    window, batch = (rows_of(tmp_path / folder / "cells.csv") for folder in ("window", "recipe"))
    columns = [name for name in window[0] if name in batch[0]]
    assert {"GFP_pos", "RFP_value", "markers", "class", "region", "circularity"} <= set(columns)
    assert [[row[name] for name in columns] for row in window] == [[row[name] for name in columns] for row in batch]


def test_a_class_by_hand_is_saved_and_in_no_other_result(images: Path, model: str, tmp_path: Path) -> None:
    recipe = with_classes(Recipe.from_dict({"model": model, "channel": 0}), images / "0.tif")
    cells = cells_in_window(images / "1.tif", recipe)
    plain = cells.result()
    id_, was = int(plain.table["index"][0]), str(plain.table["class"][0])
    other = "dim" if was == "bright" else "bright"
    cells.corrected.corrections.apply(call_cells(cells.view, id_, CLASS, other))
    save_cells(cells, tmp_path / "window", "1")
    (row,) = rows_of(tmp_path / "window" / COUNTS_FILE)
    assert int(row[f"n_class_{other}"]) == plain.counted.numbers[f"class_{other}"] + 1
    cell = rows_of(tmp_path / "window" / "1_cells.csv")[0]
    assert (cell["class"], cell["class_certainty"], cell["yours"]) == (other, "1.0", "called")


def test_a_flip_is_saved_and_a_batch_leaves_it_alone(images: Path, model: str, tmp_path: Path) -> None:
    recipe = Recipe.from_dict({"model": model, "channel": 0, "positive": ["GFP>150"]})
    out, options = tmp_path / "out", RunOptions("cpu", outputs=("labels", "cells"))
    drain(iter_batch(find_images(images), out, recipe, options))
    row = next(row for row in Ledger(out).rows() if row.image == "0.tif")
    cells = cells_in_window(images / "0.tif", recipe)
    plain = cells.result()
    id_, was = int(plain.table["index"][0]), bool(plain.table["GFP_pos"][0])
    cells.corrected.corrections.apply(call_cells(cells.view, id_, "GFP", not was))
    saved = save_into_batch(cells, out, row, recipe)
    assert saved.positive["GFP_pos"] == plain.counted.numbers["GFP_pos"] + (-1 if was else 1)
    moved = Recipe.from_dict({**recipe.to_dict(), "positive": ["GFP>1e9"]})
    events = list(iter_batch(find_images(images), out, moved, options))
    (kept,) = [event.row for event in events if isinstance(event, RowDone) and event.row.state == "kept"]
    first, second, _ = rows_of(out / COUNTS_FILE)
    assert int(first["n_GFP_pos"]) == saved.positive["GFP_pos"] == kept.positive["GFP_pos"]
    assert "another recipe" in " ".join(kept.notes)
    assert second["n_GFP_pos"] == "0"
    (cell,) = [cell for cell in rows_of(out / "cells.csv") if cell["image"] == "0.tif" and cell["index"] == str(id_)]
    assert cell["GFP_pos"] == str(not was) and cell["yours"] == "called"


def test_resuming_counts_anew_where_a_marker_moved(images: Path, model: str, tmp_path: Path) -> None:
    def states(*more: str) -> list[str]:
        assert (
            run(str(images), "--out", str(tmp_path / "out"), "--model", model, "--channel", "0", "--resume", *more) == 0
        )
        return [line["n_RFP_pos"] for line in rows_of(tmp_path / "out" / COUNTS_FILE)]

    few, all_ = states("--positive", "RFP>1e9"), states("--positive", "RFP>-1e9")
    assert set(few) == {"0"} and all_ == [line["count"] for line in rows_of(tmp_path / "out" / COUNTS_FILE)]
    assert states("--positive", "RFP>-1e9") == all_


@pytest.mark.parametrize("words", [["--positive", "GFP"], ["--grow", "3"], ["--positive", "GFP:ring>3"]])
def test_bad_options_are_refused_in_words(images: Path, words: list[str], tmp_path: Path, capsys: object) -> None:
    assert run(str(images), "--out", str(tmp_path / "out"), *words) == 1
    assert not (tmp_path / "out").exists()


def test_an_image_done_in_blocks_is_called_but_for_what_needs_all_of_it(
    images: Path, model: str, tmp_path: Path
) -> None:
    words = ["--model", model, "--channel", "0", "--blocks", "--grow", "9px:RFP"]
    words += ["--positive", "GFP>150", "--positive", "RFP:ring>1"]
    assert run(str(images), "--out", str(tmp_path / "out"), *words) == 0
    first, second, third = rows_of(tmp_path / "out" / COUNTS_FILE)
    alone = segment(images / "0.tif", model=model, channel=0, device="cpu", positive=["GFP>150"])
    assert int(first["n_GFP_pos"]) == alone.counted.numbers["GFP_pos"] and second["n_GFP_pos"]
    assert "up to the edge in RFP" in first["notes"] and "not called RFP" in first["notes"]
    assert third["n_GFP_pos"] == "" and "no channel 'GFP'" in third["notes"] and int(third["count"]) > 0


def test_every_plane_of_a_stack_is_counted(model: str, tmp_path: Path) -> None:
    planes = np.stack([np.stack([blobs(i).image, blobs(i).image]) for i in range(2)]).astype(np.uint16)
    about = {"axes": "TCYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(tmp_path / "film.tif", planes, ome=True, metadata=about)
    words = ["--model", model, "--channel", "0", "--pages", "stack", "--positive", "GFP:cell>130", "--grow", "2px"]
    assert run(str(tmp_path / "film.tif"), "--out", str(tmp_path / "out"), *words) == 0
    rows = rows_of(tmp_path / "out" / COUNTS_FILE)
    assert len(rows) == 2 and all(int(row["n_GFP_pos"]) <= int(row["count"]) for row in rows)
    assert {path.name for path in (tmp_path / "out").glob("*_grown.tif")} == {
        f"film_t{i:03d}_grown.tif" for i in range(2)
    }
