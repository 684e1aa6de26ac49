"""Segmenting from Python and from the command line: one function, the same numbers."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PILImage

import napari_cellseg
from napari_cellseg import segment
from napari_cellseg.batch.events import RowDone
from napari_cellseg.batch.run import iter_batch
from napari_cellseg.cli import main
from napari_cellseg.imaging.errors import CellsegError, ImageError, ModelError, OutputError, ParamsError
from napari_cellseg.imaging.progress import drain
from napari_cellseg.imaging.read.read import read_image
from napari_cellseg.imaging.write.write import read_labels, read_metadata, write_labels
from napari_cellseg.instances.metrics import match
from napari_cellseg.network.versions import ModelVersion
from napari_cellseg.results.counts import put_rows
from napari_cellseg.results.rows import BatchRow
from napari_cellseg.segmentation.notices import NOT_FINITE
from napari_cellseg.segmentation.options import RunOptions
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.segmentation.segment import iter_predict_image, open_image
from tests.attacks.state import mutated_json
from tests.models import make_model
from tests.warm import Program

SAMPLES = Path(napari_cellseg.__file__).parent / "samples"
TRUTH = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def small_image() -> np.ndarray:
    return read_image(SAMPLES / "fluorescence.png").plane()[:200, :240]


@pytest.mark.parametrize(
    ("key", "least"), [("fluorescence", 0.8), ("fluorescence_dense", 0.6), ("histology", 0.4), ("brightfield", 0.4)]
)
def test_the_bundled_model_finds_the_cells_of_the_samples(key: str, least: float) -> None:
    """The samples are validation images: the model has never seen them."""
    result = segment(SAMPLES / f"{key}.png")
    assert match(tifffile.imread(TRUTH / f"{key}_labels.tif"), result.labels).ap[0] >= least


def test_result_is_consistent(small_image: np.ndarray) -> None:
    result = segment(small_image)
    ids = np.unique(result.labels)
    assert result.count == len(ids) - 1 == len(result.table["index"]) > 10
    np.testing.assert_array_equal(result.table["index"], ids[1:])
    np.testing.assert_array_equal(result.table["area_px"], np.bincount(result.labels.ravel())[ids[1:]])
    assert result.labels.dtype == np.uint16 and result.labels.shape == small_image.shape
    assert result.probability.dtype == np.float32
    assert result.probability[result.labels > 0].min() >= result.threshold - 1 / 255
    assert result.table["area_px"].min() >= result.min_size


def test_a_result_is_saved_with_its_provenance(small_image: np.ndarray, model: ModelVersion, tmp_path: Path) -> None:
    result = segment(small_image, model=str(model.path))
    labels, table, *_ = result.save(tmp_path, name="a")
    np.testing.assert_array_equal(read_labels(labels), result.labels)
    assert read_metadata(labels) == json.loads(json.dumps(result.metadata))
    with table.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == result.count


def test_brightness_and_contrast_do_not_change_the_labels(small_image: np.ndarray) -> None:
    first = segment(small_image).labels
    np.testing.assert_array_equal(segment(small_image.astype(np.uint16) * 200 + 77).labels, first)
    assert match(first, segment(small_image.astype(np.float64) * 1e-9).labels).ap[0] > 0.95


def test_bright_background_works_like_dark(small_image: np.ndarray) -> None:
    assert match(segment(small_image).labels, segment(255 - small_image).labels).f1[0] > 0.6


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1), np.uint8),
        np.full((33, 47), 7, np.int16),
        np.full((40, 40), np.nan),
        np.zeros((17, 5, 3), np.uint8),
        np.zeros((30, 30), bool),
    ],
)
def test_images_without_anything_have_no_cells(image: np.ndarray) -> None:
    result = segment(image)
    assert result.count == 0 and not result.labels.any()
    assert result.labels.shape == image.shape[:2]


def test_nan_and_inf_pixels_do_not_spoil_the_rest(small_image: np.ndarray) -> None:
    spoiled = small_image.astype(np.float32)
    spoiled[:4, :4] = np.nan
    spoiled[-2:, -2:] = np.inf
    assert match(segment(small_image).labels, segment(spoiled).labels).f1[0] > 0.9


def test_an_image_without_any_value_is_told(model: ModelVersion) -> None:
    result = segment(np.full((40, 50), np.nan, np.float32), model=str(model.path))
    assert result.metadata["notes"] == [NOT_FINITE]
    assert segment(np.zeros((40, 50)), model=str(model.path)).metadata["notes"] == []


def test_colour_with_alpha_equals_colour() -> None:
    colour = np.asarray(PILImage.open(SAMPLES / "histology.png").convert("RGB"))
    alpha = np.dstack([colour, np.full(colour.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(segment(alpha).labels, segment(colour).labels)


def test_channels_are_chosen_never_guessed(model: ModelVersion, small_image: np.ndarray) -> None:
    stack = np.stack([np.zeros_like(small_image), small_image])
    with pytest.raises(CellsegError, match="axes"):
        segment(stack, model=str(model.path))
    with pytest.raises(ImageError, match="2 channels"):
        segment(stack, model=str(model.path), axes="CYX")
    chosen = segment(stack, model=str(model.path), axes="CYX", channel=1)
    np.testing.assert_array_equal(chosen.labels, segment(small_image, model=str(model.path)).labels)


def test_every_threshold_from_one_prediction_equals_a_run_of_its_own(model: ModelVersion) -> None:
    image = read_image(SAMPLES / "fluorescence_dense.png")
    segmented = drain(iter_predict_image(image, Recipe(model=str(model.path))))
    for threshold, min_size in ((0.3, 0), (0.55, 12), (0.7, 40)):
        fresh = segment(image, model=str(model.path), threshold=threshold, min_size=min_size)
        reused = segmented.result(threshold, min_size)
        np.testing.assert_array_equal(reused.labels, fresh.labels)
        assert reused.count == fresh.count and reused.metadata == fresh.metadata


def test_errors_name_the_thing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nosuch"):
        segment(np.zeros((9, 9)), model="nosuch")
    with pytest.raises(ImageError, match=r"gone\.tif"):
        segment(tmp_path / "gone.tif")
    for bad in (np.zeros(5), np.zeros((0, 5)), np.array([["a"]])):
        with pytest.raises(ImageError):
            segment(bad)
    for setting in ({"threshold": 1.5}, {"min_size": -1}, {"channel": -1}):
        with pytest.raises(ParamsError):
            Recipe(**setting)
    with pytest.raises(ParamsError, match="tpu"):
        RunOptions("tpu")


def test_recipe_survives_json_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    recipe, options = Recipe("cells", 0.4, 12, 1, "CYX"), RunOptions("cpu", ("labels", "rle"), True)
    recipe.write(tmp_path / "r.json", options)
    assert Recipe.read(tmp_path / "r.json") == recipe and RunOptions.read(tmp_path / "r.json") == options
    written = json.loads((tmp_path / "r.json").read_text())["recipe"]
    assert (written["device"], written["outputs"], written["blocks"]) == ("cpu", ["labels", "rle"], True)
    with pytest.raises(ParamsError, match="gain"):
        Recipe.from_dict({"gain": 2})
    (tmp_path / "r.json").write_text("nonsense")
    with pytest.raises(CellsegError, match=r"r\.json"):
        Recipe.read(tmp_path / "r.json")


def test_progress_says_what_is_being_done(model: ModelVersion) -> None:
    image = open_image(np.zeros((64, 64), np.uint8))
    messages = [p.message for p in iter_predict_image(image, Recipe(model=str(model.path)))]
    assert any("reading" in m for m in messages) and any("tiny" in m for m in messages)


@pytest.fixture
def folder(tmp_path: Path, small_image: np.ndarray) -> Path:
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    tifffile.imwrite(source / "good.tif", small_image, resolution=(2, 2), metadata={"unit": "um"}, imagej=True)
    PILImage.fromarray(small_image).save(source / "deep" / "also.png")
    whole = (source / "good.tif").read_bytes()
    (source / "broken.tif").write_bytes(whole[: len(whole) // 3])
    return source


def test_command_line_gives_the_same_numbers_and_survives_a_bad_file(
    folder: Path, model: ModelVersion, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    options = ["--model", str(model.path), "--threshold", "0.45", "--min-size", "9", "--device", "cpu"]
    status = main(["segment", str(folder), "--cells", "--out", str(out), *options])
    assert status == 1
    assert "broken.tif" in capsys.readouterr().err
    rows = list(csv.DictReader((out / "counts.csv").open()))
    assert list(rows[0])[:3] == ["image", "page", "count"]
    by_name = {row["image"]: row for row in rows}
    assert set(by_name) == {"good.tif", "broken.tif", "deep/also.png"}
    assert by_name["broken.tif"]["count"] == "" and by_name["broken.tif"]["error"]
    expected = segment(folder / "good.tif", model=model, threshold=0.45, min_size=9, device="cpu")
    assert int(by_name["good.tif"]["count"]) == expected.count > 0
    for path in (out / "good_labels.tif", out / "deep" / "also_labels.tif"):
        np.testing.assert_array_equal(read_labels(path), expected.labels)
    assert not (out / "broken_labels.tif").exists()
    record = json.loads((out / "recipe.json").read_text())
    assert record["recipe"]["threshold"] == 0.45 and record["model_sha256"] == model.sha256
    made = Recipe.from_dict(read_metadata(out / "good_labels.tif")["recipe"])
    assert made.digest() == Recipe.read(out / "recipe.json").digest() == by_name["good.tif"]["recipe"]
    cells = list(csv.DictReader((out / "cells.csv").open()))
    assert len(cells) == 2 * expected.count
    assert float(cells[-1]["area_um2"]) == pytest.approx(float(cells[-1]["area_px"]) / 4)
    assert cells[0]["image"] == "deep/also.png" and cells[0]["area_um2"] == ""

    again = tmp_path / "again"
    assert main(["segment", str(folder / "good.tif"), "--recipe", str(out / "recipe.json"), "--out", str(again)]) == 0
    assert (again / "good_labels.tif").read_bytes() == (out / "good_labels.tif").read_bytes()


def test_results_of_a_run_are_not_its_next_input(folder: Path, model: ModelVersion) -> None:
    (folder / "broken.tif").unlink()
    for _ in range(2):
        assert main(["segment", str(folder), "--no-subfolders", "--out", str(folder), "--model", str(model.path)]) == 0
        assert len((folder / "counts.csv").read_text().splitlines()) == 2


def test_a_run_that_is_stopped_keeps_its_counts(folder: Path, model: ModelVersion, tmp_path: Path) -> None:
    files = [(folder / "good.tif", "1"), (folder / "good.tif", "2")]
    steps = iter_batch(files, tmp_path / "out", Recipe(model=str(model.path)))
    while not isinstance(next(steps), RowDone):
        pass
    steps.close()
    assert len((tmp_path / "out" / "counts.csv").read_text().splitlines()) >= 2


def test_a_file_where_the_folder_should_be(folder: Path, model: ModelVersion, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="out"):
        drain(iter_batch([(folder / "good.tif", "g")], tmp_path / "out", Recipe(model=str(model.path))))
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--link-iou", "0.9"], "nothing is linked"),
        (["--pattern", "*.png"], "no folder was given"),
        (["--out", ""], "--out is empty"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    words: list[str], told: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    assert main(["segment", str(folder / "good.tif"), "--out", str(out), *words]) == 1
    assert told in capsys.readouterr().err and not out.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "nowhere.zip", "--out", "x"],
        ["models", "nosuch"],
        ["train", "nowhere.zip", "--out", "x", "--kind-weight", "histology"],
    ],
)
def test_errors_on_the_command_line_are_one_line_and_status_1(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert err.startswith("napari-cellseg: ") and "Traceback" not in err and err.count("\n") == 1


def test_models_and_evaluate_and_train_run_as_a_program(tmp_path: Path, program: Program) -> None:
    """A real process each: train a little, evaluate on what was held out, list."""
    data = tmp_path / "data"
    for name in ("images", "labels"):
        (data / name).mkdir(parents=True)
    for i in range(4):
        window = (slice(100 * i, 100 * i + 96), slice(0, 128))
        image = read_image(SAMPLES / "fluorescence.png").plane()
        tifffile.imwrite(data / f"images/{i}.tif", image[window])
        tifffile.imwrite(data / f"labels/{i}.tif", tifffile.imread(TRUTH / "fluorescence_labels.tif")[window])

    def run(*arguments: str) -> str:
        done = subprocess.run(program(*arguments), capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stderr
        return done.stdout

    small = ["--base-channels", "4", "--levels", "2", "--steps", "3", "--batch-size", "2", "--crop", "64"]
    run("train", str(data), "--out", str(tmp_path / "mine"), "--validation", "0.25", *small)
    version = json.loads((tmp_path / "mine" / "metrics.json").read_text())
    assert version["all"]["n_images"] == 1
    out = run(
        "evaluate", str(data), "--model", str(tmp_path / "mine"), "--only", "validation", "--out", str(tmp_path / "e")
    )
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert metrics == version and "AP50" in out
    assert {"ap_mean", "ap_pooled", "f1_mean", "dice", "iou", "count_mae", "count_mape", "count_bias"} <= set(
        metrics["all"]
    )
    assert "cells\tbundled" in run("models")
    assert '"steps": 3' in run("models", str(tmp_path / "mine"))


def test_counts_of_several_images_share_a_table(tmp_path: Path) -> None:
    for name, count in (("a.tif", 3), ("b, c.tif", 5), ("a.tif", 4)):
        put_rows(tmp_path, BatchRow(name, state="done", count=count, stem=name[0], threshold=0.5, min_size=1))
    rows = list(csv.DictReader((tmp_path / "counts.csv").open()))
    assert [(row["image"], row["count"]) for row in rows] == [("a.tif", "4"), ("b, c.tif", "5")]
    (tmp_path / "counts.csv").write_text("my,own\n1,2\n")
    with pytest.raises(OutputError, match="my, own"):
        put_rows(tmp_path, BatchRow("a.tif", state="done"))
    assert (tmp_path / "counts.csv").read_text() == "my,own\n1,2\n"


def test_labels_that_a_person_made_are_not_replaced(
    folder: Path, model: ModelVersion, capsys: pytest.CaptureFixture
) -> None:
    (folder / "broken.tif").unlink()
    mine = np.ones((200, 240), np.uint16)
    tifffile.imwrite(folder / "good_labels.tif", mine)
    run = ["segment", str(folder / "good.tif"), "--out", str(folder), "--model", str(model.path)]
    assert main(run) == 1
    np.testing.assert_array_equal(read_labels(folder / "good_labels.tif"), mine)
    write_labels(folder / "good_labels.tif", mine, metadata={"corrected": True})
    before = (folder / "good_labels.tif").read_bytes()
    assert main(run) == 0
    assert (folder / "good_labels.tif").read_bytes() == before
    (row,) = csv.DictReader((folder / "counts.csv").open())
    assert (row["count"], row["corrected"], row["median_area_px"]) == ("1", "yes", "48000.0")
    assert "left as it is" in capsys.readouterr().out
    assert main([*run, "--overwrite"]) == 0
    assert read_metadata(folder / "good_labels.tif")["recipe"]["model"] == str(model.path)


def test_changed_weights_are_noticed(tmp_path: Path, small_image: np.ndarray) -> None:
    own = make_model(tmp_path / "own")
    blob = bytearray(own.weights.read_bytes())
    blob[-9:] = bytes(9)
    own.weights.write_bytes(blob)
    with pytest.raises(ModelError, match="changed or damaged"):
        segment(small_image, model=own)


@pytest.mark.parametrize(
    "values",
    [
        {"threshold": "0.5"},
        {"min_size": float("inf")},
        {"axes": ["Y", "X"]},
        {"model": None},
        {"channel": True},
        {"outputs": 5},
        {"outputs": None},
    ],
)
def test_recipes_with_values_of_the_wrong_kind(values: dict) -> None:
    with pytest.raises(ParamsError, match=next(iter(values))):
        Recipe.from_dict(values)


def test_a_missing_file_does_not_stop_the_others(folder: Path, model: ModelVersion, tmp_path: Path) -> None:
    arguments = ["segment", str(folder / "missing"), str(folder / "good.tif"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--model", str(model.path)]) == 1
    rows = list(csv.DictReader((tmp_path / "out" / "counts.csv").open()))
    assert [bool(row["error"]) for row in rows] == [False, True]


def test_no_mutated_recipe_raises_anything_but_an_error_in_words(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    Recipe("cells", 0.4, 12, 1, "CYX", diameter=20).write(path, RunOptions("cpu", ("labels", "rle"), True))
    n_refused = 0
    for name, text in mutated_json(json.loads(path.read_text()), 300):
        path.write_text(text, errors="surrogatepass")
        try:
            recipe, options = Recipe.read(path).resolved(), RunOptions.read(path)
        except CellsegError:
            n_refused += 1
            continue
        assert recipe.digest() and options.outputs is not None, name
    assert 150 < n_refused < 300
