"""What scripts call: the same numbers as the window, the command line and a batch."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import napari_cellseg
from napari_cellseg import (
    CellsegError,
    Recipe,
    Segmentation,
    calibrate,
    evaluate,
    finetune,
    matching,
    open_cells,
    read_image,
    segment,
    segment_folder,
    segment_stack,
    train,
)
from napari_cellseg.cli import main
from napari_cellseg.imaging.errors import DatasetError, ImageError, ModelError, OutputError, ParamsError
from napari_cellseg.imaging.write.write import read_labels, write_labels
from napari_cellseg.network.config import UNetConfig
from napari_cellseg.network.versions import ModelVersion
from napari_cellseg.results.counts import read_counts
from tests.models import make_model

SAMPLE = Path(napari_cellseg.__file__).parent / "samples" / "fluorescence.png"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return read_image(SAMPLE).plane()[:200, :240]


@pytest.fixture
def cells(image: np.ndarray) -> Segmentation:
    return segment(image, device="cpu")


def test_the_top_level_names_twenty_at_most_and_each_has_a_page() -> None:
    names = [name for name in dir(napari_cellseg) if not name.startswith("_")]
    assert len(names) <= 20 and set(names) <= set(napari_cellseg.__all__)
    for name in names:
        assert len(inspect.getdoc(getattr(napari_cellseg, name)) or "") > 40, name


def test_importing_loads_neither_torch_nor_a_window() -> None:
    code = "import sys; from napari_cellseg import *; print([m for m in ('torch', 'napari') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_recipe_gives_the_labels_of_the_command_line(model: ModelVersion, tmp_path: Path) -> None:
    recipe = Recipe(str(model.path), threshold=0.45, min_size=9)
    recipe.write(tmp_path / "recipe.json")
    ours = segment(SAMPLE, tmp_path / "recipe.json", device="cpu")
    command = ["segment", str(SAMPLE), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*command, "--recipe", str(tmp_path / "recipe.json")]) == 0
    np.testing.assert_array_equal(ours.labels, read_labels(tmp_path / "out" / "fluorescence_labels.tif"))
    np.testing.assert_array_equal(segment(SAMPLE, recipe, device="cpu").labels, ours.labels)
    assert segment(SAMPLE, recipe, threshold=0.6, device="cpu").threshold == 0.6
    # A recipe of a result names the weights; another model that is asked for is another model.
    assert ours.recipe.model_sha256 == model.sha256
    assert segment(SAMPLE, ours.recipe, model="cells", device="cpu").recipe.model == "cells"


def test_the_sliders_move_without_a_prediction(cells: Segmentation) -> None:
    thresholds, counts = cells.count_curve()
    for place in (0, len(counts) // 2, -1):
        assert cells.at(threshold=float(thresholds[place])).count == counts[place]
    larger = cells.at(min_size=200)
    assert larger.count == len(np.unique(larger.labels)) - 1 < cells.count
    assert larger.threshold == cells.threshold and cells.min_size < 200
    with pytest.raises(ParamsError):
        cells.at(threshold=2)


def test_corrections_outlast_the_sliders_and_are_saved(cells: Segmentation, image: np.ndarray, tmp_path: Path) -> None:
    first, second = cells.table["index"][:2].tolist()
    before = cells.count
    assert cells.delete(first).count == before - 1
    assert cells.undo() and cells.count == before and cells.redo()
    painted = cells.labels.copy()
    painted[:6, :6] = 0
    painted[1:5, 1:5] = 5000
    cells.paint(painted)
    assert cells.accept(second).at(threshold=0.99).labels[2, 2] > 0
    with pytest.raises(CellsegError):
        cells.delete(first)
    labels, _, counts, recipe, rois = cells.save(tmp_path, outputs=["rois", "cells", "rle"], name="a")
    assert rois == tmp_path / "a_rois.zip"
    assert all((tmp_path / name).is_file() for name in ("a_rois.zip", "cells.csv", "rle.csv"))
    (row,) = read_counts(counts) or ()
    assert (row.count, row.corrected) == (cells.count, True)
    assert json.loads(recipe.read_text())["corrections"]["erased"] == 1
    again = open_cells(labels, image)
    np.testing.assert_array_equal(again.labels, cells.labels)
    assert again.delete(second).undo() and again.metadata["corrected"]


def test_classes_by_example_are_in_the_recipe(cells: Segmentation, image: np.ndarray, tmp_path: Path) -> None:
    order = cells.table["index"][np.argsort(cells.table["area_px"])].tolist()
    examples = {"small": order[:3], "large": order[-3:]}
    assert cells.classify(examples) is cells and cells.classify(examples).count == len(order)
    found = dict(zip(cells.table["index"].tolist(), cells.table["class"].tolist(), strict=True))
    assert [found[id_] for id_ in (*order[:3], *order[-3:])] == ["small"] * 3 + ["large"] * 3
    numbers = cells.counted.numbers
    assert numbers["class_small"] + numbers["class_large"] == cells.count
    cells.recipe.write(tmp_path / "recipe.json")
    again = segment(image, recipe=tmp_path / "recipe.json", device="cpu")
    assert again.counted.numbers == numbers
    np.testing.assert_array_equal(again.table["class_certainty"], cells.table["class_certainty"])
    more = again.at(0.7).classify({"small": order[3:4]}).recipe.classes
    assert more is not None and more.numbers == {"small": 4, "large": 3}
    with pytest.raises(CellsegError, match="no cell 99999"):
        cells.classify({"small": [99999]})


def test_nothing_of_another_program_is_replaced(cells: Segmentation, tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text("mine\n")
    with pytest.raises(OutputError, match="not written by napari-cellseg"):
        cells.save(tmp_path, outputs=["cells"], name="a")
    assert [path.name for path in tmp_path.glob("a_*")] == []
    with pytest.raises(ParamsError, match="Unknown outputs"):
        cells.save(tmp_path / "new", outputs=["rios"])
    assert not (tmp_path / "new").exists()


def test_labels_of_any_tool_become_cells(image: np.ndarray, tmp_path: Path) -> None:
    labels = np.zeros(image.shape, np.uint16)
    labels[10:30, 10:30], labels[50:60, 50:60] = 3, 7
    cells = open_cells(labels, image)
    assert cells.count == 2 and cells.table["index"].tolist() == [3, 7]
    write_labels(tmp_path / "b.tif", labels)
    assert open_cells(tmp_path / "b.tif", image).count == 2
    with pytest.raises(ImageError, match="is not known"):
        open_cells(tmp_path / "b.tif")


def test_a_data_frame_has_the_table(cells: Segmentation) -> None:
    frame = cells.to_dataframe()
    assert frame.index.tolist() == cells.table["index"].tolist() and (frame["area_px"] > 0).all()


def test_a_stack_in_memory_equals_one_on_disk(image: np.ndarray, model: ModelVersion, tmp_path: Path) -> None:
    import tifffile

    stack = np.stack([image, image, np.roll(image, 3, axis=0)])
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "TYX"})
    recipe = Recipe(str(model.path), threshold=0.5, min_size=9)
    for link in ("none", "t"):
        labels, planes = segment_stack(stack, recipe, axes="TYX", link=link, device="cpu")
        done = segment_folder(tmp_path / "a.tif", tmp_path / link, recipe, pages="stack", link=link, device="cpu")
        assert len(planes) == len(done.rows) == 3 and done.summary.n_failed == 0
        assert [cells.count for cells in planes] == [row.count for row in done.rows] or link == "t"
        name = "a_labels.tif" if link == "none" else "a_tracks.tif"
        files = {name for row in done.rows for name in row.files.values()} | {name}
        found = next(tmp_path / link / one for one in sorted(files) if (tmp_path / link / one).suffix == ".tif")
        np.testing.assert_array_equal(labels, tifffile.imread(found))


def test_a_folder_is_done_as_by_the_command_line(model: ModelVersion, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(SAMPLE.read_bytes())
    (tmp_path / "in" / "bad.png").write_bytes(b"no picture")
    heard: list[object] = []
    done = segment_folder(tmp_path / "in", tmp_path / "out", model=model, device="cpu", callback=heard.append)
    assert [row.state for row in done.rows] == ["done", "failed"] and heard
    assert done.to_dataframe()["count"].tolist()[0] == segment(SAMPLE, model=model, device="cpu").count
    again = segment_folder([tmp_path / "in"], tmp_path / "out", model=model, device="cpu", resume=True)
    assert again.summary.n_skipped == 1


def test_a_setting_that_does_not_exist_is_named(image: np.ndarray) -> None:
    with pytest.raises(ParamsError, match="treshold"):
        segment(image, treshold=0.5)  # type: ignore[call-arg]
    with pytest.raises(ParamsError, match="model="):
        segment(image, "cells")
    with pytest.raises(CellsegError, match="no pair"):
        evaluate([3])  # type: ignore[list-item]
    with pytest.raises(DatasetError, match="No images"):
        evaluate([])


def test_scores_of_pairs_files_and_corrections_agree(image: np.ndarray, model: ModelVersion, tmp_path: Path) -> None:
    cells = segment(image, device="cpu")
    for i in ("images", "labels"):
        (tmp_path / i).mkdir()
    write_labels(tmp_path / "images" / "a.tif", image.astype(np.uint16))
    write_labels(tmp_path / "labels" / "a.tif", cells.labels)
    corrected = open_cells(cells.labels, image).mark_reviewed()
    for data in ([(image, cells.labels)], tmp_path, [corrected]):
        scored = evaluate(data, device="cpu").to_dict()["all"]
        assert scored["f1_mean"] == 1 and scored["count_mae"] == 0
    assert matching(cells.labels, cells.labels).f1[0] == 1
    found = calibrate([(image, cells.labels)], model=model, goal="ap", device="cpu")
    with pytest.raises(ModelError, match="came with the package"):
        calibrate([(image, cells.labels)], set_defaults=True, device="cpu")
    calibrate([(image, cells.labels)], model=model, goal="ap", set_defaults=True, device="cpu")
    assert segment(image, model=model, device="cpu").threshold == found.threshold


def test_models_are_trained_and_fine_tuned(image: np.ndarray, tmp_path: Path) -> None:
    cells = segment(image, device="cpu")
    pairs = [(image, cells.labels), (np.rot90(image), np.rot90(cells.labels))]
    short = {"steps": 2, "batch_size": 1, "crop": 32, "validate_every": 1, "device": "cpu"}
    made = train(pairs, tmp_path / "new", validation=0.5, network=UNetConfig(base_channels=4, levels=2), **short)
    assert made.version is not None and made.measured is not None
    heard: list[object] = []
    corrected = open_cells(cells.labels, image).mark_reviewed()
    tuned = finetune([corrected], tmp_path / "tuned", parent=made.version, callback=heard.append, **short)
    assert tuned.version is not None and tuned.comparison is not None and heard
    assert segment(image, model=tuned.version, device="cpu").recipe.model == str(tmp_path / "tuned")
    with pytest.raises(DatasetError, match="reviewed"):
        finetune([open_cells(cells.labels, image)], tmp_path / "none", parent=made.version)
