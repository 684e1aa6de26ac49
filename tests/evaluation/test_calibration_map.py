"""Calibration by the whole surface: the best setting there is, and what the labels give at it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.cli import main
from napari_cellseg.evaluation.calibration_map import (
    CALIBRATION_FILE,
    as_good_as_the_best,
    iter_calibration_map,
    middle_of,
    read_calibration,
    store_calibration,
)
from napari_cellseg.evaluation.evaluate import as_default, score
from napari_cellseg.imaging.errors import DatasetError, ModelError, ParamsError
from napari_cellseg.imaging.progress import drain
from napari_cellseg.imaging.write.write import write_labels
from napari_cellseg.instances import Instances, Prediction
from napari_cellseg.network.versions import load_model, read_version
from napari_cellseg.reports.diagrams import heat_map, heat_map_svg
from napari_cellseg.results.origin import is_ours
from tests.instances.maps import disc_maps
from tests.models import make_model
from tests.segmented import segmented, squares
from tests.warm import Program


def dusty(seed: int):
    """Four cells of 100 px that reach 0.9; dust of 9 px that does too, and large smudges that reach 0.3."""
    rng = np.random.default_rng(seed)
    sample = squares([(5, 5), (5, 40), (30, 5), (30, 60)], name=f"dusty{seed}")
    basins = sample.labels.copy()
    probability = np.where(basins > 0, 0.9, 0.02)
    for i, (y, x) in enumerate([(50, 10), (50, 20), (20, 30), (45, 40), (20, 70)], start=5):
        basins[y : y + 3, x : x + 3], probability[y : y + 3, x : x + 3] = i, 0.9
    basins[40:52, 45:57], probability[40:52, 45:57] = 20, 0.3 + 0.02 * rng.random()
    return sample, segmented(probability, basins, sample.name, threshold=0.2, min_size=0)


def test_dust_and_smudges_are_calibrated_away() -> None:
    samples, predicted = zip(*[dusty(seed) for seed in range(3)], strict=True)
    for goal, best in (("count", 0), ("ap", 1)):
        found = drain(iter_calibration_map(samples, predicted, goal))
        assert found.value == best and 0.33 < found.threshold < 0.9 and 9 < found.min_size <= 100
        assert found.before == (0.2, 0, pytest.approx(found.before[2])) and found.before[2] != best
        assert (found.n_cells, found.images) == (12, ("dusty0", "dusty1", "dusty2"))
        # In the middle, not at the edge: somewhat other images keep the best figure.
        level = round(found.threshold * 255)
        assert (found.values[level - 9 : level + 10, found.min_size - 9 : found.min_size + 10] == best).all()


@pytest.mark.parametrize(("goal", "counting"), [("count", "cells"), ("ap", "cells"), ("count", "components")])
def test_every_point_of_the_map_is_what_the_labels_give(goal: str, counting: str) -> None:
    samples, predicted = [], []
    for i, radius in enumerate((5, 7)):
        probability, distance, labels = disc_maps([(12, 12), (14, 24), (30, 60), (45, 20), (50, 75)], radius)
        noise = np.random.default_rng(i).normal(0, 0.1, probability.shape)
        prediction = Prediction(np.clip(probability + noise, 0, 1).astype(np.float32), distance)
        sample = replace(squares([(0, 0)], shape=labels.shape, name=str(i)), labels=labels)
        basins = Instances.from_prediction(prediction).basins
        samples.append(sample)
        predicted.append(segmented(prediction.probability, basins, str(i)))
    found = drain(iter_calibration_map(samples, predicted, goal, counting))
    figure = {"count": "count_mae", "ap": "ap_mean_50_90"}[goal]
    for level, size in ((20, 0), (100, 0), (100, 12), (128, 40), (200, 5), (250, 3)):
        metrics = score(samples, predicted, level / 255, size, counting).to_dict()["all"]
        assert found.values[level, size] == pytest.approx(metrics[figure]), (level, size)


@pytest.mark.parametrize("goal", ["count", "ap"])
def test_a_size_counts_as_it_would_as_a_default(goal: str) -> None:
    """Cells of 10 x 10 pixels, in one image of a typical diameter of 8: at most 10 pixels there, whatever is tried."""
    samples, predicted = zip(*[dusty(seed) for seed in range(2)], strict=True)
    small = replace(predicted[0], prediction=replace(predicted[0].prediction, diameter=8.0))
    found = drain(iter_calibration_map(samples, (small, predicted[1]), goal))
    figure = {"count": "count_mae", "ap": "ap_mean_50_90"}[goal]
    for size in (5, 10, 11, 40, 60):
        chosen = as_default((small, predicted[1]), 100 / 255, size)
        assert [one.min_size for one in chosen] == [min(size, 10), size]
        evaluation = score(samples, chosen)
        assert (evaluation.min_size, evaluation.fitted) == (size, size > 10)
        assert found.values[100, size] == pytest.approx(evaluation.to_dict()["all"][figure]), size


@pytest.mark.parametrize("goal", ["count", "ap"])
@pytest.mark.parametrize("fitted", [True, False])
def test_what_was_before_is_what_the_labels_give(goal: str, fitted: bool) -> None:
    """A size that was asked for holds also where cells are small, and one that follows them is less there."""
    samples, predicted = zip(*[dusty(seed) for seed in range(2)], strict=True)
    small = replace(predicted[0], prediction=replace(predicted[0].prediction, diameter=8.0))
    asked = [
        replace(one, recipe=replace(one.recipe, min_size=101, fit_min_size=fitted)) for one in (small, predicted[1])
    ]
    assert [one.min_size for one in asked] == [10 if fitted else 101, 101]
    found = drain(iter_calibration_map(samples, asked, goal))
    figure = {"count": "count_mae", "ap": "ap_mean_50_90"}[goal]
    assert found.before == (0.2, 101, pytest.approx(score(samples, asked).to_dict()["all"][figure]))


def test_sizes_that_no_image_can_have_are_not_chosen() -> None:
    samples, predicted = zip(*[dusty(seed) for seed in range(2)], strict=True)
    small = [replace(one, prediction=replace(one.prediction, diameter=10.0)) for one in predicted]
    assert drain(iter_calibration_map(samples, small)).min_size <= 15 == int(0.2 * 78.5)


def test_a_saved_map_is_read_again(tmp_path: Path) -> None:
    sample, one = dusty(0)
    found = drain(iter_calibration_map([sample], [one]))
    assert read_calibration(tmp_path) is None
    again_path = found.write(tmp_path)
    again = read_calibration(tmp_path)
    assert again_path.name == CALIBRATION_FILE and again.to_dict() == json.loads(again_path.read_text())
    for name in ("goal", "counting", "threshold", "min_size", "value", "before", "images", "n_cells"):
        assert getattr(again, name) == getattr(found, name)
    assert again.values.size < 3000 and again.sizes[-1] == found.sizes[-1]
    again_path.write_text('{"goal": "count"}')
    with pytest.raises(ModelError, match="Calibrate again"):
        read_calibration(tmp_path)


def test_the_heat_map_is_light_where_it_is_good() -> None:
    sample, one = dusty(0)
    found = drain(iter_calibration_map([sample], [one]))
    picture = heat_map(found)
    n_thresholds, n_sizes = found.values.shape
    assert picture.shape == (n_sizes, n_thresholds, 3) and picture.dtype == np.uint8
    light = picture.sum(axis=2)[::-1].T
    assert light[round(found.threshold * 255), found.min_size] == light.max()
    assert light[found.values == found.values.max()].max() < light.max()
    assert heat_map_svg(found).count("<image") == 1


def test_the_middle_of_a_region() -> None:
    cost = np.ones((30, 40))
    cost[5:16, 10:21] = 0
    cost[20, 30] = -1e-9
    good = as_good_as_the_best(cost, [], 0.01)
    assert good.sum() == 1 and middle_of(good, cost) == (20, 30), "the tolerance is relative"
    cost[20, 30] = 0
    good = as_good_as_the_best(cost, [], 0.01)
    assert good.sum() == 122 and middle_of(good, cost) == (10, 15), "a region is worth more than a lone point"
    assert middle_of(np.ones((3, 3), bool), np.zeros((3, 3))) == (1, 1)


def test_what_few_images_cannot_tell_apart_is_as_good() -> None:
    """One image is best served at the left edge, by a hair and by chance; all of them suffer at the right one."""
    cost = np.array([[5.0, 6.0, 6.0, 6.0, 14.0]] * 3)
    each = [cost + shift for shift in ([[3, 0, 0, 0, 3]], [[-3, -2, -2, -2, -2]], [[0, 1, 1, 1, -1]])]
    mean = np.mean(each, axis=0)
    assert mean.argmin() == 0
    assert as_good_as_the_best(mean, [], 0.01)[0].tolist() == [True, False, False, False, False]
    good = as_good_as_the_best(mean, each, 0.01)
    differences = np.array([image - image[0, 0] for image in each])
    error = differences.std(axis=0, ddof=1) / np.sqrt(3)
    own = np.std([image[0, 0] for image in each], ddof=1) / np.sqrt(3)
    assert (good == (differences.mean(axis=0) <= np.minimum(error, own))).all()
    assert good[0].tolist() == [True, True, True, True, False] and middle_of(good, mean) == (1, 1)


def test_what_is_far_worse_in_one_image_only_is_not_as_good() -> None:
    """A crowded image decides: settings that suit all the empty ones are no better for it."""
    crowded = np.array([[0.0, 20.0, 165.0]] * 3)
    for n_empty in (1, 9):
        each = [crowded, *[np.zeros_like(crowded)] * n_empty]
        good = as_good_as_the_best(np.mean(each, axis=0), each, 0.01)
        assert good[0].tolist() == [True, False, False]


def test_what_cannot_be_calibrated() -> None:
    sample, one = dusty(0)
    empty = replace(sample, labels=np.zeros_like(sample.labels))
    with pytest.raises(DatasetError, match="holds a cell"):
        drain(iter_calibration_map([empty], [one]))
    with pytest.raises(ParamsError, match="count, ap"):
        drain(iter_calibration_map([sample], [one], "speed"))
    with pytest.raises(ParamsError, match="goal count"):
        drain(iter_calibration_map([sample], [one], "ap", "components"))


def test_the_command_stores_defaults_in_a_model_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("images", "labels"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for i in range(2):
        sample = squares([(5, 5), (30, 5 + 20 * i), (40, 60)], side=14, shape=(64, 96))
        write_labels(tmp_path / "data/images" / f"{i}.tif", sample.image)
        write_labels(tmp_path / "data/labels" / f"{i}.tif", sample.labels)
    own = make_model(tmp_path / "own", min_size=5)
    data, out = str(tmp_path / "data"), str(tmp_path / "out")
    asked = ["calibrate", data, "--model", str(own.path), "--device", "cpu", "--out", out]
    assert main(asked) == 0
    assert read_version(own.path).threshold == own.threshold and not (own.path / CALIBRATION_FILE).exists()
    assert main([*asked, "--set-defaults"]) == 0
    found, changed = read_calibration(own.path), read_version(own.path)
    assert (changed.threshold, changed.min_size) == (found.threshold, found.min_size)
    assert changed.sha256 == own.sha256 and found.n_cells == 6
    assert "smallest size" in (tmp_path / "out" / "report.html").read_text()
    assert main(["evaluate", data, "--model", str(own.path), "--device", "cpu", "--out", out, "--crops", "32"]) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["all"]["n_images"] == 12 and metrics["threshold"] == found.threshold
    assert all(is_ours(path) for path in (tmp_path / "out").iterdir())
    assert set(json.loads((tmp_path / "out" / "curves.json").read_text())["all"]) >= {"roc", "reliability"}

    capsys.readouterr()
    assert main(["calibrate", data, "--out", out, "--set-defaults"]) == 1
    said = capsys.readouterr().err
    assert "napari-cellseg models" in said and "--import" in said
    assert main([*asked, "--set-defaults", "--counting", "components"]) == 1
    assert "split" in capsys.readouterr().err


def test_the_command_says_how_far_it_is_and_stops_when_its_input_ends(tmp_path: Path, program: Program) -> None:
    sample = squares([(5, 5), (30, 25), (40, 60)], side=14, shape=(64, 96))
    for folder in ("images", "labels"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for i in range(2):
        write_labels(tmp_path / "data/images" / f"{i}.tif", sample.image)
        write_labels(tmp_path / "data/labels" / f"{i}.tif", sample.labels)
    own = make_model(tmp_path / "own")
    words = ["--device", "cpu", "--out", str(tmp_path / "out"), "--report", "jsonl", "--stop-on-eof"]
    words = program("calibrate", str(tmp_path / "data"), "--model", str(own.path), *words)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as whole:
        events = [json.loads(line) for line in whole.stdout or ()]
        assert whole.wait(120) == 0
    assert {"predicting", "calibrating"} == {e["message"] for e in events if e["event"] == "progress"}
    assert events[-1]["event"] == "done" and not events[-1]["learned_from"]
    assert read_calibration(Path(events[-1]["file"]).parent).n_cells == 6
    stopped = subprocess.run(words, input="", capture_output=True, text=True, timeout=120, check=False)
    last = json.loads(stopped.stdout.splitlines()[-1])
    assert stopped.returncode == 1 and last["event"] == "error" and "Nothing was changed" in last["message"]


def test_defaults_are_stored_with_the_map_in_ones_own_model_only(tmp_path: Path) -> None:
    sample, one = dusty(0)
    found = drain(iter_calibration_map([sample], [one])).choosing(0.61, 17)
    assert found.value == found.at(0.61, 17) == found.values[round(0.61 * 255), 17]
    own = make_model(tmp_path / "own")
    version = store_calibration(found, own)
    assert (version.threshold, version.min_size, version.sha256) == (0.61, 17, own.sha256)
    assert read_calibration(own.path).min_size == 17
    with pytest.raises(ModelError, match="copy"):
        store_calibration(found, load_model("cells"))
    with pytest.raises(ParamsError, match="split"):
        store_calibration(replace(found, counting="components"), own)
