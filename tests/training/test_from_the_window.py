"""Settings, losses, augmentation with its preview, curves, comparison of runs and the search for settings."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

from napari_cellseg.cli import build_parser, main
from napari_cellseg.cli.train_options import train_params
from napari_cellseg.imaging.errors import CellsegError, ParamsError
from napari_cellseg.imaging.normalize import NormalizerParams
from napari_cellseg.imaging.progress import drain
from napari_cellseg.instances.metrics import FIGURES_IN_WORDS
from napari_cellseg.network.config import UNetConfig
from napari_cellseg.network.versions import bundled_models_dir, load_model
from napari_cellseg.training.comparing import run_table, summarize_run
from napari_cellseg.training.curves import HistoryTable, draw_curves, smooth
from napari_cellseg.training.data.sample import Sample
from napari_cellseg.training.fit.augment import prepare, random_batch
from napari_cellseg.training.fit.looking import foreground_overlap
from napari_cellseg.training.fit.losses import total_loss
from napari_cellseg.training.fit.schedule import scheduled_rate
from napari_cellseg.training.fit.targets import OFFSET_SCALE, gap_map
from napari_cellseg.training.params import STILL, AugmentParams, LossParams, TrainParams
from napari_cellseg.training.preview import preview
from napari_cellseg.training.search import Trial, iter_search, propose, ranking, rounds_of, vary
from napari_cellseg.training.settings import kind_of
from tests.blobs import blobs
from tests.training_steps import iter_train


def two_discs(gap: int, size: int = 60) -> np.ndarray:
    y, x = np.indices((size, size))
    labels = np.zeros((size, size), np.int32)
    for i, cx in enumerate((size // 2 - 8 - (gap + 1) // 2, size // 2 + 8 + gap // 2), start=1):
        labels[(np.hypot(y - size // 2, x - cx) <= 7.5) & (labels == 0)] = i
    return labels


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [TrainParams, AugmentParams, LossParams])
def test_every_setting_has_help_and_refuses_what_is_out_of_its_range(cls: Any) -> None:
    for entry in fields(cls):
        if not entry.metadata:
            continue
        assert entry.metadata["help"] and entry.metadata["label"]
        if "choices" in entry.metadata:
            wrong: list[Any] = ["no such thing"]
        elif kind_of(entry) is tuple:
            wrong = [(1.2, 1.1), (0.0, 1.0), 3, (1, "a"), (1.0, math.nan)]
        elif kind_of(entry) is bool:
            wrong = [3]
        else:
            wrong = [entry.metadata["max"] * 2 + 1, -1, math.nan, "a", True]
        for value in wrong:
            with pytest.raises(ParamsError, match=entry.name):
                cls(**{entry.name: value})


def test_settings_survive_their_record() -> None:
    params = TrainParams(
        epochs=3, minutes=2.5, kind_weights={"a": 0.5}, augment=AugmentParams(zoom=(0.5, 2), shear=0.1, turn=False),
        loss=LossParams.named("dice", border_weight=10), network=UNetConfig(base_channels=8),
        normalizer=NormalizerParams(2, 99), schedule="cosine",
    )  # fmt: skip
    assert TrainParams.from_dict(json.loads(json.dumps(params.to_dict()))) == params
    with pytest.raises(ParamsError, match="no setting typo"):
        TrainParams.from_dict({"typo": 1})


def test_the_record_and_the_command_of_the_bundled_model_are_still_understood() -> None:
    """What an earlier version wrote down must lead to the same settings now."""
    record = json.loads((bundled_models_dir() / "cells" / "training.json").read_text())
    params = TrainParams.from_dict(record["parameters"])
    words = record["command"].split()[1:]
    asked = train_params(build_parser().parse_args(words))
    for name in ("steps", "minutes", "learning_rate", "seed", "batch_size", "crop", "kind_weights", "augment", "loss"):
        assert getattr(asked, name) == getattr(params, name), name


def test_defaults_of_the_command_are_those_of_the_settings() -> None:
    assert train_params(build_parser().parse_args(["train", "x", "--out", "y"])) == TrainParams()
    words = ["train", "x", "--out", "y", "--loss", "dice", "--zoom", "0.5", "2", "--no-turn", "--size", "128"]
    words += ["--epochs", "30", "--low-percentile", "3", "--distance-weight", "1.5", "--optimizer", "sgd"]
    asked = train_params(build_parser().parse_args(words))
    assert (asked.loss.bce, asked.loss.dice, asked.loss.distance) == (0, 1, 1.5)
    assert asked.augment == AugmentParams(zoom=(0.5, 2), turn=False)
    assert (asked.crop, asked.epochs, asked.optimizer, asked.normalizer.low) == (128, 30, "sgd", 3)
    with pytest.raises(CellsegError, match="--steps and --epochs"):
        train_params(build_parser().parse_args([*words, "--steps", "3"]))
    with pytest.raises(ParamsError, match=r"low is 99\.9"):
        train_params(build_parser().parse_args(["train", "x", "--low-percentile", "99.9"]))


def test_epochs_are_counted_in_images() -> None:
    params = TrainParams(epochs=30, batch_size=8)
    assert (params.steps_per_epoch(80), params.most_steps(80), params.look_every(80)) == (10, 300, 10)
    assert (params.most_steps(81), params.most_steps(1)) == (330, 30)
    assert TrainParams(steps=77).most_steps(80) == 77


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "plateau", "constant"])
def test_schedules_stay_below_their_peak(schedule: str) -> None:
    rates = [scheduled_rate(schedule, i / 50, 0.1) for i in range(51)]
    assert max(rates) == pytest.approx(0.1) and min(rates) > 0
    if schedule == "cosine":
        assert all(np.diff(rates) < 0) and rates[-1] == pytest.approx(1e-4)
    if schedule in ("plateau", "constant"):
        assert len(set(rates)) == 1


# --- loss -----------------------------------------------------------------------------------------------------------


def test_gaps_between_cells_count_more_the_narrower_they_are() -> None:
    middles = []
    for gap in (2, 6, 14):
        narrow = gap_map(two_discs(gap), 0.15).astype(float)
        assert narrow.min() >= 0 and narrow.max() <= 1
        middles.append(narrow[30, 30])
        assert narrow[2, 2] < 0.01
    assert middles[0] > 0.3 > middles[1] > middles[2] and middles[2] < 0.01
    assert gap_map((two_discs(2) == 1).astype(np.int32), 0.15).max() == 0
    # The width goes with the size of the cells: the same picture twice as large has the same map.
    large = np.kron(two_discs(6), np.ones((2, 2), np.int32))
    assert gap_map(large, 0.15)[60, 60] == pytest.approx(middles[1], abs=0.12)


def test_an_error_in_a_gap_costs_more_with_border_weight() -> None:
    ready = prepare(Sample("s", two_discs(2).astype(float), two_discs(2)), NormalizerParams(), 0, gap_width=0.15)
    _, targets = random_batch([ready], [0], 60, 1, STILL, np.random.default_rng(0))
    right = (targets["foreground"] * 2 - 1) * 6
    in_gap, far = right.clone(), right.clone()
    in_gap[..., 28:32, 30] *= -1
    far[..., 2:6, 2] *= -1
    weights = LossParams(border_weight=10, distance=0, offset=0)
    plain = replace(weights, border_weight=0)

    def cost(outputs: torch.Tensor, params: LossParams) -> float:
        return float(total_loss({"foreground": outputs}, targets, params)[0])

    assert cost(in_gap, plain) == pytest.approx(cost(far, plain), rel=0.05)
    assert cost(in_gap, weights) > 2 * cost(far, weights)


def test_overlap_is_that_of_the_definition() -> None:
    logits = torch.tensor([[[[1.0, 1, -1, -1]]], [[[-1.0, -1, -1, -1]]]])
    targets = {
        "foreground": torch.tensor([[[[1.0, 0, 1, 0]]], [[[0.0, 0, 0, 1]]]]),
        "weight": torch.tensor([[[[1.0, 1, 1, 1]]], [[[1.0, 1, 1, 0]]]]),
    }
    iou, dice = foreground_overlap(logits, targets)
    assert iou.tolist() == pytest.approx([1 / 3, 1]) and dice.tolist() == pytest.approx([0.5, 1])


# --- augmentation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["shear", "elastic"])
@pytest.mark.parametrize("seed", range(3))
def test_offsets_follow_shear_and_bending(name: str, seed: int) -> None:
    """Every foreground pixel's offset must still lead to one point, which the distance has its peak at."""
    y, x = np.indices((160, 160))
    labels = (np.hypot(y - 80, x - 80) < 14).astype(np.int32)
    ready = prepare(Sample("s", labels.astype(np.float32), labels), NormalizerParams(), margin=0)
    strength = {"shear": 0.5, "elastic": 4.0}[name]
    params = replace(STILL, **{name: strength})
    _, targets = random_batch([ready], [0], 128, 1, params, np.random.default_rng(seed))
    foreground = targets["foreground"][0, 0].numpy() > 0.5
    rows, columns = np.nonzero(foreground)
    offset = targets["offset"][0].numpy()[:, rows, columns] * OFFSET_SCALE
    landing = np.stack([rows + offset[0], columns + offset[1]])
    assert len(rows) > 300
    assert np.percentile(np.hypot(*(landing - np.median(landing, axis=1)[:, None])), 90) < 3
    still = random_batch([ready], [0], 128, 1, STILL, np.random.default_rng(seed))[1]["foreground"][0, 0].numpy() > 0.5
    assert np.mean(still != foreground) > 0.002


def test_nothing_varies_when_all_is_off() -> None:
    ready = prepare(blobs(1), NormalizerParams(), margin=0)
    batches = [random_batch([ready], [0], 96, 3, STILL, np.random.default_rng(seed))[0] for seed in range(3)]
    assert torch.equal(batches[0], batches[1]) and torch.equal(batches[0], batches[2])
    np.testing.assert_allclose(batches[0][0, 0].numpy(), ready.image[0].float().numpy(), atol=2e-3)


def test_the_preview_shows_pairs_and_repeats_itself(tmp_path: Path) -> None:
    samples = [blobs(1), blobs(2)]
    picture = preview(samples, AugmentParams(), n=3, seed=5, crop=64)
    assert picture.dtype == np.uint8 and picture.shape == (4 * 64 + 3 * 4, 4 * 64 + 3 * 4, 3)
    np.testing.assert_array_equal(picture, preview(samples, AugmentParams(), n=3, seed=5, crop=64))
    assert (picture != preview(samples, AugmentParams(), n=3, seed=6, crop=64)).any()
    # As large as the image with its mirrored margins, all crops show the same part.
    still = preview(samples[0], STILL, n=2, seed=1, crop=224)
    np.testing.assert_array_equal(still[:, :224], still[:, 228:452])
    with pytest.raises(CellsegError, match="at least one image"):
        preview([])


# --- curves, comparison, search -------------------------------------------------------------------------------------


def test_running_mean() -> None:
    values = np.random.default_rng(0).random(20)
    for i, mean in enumerate(smooth(values, 5)):
        assert mean == pytest.approx(values[max(0, i - 4) : i + 1].mean())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two short trainings that differ in their learning rate."""
    folder = tmp_path_factory.mktemp("runs")
    found = []
    for name, rate in (("slow", 1e-5), ("quick", 1e-2)):
        params = TrainParams(
            epochs=6, batch_size=1, crop=32, device="cpu", learning_rate=rate, average=0.5,
            network=UNetConfig(base_channels=2, levels=1),
        )  # fmt: skip
        drain(iter_train([blobs(i) for i in range(5)], [blobs(9)], folder / name, params))
        found.append(folder / name)
    return found


def test_a_run_leaves_its_curves(runs: list[Path]) -> None:
    history = HistoryTable.read(runs[1] / "history.csv")
    assert len(history.step) == 30 and np.isfinite(history.validation_loss).sum() == 6
    assert np.array_equal(np.isfinite(history.iou), np.isfinite(history.dice))
    with PILImage.open(runs[1] / "curves.png") as picture:
        assert picture.size == draw_curves({"run": history}).size
        colours = {tuple(c) for c in np.asarray(picture).reshape(-1, 3).tolist()}
    assert {(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167)} <= colours


def test_runs_side_by_side(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summaries = [summarize_run(run) for run in runs]
    lines = run_table(summaries)
    assert [line.split()[0] for line in lines[:3]] == ["run", "slow", "quick"]
    assert lines[3:] == [FIGURES_IN_WORDS, "learning_rate: 1e-05 | 0.01"]
    words = ["compare-runs", *map(str, runs), str(bundled_models_dir() / "cells"), "--curves", str(tmp_path / "c.png")]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "held out different images" in said and (tmp_path / "c.png").is_file()
    assert main(["compare-runs", str(tmp_path)]) == 1
    assert "training.json cannot be read" in capsys.readouterr().err


def test_better_settings_win_the_search(tmp_path: Path) -> None:
    """Later rounds have half the trials, each trained longer; the ranking is by what is found on held-out images."""
    assert [rounds_of(n) for n in (1, 2, 3, 6, 8)] == [[1], [2], [3, 2], [6, 3, 2], [8, 4, 2]]
    proposals = propose(40, 3)
    assert len({json.dumps(p) for p in proposals}) == 40
    assert vary(TrainParams(), proposals[0]) == TrainParams()
    for proposal in proposals[1:]:
        assert vary(TrainParams(), proposal) != TrainParams()
    params = TrainParams(
        batch_size=2, crop=32, device="cpu", average=0.5, validate_every=10,
        network=UNetConfig(base_channels=2, levels=1),
    )  # fmt: skip
    steps = iter_search(
        [blobs(i) for i in range(4)], [blobs(9)], tmp_path / "search", params, minutes=0.04, n_trials=3
    )  # fmt: skip
    trials: list[Trial] = []
    while True:
        try:
            event = next(steps)
        except StopIteration as stop:
            ranked = stop.value
            break
        if isinstance(event, Trial):
            trials.append(event)
    assert [t.round for t in trials] == [1, 1, 1, 2, 2]
    assert sum(t.minutes for t in trials) == pytest.approx(0.04)
    assert {t.number for t in trials[3:]} == {t.number for t in sorted(trials[:3], key=lambda t: t.rank)[:2]}
    assert len(ranked) == 3 and ranked == ranking(trials)
    written = json.loads((tmp_path / "search" / "search.json").read_text())["trials"]
    assert [t["number"] for t in written] == [t.number for t in ranked]
    load_model(tmp_path / "search" / ranked[0].folder)
    with pytest.raises(CellsegError, match="holds a search already"):
        next(iter_search([blobs(1)], [blobs(2)], tmp_path / "search", params))


def test_a_search_may_weigh_the_gaps_between_cells(tmp_path: Path) -> None:
    params = TrainParams(
        batch_size=1, crop=32, device="cpu", network=UNetConfig(base_channels=2, levels=1),
        loss=LossParams(border_weight=5),
    )  # fmt: skip
    steps = iter_search([blobs(0)], [blobs(9)], tmp_path / "search", params, minutes=0.005, n_trials=1)
    (trial,) = drain(steps)
    assert trial.problem == "" and math.isfinite(trial.f1) and math.isfinite(trial.loss)


def npz(path: Path) -> Path:
    samples = [blobs(i, 64, 5) for i in range(6)]
    np.savez(path, X=np.stack([s.image for s in samples]), y=np.stack([s.labels > 0 for s in samples]))
    return path


def test_the_commands_from_arrays_to_a_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = npz(tmp_path / "set.npz"), tmp_path / "run"
    small = ["--base-channels", "2", "--levels", "1", "--batch-size", "2", "--device", "cpu", "--validation", "0.3"]
    assert main(["train", str(data), "--preview", str(tmp_path / "p.png"), *small, "--crop", "48"]) == 0
    assert (tmp_path / "p.png").is_file()
    assert main(["train", str(data), "--out", str(out), "--epochs", "2", "--size", "32", *small]) == 0
    said = capsys.readouterr().out
    for words in ("6 images", "black and white", "cut into", "16 images to train on, 8 held out", "IoU", "version in"):
        assert words in said, words
    split = json.loads((out / "split.json").read_text())
    assert len(split["training"]) == 4 and len(split["validation"]) == 2
    again = [
        "train",
        str(data),
        "--out",
        str(tmp_path / "b"),
        "--steps",
        "1",
        "--split",
        str(out / "split.json"),
        *small,
    ]
    assert main([*again, "--crop", "32"]) == 0
    assert f"--validation is not used: {out / 'split.json'} names" in capsys.readouterr().out
    assert set(load_model(tmp_path / "b").training["validation_images"]) == set(split["validation"])
    assert load_model(out).training["data"]["size"] == 32
    search = ["search", str(data), "--out", str(tmp_path / "s"), "--minutes", "0.02", "--trials", "2", "--crop", "32"]
    assert main([*search, *small]) == 0
    assert "best first" in capsys.readouterr().out
    assert main(["train", str(data), *small]) == 1
    assert "--out" in capsys.readouterr().err
