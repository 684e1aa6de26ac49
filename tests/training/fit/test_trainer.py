"""Losses, schedule, and a real small training run."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_cellseg.evaluation.calibration import calibrate
from napari_cellseg.evaluation.evaluate import iter_predict_samples, score
from napari_cellseg.imaging.errors import CellsegError, DatasetError, OutputError
from napari_cellseg.imaging.normalize import NormalizerParams
from napari_cellseg.imaging.progress import drain
from napari_cellseg.network.config import UNetConfig
from napari_cellseg.network.devices import DeviceChoice
from napari_cellseg.network.ready import load_network
from napari_cellseg.network.unet import UNet
from napari_cellseg.network.versions import METRICS_FILE, TRAINING_FILE, load_model
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.training.data.sample import Sample
from napari_cellseg.training.events import Looked
from napari_cellseg.training.finetune_params import FineTuneParams
from napari_cellseg.training.fit import learner
from napari_cellseg.training.fit.augment import prepare, random_batch
from napari_cellseg.training.fit.drawing import draw_weights
from napari_cellseg.training.fit.learner import Learner
from napari_cellseg.training.fit.losses import LossParams, dice_loss, total_loss
from napari_cellseg.training.fit.schedule import RunningAverage, learning_rate_at
from napari_cellseg.training.fit.trainer import iter_finetune, iter_train_events
from napari_cellseg.training.params import AugmentParams, TrainParams
from tests.blobs import blobs
from tests.models import make_model
from tests.training_steps import iter_train


def maps_of(n: int, size: int) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    foreground = (torch.rand(n, 1, size, size, generator=generator) > 0.5).float()
    targets = {
        "foreground": foreground,
        "distance": torch.rand(n, 1, size, size, generator=generator) * foreground,
        "offset": torch.randn(n, 2, size, size, generator=generator) * foreground,
        "inverse_size": 0.1 * foreground,
        "weight": torch.ones(n, 1, size, size),
    }
    perfect = {name: targets[name].clone() for name in ("distance", "offset")}
    return {"foreground": (foreground * 2 - 1) * 40, **perfect}, targets


def test_a_perfect_answer_costs_nothing() -> None:
    outputs, targets = maps_of(2, 16)
    loss, parts = total_loss(outputs, targets, LossParams())
    assert float(loss) == pytest.approx(0, abs=1e-3)
    assert set(parts) == {"bce", "dice", "distance", "offset"}


@pytest.mark.parametrize("head", ["foreground", "distance", "offset"])
def test_pixels_nobody_vouched_for_do_not_count(head: str) -> None:
    outputs, targets = maps_of(2, 16)
    targets["weight"][:, :, :8] = 0
    before, _ = total_loss(outputs, targets, LossParams())
    spoiled = {name: value.clone() for name, value in outputs.items()}
    spoiled[head][:, :, :8] = -30
    after, _ = total_loss(spoiled, targets, LossParams())
    assert float(after) == pytest.approx(float(before), abs=1e-6)
    spoiled[head][:, :, 8:] = -30
    wrong, _ = total_loss(spoiled, targets, LossParams())
    assert float(wrong) > float(before) + 0.1


def test_dice_of_nothing_in_nothing_is_free() -> None:
    zeros = torch.zeros(1, 1, 4, 4)
    assert float(dice_loss(zeros - 50, zeros, zeros + 1)) == pytest.approx(0, abs=1e-6)


def test_schedule_rises_then_falls_to_almost_nothing() -> None:
    rates = [learning_rate_at(i / 200, 1.0) for i in range(201)]
    top = int(np.argmax(rates))
    assert top == 20 and rates[top] == pytest.approx(1)
    assert all(np.diff(rates[:top]) >= 0) and all(np.diff(rates[top:]) < 0)
    assert rates[-1] == pytest.approx(0.001)


def test_average_follows_the_weights_and_the_buffers() -> None:
    network = UNet(UNetConfig(base_channels=2, levels=1))
    average = RunningAverage(network, 0.9)
    with torch.no_grad():
        for value in network.state_dict().values():
            value.fill_(3)
    for _ in range(200):
        average.update(network)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(average.state[name], value, msg=name)


def test_kinds_are_drawn_as_asked() -> None:
    class Ready:
        def __init__(self, kind: str) -> None:
            self.kind, self.area = kind, 64

    images = [Ready("a")] * 9 + [Ready("b")]
    chances = draw_weights(images, {"a": 1, "b": 1})  # type: ignore[arg-type]
    assert chances[:9].sum() == pytest.approx(0.5)
    assert draw_weights(images, {})[:9].sum() == pytest.approx(0.9)  # type: ignore[arg-type]


def test_training_learns_to_count_and_leaves_a_whole_version(tmp_path: Path) -> None:
    """Some hundred steps on discs: held-out discs are then found, and the version on disk says how it was made.

    With half as many channels it hangs on the seed, or on how the CPU rounds, whether the centre distance is learned in
    that time; where it is not, discs that touch are counted as one.
    """
    training, validation = [blobs(i) for i in range(12)], [blobs(i) for i in range(100, 104)]
    params = TrainParams(
        steps=300, batch_size=4, crop=64, validate_every=100, learning_rate=4e-3, average=0.95, device="cpu",
        network=UNetConfig(base_channels=16, levels=2),
    )  # fmt: skip
    steps = iter_train(training, validation, tmp_path / "blobs", params)
    losses, looks = [], []
    while True:
        try:
            progress = next(steps)
        except StopIteration as stop:
            model = stop.value
            break
        losses.append(progress.loss)
        if not math.isnan(progress.validation_loss):
            looks.append(progress.step)
            assert model_weights_readable(tmp_path / "blobs")
    assert looks == [100, 200, 300]
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])

    predicted = drain(iter_predict_samples(validation, Recipe(model=str(model.path)), "cpu"))
    threshold, min_size = calibrate(validation, predicted)
    evaluation = score(validation, predicted, threshold, min_size)
    metrics = evaluation.to_dict()
    assert metrics["all"]["ap_mean"]["0.50"] > 0.6
    assert metrics["all"] == metrics["blobs"]
    assert metrics["all"]["count_mape"] < 0.3
    assert [row["image"] for row in metrics["images"]] == [s.name for s in validation]
    json.dumps(metrics)

    record = json.loads((model.path / TRAINING_FILE).read_text())
    assert record["validation_images"] == [s.name for s in validation]
    assert record["steps"] == 300 and record["parameters"]["network"]["base_channels"] == 16
    assert len((model.path / "history.csv").read_text().splitlines()) == 301
    with pytest.raises(OutputError, match="never overwritten"):
        next(iter_train(training, validation, tmp_path / "blobs", params))

    child = drain(iter_train(training, [], tmp_path / "child", TrainParams(steps=1, batch_size=1, crop=32), model))
    assert (child.parent, child.config, child.threshold) == ("blobs", model.config, model.threshold)
    assert not (child.path / METRICS_FILE).exists()
    load_network(child)


def model_weights_readable(folder: Path) -> bool:
    return (folder / "weights.safetensors").stat().st_size > 1000


def test_the_time_budget_ends_the_schedule(tmp_path: Path) -> None:
    params = TrainParams(
        steps=10**6, minutes=0.03, batch_size=1, crop=32, device="cpu", network=UNetConfig(base_channels=2, levels=1)
    )
    last = None
    steps = iter_train([blobs(0)], [], tmp_path / "quick", params)
    for last in steps:
        assert last.seconds < 30
    assert last is not None and last.done == 1 and last.step < 10**6
    assert load_model(tmp_path / "quick").training["steps"] == last.step


def test_nothing_to_train_on_is_told(tmp_path: Path) -> None:
    empty = Sample("e", np.zeros((32, 32)), np.zeros((32, 32), np.int32))
    for samples in ([], [empty]):
        with pytest.raises(DatasetError, match="no labelled cell"):
            next(iter_train(samples, [], tmp_path / "x"))


@pytest.mark.parametrize(
    "setting",
    [{"steps": 0}, {"minutes": 0}, {"learning_rate": 0}, {"crop": 16}, {"seed": -1}, {"kind_weights": {"a": 0}}],
)
def test_impossible_training_settings(setting: dict) -> None:
    with pytest.raises(CellsegError, match=r"must be"):
        TrainParams(**setting)


def test_a_stopped_run_leaves_a_whole_version(tmp_path: Path) -> None:
    params = TrainParams(
        steps=100, validate_every=2, batch_size=1, crop=32, device="cpu", network=UNetConfig(base_channels=2, levels=1)
    )
    steps = iter_train([blobs(0)], [blobs(1)], tmp_path / "stopped", params)
    for _ in range(4):
        next(steps)
    steps.close()
    model = load_model(tmp_path / "stopped")
    load_network(model)
    assert model.training["steps"] == 4


def test_kinds_that_no_image_has(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"typo.*blobs"):
        next(iter_train([blobs(0)], [], tmp_path / "x", TrainParams(kind_weights={"typo": 1})))


def batch_of(crop: int = 32) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    image = prepare(blobs(0), NormalizerParams())
    return random_batch([image], [0, 0], crop, 3, AugmentParams(), np.random.default_rng(0))


def everything_of(learning: Learner) -> dict[str, torch.Tensor]:
    """Weights, statistics and their running average."""
    average = {f"average {name}": value.clone() for name, value in learning.average.state.items()}
    return {name: value.clone() for name, value in learning.network.state_dict().items()} | average


@pytest.mark.parametrize("failure", ["memory on the way forward", "memory on the way back", "not a number"])
def test_a_step_that_fails_changes_nothing(failure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The forward pass moves the statistics of batch normalisation before anything can fail."""
    torch.manual_seed(0)
    learning = Learner(UNet(UNetConfig(base_channels=4, levels=1)), DeviceChoice("cpu", "float32"), TrainParams())
    x, targets = batch_of()
    learning.learn(x, targets)
    before = everything_of(learning)
    real = learner.total_loss

    def failing(outputs: Any, targets: Any, params: Any) -> Any:
        loss, parts = real(outputs, targets, params)
        if failure == "memory on the way forward":
            raise torch.OutOfMemoryError("CUDA out of memory")
        if failure == "memory on the way back":
            loss.register_hook(_no_memory)
        return (loss * math.nan if failure == "not a number" else loss), parts

    with monkeypatch.context() as patch:
        patch.setattr(learner, "total_loss", failing)
        if failure == "not a number":
            learning.learn(x, targets)
        else:
            with pytest.raises(torch.OutOfMemoryError):
                learning.learn(x, targets)
    after = everything_of(learning)
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == []
    learning.learn(x, targets)
    after = everything_of(learning)
    assert any("running_mean" in name and not torch.equal(before[name], after[name]) for name in before)


def _no_memory(_: torch.Tensor) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("bad", [{0}, {1}, {0, 1}])
def test_a_validation_loss_that_is_not_a_number_is_never_the_best(
    bad: set[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks at steps 2 and 4 of a training and a fine-tune: those in `bad` find a loss that is not a number."""
    parent = make_model(tmp_path / "parent")
    real = Learner.loss_on

    def broken(self: Learner, outputs: Any, targets: Any) -> float:
        n = self.average.n_updates
        return math.nan if n and n // 2 - 1 in bad else real(self, outputs, targets)

    monkeypatch.setattr(Learner, "loss_on", broken)
    small = TrainParams(
        steps=4, validate_every=2, batch_size=1, crop=32, device="cpu", network=UNetConfig(base_channels=2, levels=1)
    )
    samples = [blobs(i) for i in range(4)]
    fine = FineTuneParams(minutes=60, steps=4, validate_every=2, batch_size=1, crop=32, device="cpu", general=0)
    runs = {
        "scratch": iter_train_events(samples[:3], samples[3:], tmp_path / "scratch", small),
        "finetune": iter_finetune(samples, tmp_path / "finetune", parent, fine),
    }
    for name, steps in runs.items():
        looks: list[Looked] = []
        hear = partial(_keep_looks, looks)
        if bad == {0, 1}:
            with pytest.raises(CellsegError, match="never a number"):
                drain(steps, hear)
            assert not (tmp_path / name).exists()
            continue
        version = drain(steps, hear).version
        assert [look.best for look in looks if look.step] == [0 not in bad, 1 not in bad]
        assert version is not None and version.training["best_step"] == (2 if bad == {1} else 4)
        assert any("the validation loss is not a number" in note for note in version.training["notes"])


def _keep_looks(looks: list[Looked], event: object) -> None:
    if isinstance(event, Looked):
        looks.append(event)


def test_a_parent_gets_larger_heads_and_keeps_the_rest_of_its_network(tmp_path: Path) -> None:
    parent = make_model(tmp_path / "parent", base_channels=4, levels=2, fold=2, smooth=0.6)
    params = TrainParams(steps=2, crop=64, batch_size=1, network=UNetConfig(base_channels=8, head_kernel=3))
    version = drain(iter_train([blobs(0)], [], tmp_path / "out", params, parent))
    assert version.config == replace(parent.config, head_kernel=3)
    assert load_network(version).heads["foreground"].weight.shape[-2:] == (3, 3)
