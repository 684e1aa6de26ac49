"""Fine-tuning for real on small networks: what counts, stopping, resuming, memory, runaway losses, the command."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_cellseg.cli import main
from napari_cellseg.evaluation.compare import read_comparison
from napari_cellseg.imaging.errors import CellsegError, DatasetError, OutputError, ParamsError
from napari_cellseg.imaging.progress import Note
from napari_cellseg.network.ready import load_network
from napari_cellseg.network.unet import UNet
from napari_cellseg.network.versions import (
    FAMILIAR_FILE,
    ModelVersion,
    file_sha256,
    list_models,
    load_model,
    read_version,
)
from napari_cellseg.training.data.general import general_samples
from napari_cellseg.training.data.training_set import TrainingSet
from napari_cellseg.training.events import Looked, Started, TrainProgress
from napari_cellseg.training.finetune_params import FineTuneParams
from napari_cellseg.training.fit import learner
from napari_cellseg.training.fit.record import save_version
from napari_cellseg.training.fit.trainer import Trained, iter_finetune
from napari_cellseg.training.runs import CHECKPOINT_FILE, discard, list_unfinished, next_version_dir, read_run
from tests.blobs import blobs
from tests.models import make_model
from tests.warm import Program, cold

QUICK = FineTuneParams(
    minutes=60, steps=6, batch_size=2, crop=64, validate_every=3, device="cpu", general=0, freeze="nothing", blend=1.0
)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_model(tmp_path_factory.mktemp("models") / "parent")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a training set of four images on the disk."""
    opened = TrainingSet.open(tmp_path / "set", create=True)
    for i in range(4):
        opened.add(f"blobs{i}", blobs(i).image, blobs(i).labels)
    return opened.path


def run_all(steps: Generator[Any, None, Trained]) -> tuple[list[Any], Trained]:
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            return events, stop.value


def weights_of(version: ModelVersion | None) -> dict[str, torch.Tensor]:
    assert version is not None
    return load_file(version.weights)


def same_weights(a: ModelVersion | None, b: ModelVersion | None) -> bool:
    first, second = weights_of(a), weights_of(b)
    return all(torch.equal(first[name], second[name]) for name in first)


def test_an_imported_network_without_normalisations_learns_too(tmp_path: Path) -> None:
    heads = (("foreground", 1),)
    parent = make_model(tmp_path / "parent", in_channels=1, architecture="unet-bilinear", heads=heads)
    _, result = run_all(iter_finetune([blobs(0), blobs(1)], tmp_path / "child", parent, QUICK))
    assert result.version is not None and result.version.config == parent.config
    assert not same_weights(result.version, parent)


def test_it_learns_and_says_how_it_was_made(parent: ModelVersion, tmp_path: Path) -> None:
    before = file_sha256(parent.weights)
    params = replace(QUICK, steps=200, batch_size=4, learning_rate=5e-3, validate_every=50, average=0.95)
    samples = [blobs(i) for i in range(6)]
    events, result = run_all(iter_finetune(samples, tmp_path / "child", parent, params, record={"command": "x"}))
    started = events[0]
    assert isinstance(started, Started) and started.hold_out == "images"
    assert started.n_images + started.n_held_out == 6 and started.n_held_out_cells > 0
    looks = [e for e in events if isinstance(e, Looked)]
    assert [look.step for look in looks] == [0, 50, 100, 150, 200]
    assert not looks[0].best and looks[1].best
    assert looks[-1].iou > looks[0].iou + 0.2 and looks[-1].validation_loss < 0.6 * looks[0].validation_loss
    steps = [e for e in events if isinstance(e, TrainProgress)]
    assert [e.step for e in steps] == list(range(1, 201)) and steps[-1].done == 1
    child = result.version
    assert child is not None and not result.stopped_early
    assert (child.parent, child.config, child.threshold) == ("parent", parent.config, parent.threshold)
    assert child.training["parent_sha256"] == before == file_sha256(parent.weights)
    assert set(child.training["validation_images"]) == {s.name for s in result.parts.held_out}
    assert not set(child.training["validation_images"]) & set(child.training["training_images"])
    assert child.training["best_step"] == max(look.step for look in looks if look.best)
    assert not (child.path / CHECKPOINT_FILE).exists()
    with pytest.raises(OutputError, match="never overwritten"):
        next(iter_finetune(samples, child.path, parent, params))


def test_only_what_was_reviewed_counts(parent: ModelVersion, tmp_path: Path) -> None:
    """Labels outside the reviewed area change nothing; one pixel inside does."""
    sample = blobs(3)
    reviewed = np.zeros(sample.labels.shape, bool)
    reviewed[:, :48] = True
    # The cells that reach across the border stay: part of them was reviewed.
    across = np.isin(sample.labels, np.unique(sample.labels[:, 46:52]))
    free = ~across & (np.indices(reviewed.shape)[1] > 52)
    others = sample.labels.copy()
    others[free] = np.where(np.indices(reviewed.shape)[0] % 20 < 9, 500, 0)[free]
    changed = sample.labels.copy()
    changed[40:44, 10:14] = np.where(changed[40:44, 10:14] > 0, 0, 900)
    versions = []
    for name, labels in (("a", sample.labels), ("b", others), ("c", changed)):
        learned = replace(sample, labels=labels.astype(np.int32), reviewed=reviewed)
        params = replace(QUICK, hold_out=0.05)
        versions.append(run_all(iter_finetune([learned], tmp_path / name, parent, params))[1].version)
    assert same_weights(versions[0], versions[1])
    assert not same_weights(versions[0], versions[2])


@pytest.mark.parametrize("how", ["stop", "close"])
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(how: str, parent: ModelVersion, tmp_path: Path) -> None:
    samples = [blobs(i) for i in range(4)]
    _, whole = run_all(iter_finetune(samples, tmp_path / "whole", parent, QUICK, record={"training_set": "s"}))
    n_seen = 0

    def enough() -> bool:
        return how == "stop" and n_seen >= 4

    steps = iter_finetune(samples, tmp_path / "parts", parent, QUICK, stop=enough, record={"training_set": "s"})
    for event in steps:
        n_seen += isinstance(event, TrainProgress)
        if how == "close" and n_seen == 4:
            break
    steps.close()
    stopped = read_version(tmp_path / "parts")
    load_network(stopped)
    assert stopped.training["steps"] == 4
    (unfinished,) = list_unfinished(tmp_path)
    assert (unfinished.name, unfinished.parent, unfinished.step) == ("parts", "parent", 4)
    assert unfinished.done == pytest.approx(4 / 6)
    events, resumed = run_all(iter_finetune(samples, tmp_path / "parts", parent, QUICK, resume=True))
    assert events[0].resumed and events[0].step == 4
    assert [e.step for e in events if isinstance(e, TrainProgress)] == [5, 6]
    assert resumed.version is not None and resumed.version.training["steps"] == 6
    assert same_weights(whole.version, resumed.version)
    assert len((resumed.version.path / "history.csv").read_text().splitlines()) == 7
    assert list_unfinished(tmp_path) == []
    with pytest.raises(CellsegError, match="nothing to resume"):
        run_all(iter_finetune(samples, tmp_path / "parts", parent, QUICK, resume=True))


def test_changed_images_are_not_resumed(parent: ModelVersion, tmp_path: Path) -> None:
    samples = [blobs(i) for i in range(4)]
    steps = iter_finetune(samples, tmp_path / "run", parent, QUICK)
    while not isinstance(next(steps), TrainProgress):
        pass
    steps.close()
    with pytest.raises(DatasetError, match="have changed"):
        run_all(iter_finetune([*samples[:3], blobs(9)], tmp_path / "run", parent, QUICK, resume=True))
    (tmp_path / "run" / CHECKPOINT_FILE).write_bytes(b"PK torn")
    with pytest.raises(CellsegError, match="cannot be read"):
        run_all(iter_finetune(samples, tmp_path / "run", parent, QUICK, resume=True))
    load_network(read_version(tmp_path / "run"))
    discard(tmp_path / "run")
    assert not (tmp_path / "run" / CHECKPOINT_FILE).exists() and read_version(tmp_path / "run").parent == "parent"


def test_stopped_before_the_first_step_leaves_nothing(parent: ModelVersion, tmp_path: Path) -> None:
    _, result = run_all(iter_finetune([blobs(0)], tmp_path / "x", parent, QUICK, stop=lambda: True))
    assert result.version is None and result.stopped_early
    assert not (tmp_path / "x").exists()


def test_one_image_is_enough_and_says_so(parent: ModelVersion, tmp_path: Path) -> None:
    small = blobs(0, size=40, n=6)
    events, result = run_all(iter_finetune([small], tmp_path / "x", parent, QUICK))
    assert result.parts.how == events[0].hold_out == "crops"
    assert any("fewer than three images" in note for note in events[0].notes)
    looks = [e for e in events if isinstance(e, Looked)]
    assert all(math.isfinite(look.validation_loss) for look in looks)


def test_an_area_without_cells_teaches_background(parent: ModelVersion, tmp_path: Path) -> None:
    empty = replace(blobs(0), labels=np.zeros((96, 96), np.int32))
    events, result = run_all(iter_finetune([empty], tmp_path / "x", parent, QUICK))
    assert result.version is not None and result.parts.how == "none"
    assert any("only background" in note for note in events[0].notes)


def test_nothing_reviewed_is_refused(parent: ModelVersion, tmp_path: Path) -> None:
    nothing = replace(blobs(0), reviewed=np.zeros((96, 96), bool))
    for samples in ([], [nothing]):
        with pytest.raises(DatasetError, match="Nothing is reviewed"):
            run_all(iter_finetune(samples, tmp_path / "x", parent, QUICK))
    assert not (tmp_path / "x").exists()


def test_memory_that_runs_out_makes_it_take_less(
    parent: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that cannot take more than two crops of 64 pixels, and later none larger than 64 pixels."""
    forward = UNet.forward
    largest = 0

    def hungry(self: UNet, x: torch.Tensor) -> dict[str, torch.Tensor]:
        nonlocal largest
        if self.training:
            if x.numel() > 3 * 64 * 64:
                raise torch.OutOfMemoryError("CUDA out of memory")
            largest = max(largest, x.shape[0] * x.shape[2])
        return forward(self, x)

    monkeypatch.setattr(UNet, "forward", hungry)
    params = replace(QUICK, batch_size=4, crop=128)
    events, result = run_all(iter_finetune([blobs(0), blobs(1)], tmp_path / "x", parent, params))
    notes = [e.text for e in events if isinstance(e, Note)]
    assert [n.split("with ")[1] for n in notes] == [
        "2 crop(s) at a time.",
        "1 crop(s) at a time.",
        "crops of 64 pixels.",
    ]
    assert result.version is not None and result.version.training["notes"][-3:] == notes
    assert largest == 64
    with pytest.raises(CellsegError, match="not enough memory"):
        monkeypatch.setattr(UNet, "forward", lambda self, x: forward(self, x) if not self.training else _no_memory())
        run_all(iter_finetune([blobs(0)], tmp_path / "y", parent, params))
    assert not (tmp_path / "y").exists()


def _no_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_loss_that_runs_away_keeps_the_best(
    parent: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = [blobs(i) for i in range(4)]
    real, n_calls = learner.total_loss, 0

    def breaking(outputs: Any, targets: Any, params: Any) -> Any:
        nonlocal n_calls
        loss, parts = real(outputs, targets, params)
        n_calls += loss.requires_grad
        return (loss * math.nan if n_calls > 4 and loss.requires_grad else loss), parts

    monkeypatch.setattr(learner, "total_loss", breaking)
    params = replace(QUICK, steps=50)
    events, result = run_all(iter_finetune(samples, tmp_path / "x", parent, params))
    (note,) = [e.text for e in events if isinstance(e, Note)]
    assert "not a number" in note and "step 3" in note
    assert result.stopped_early and result.version is not None and result.version.training["best_step"] == 3
    assert all(torch.isfinite(value).all() for value in weights_of(result.version).values())
    n_calls = 100
    with pytest.raises(CellsegError, match="learning rate below"):
        run_all(iter_finetune(samples, tmp_path / "y", parent, params))
    assert not (tmp_path / "y").exists()


def test_frozen_parts_stay(parent: ModelVersion, tmp_path: Path) -> None:
    before = load_network(parent).state_dict()
    _, result = run_all(iter_finetune([blobs(0)], tmp_path / "x", parent, replace(QUICK, freeze="encoder")))
    assert result.version is not None
    after = load_network(result.version).state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved and not any(name.startswith("down.") for name in moved)


def test_a_blend_lies_between_parent_and_child(parent: ModelVersion, tmp_path: Path) -> None:
    ends = {name: value.float() for name, value in load_network(parent).state_dict().items()}
    samples = [blobs(i) for i in range(3)]
    params = replace(QUICK, freeze="norms", learning_rate=1e-2, validate_every=6)
    far, near = (
        run_all(iter_finetune(samples, tmp_path / str(blend), parent, replace(params, blend=blend)))[1].version
        for blend in (1.0, 0.25)
    )
    for name, value in weights_of(near).items():
        wanted = ends[name] + 0.25 * (weights_of(far)[name].float() - ends[name])
        torch.testing.assert_close(value.float(), wanted, rtol=2e-3, atol=2e-3, msg=name)
    assert not same_weights(near, parent)


def test_general_samples_are_mixed_in(parent: ModelVersion, tmp_path: Path) -> None:
    """What is mixed in matters, and so does leaving it out."""
    samples = [blobs(0), blobs(1)]
    results = [
        run_all(iter_finetune(samples, tmp_path / str(i), parent, replace(QUICK, general=share), general=general))[1]
        for i, (share, general) in enumerate([(0.0, [blobs(7)]), (0.0, []), (0.5, [blobs(7)]), (0.5, [blobs(8)])])
    ]
    assert same_weights(results[0].version, results[1].version)
    assert not same_weights(results[0].version, results[2].version)
    assert not same_weights(results[2].version, results[3].version)


def test_the_bundled_general_samples() -> None:
    learn, check = general_samples("learn"), general_samples("check")
    for samples in (learn, check):
        assert {s.kind for s in samples} == {"fluorescence", "histology", "brightfield"}
        assert all(s.labels.any() and s.labels.shape == (256, 256) for s in samples)
    assert not {s.name for s in learn} & {s.name for s in check}
    assert not {(s.kind, s.group) for s in learn} & {(s.kind, s.group) for s in check}
    assert "general" not in [model.name for model in list_models()]


@pytest.mark.parametrize("setting", [{"minutes": 0}, {"crop": 8}, {"freeze": "all"}, {"seed": 1.5}, {"general": 1}])
def test_impossible_settings(setting: dict[str, Any]) -> None:
    with pytest.raises(ParamsError, match=next(iter(setting))):
        FineTuneParams(**setting)


def test_settings_read_back() -> None:
    params = FineTuneParams(minutes=2, freeze="norms")
    assert FineTuneParams.from_dict(json.loads(json.dumps(params.to_dict()))) == params
    with pytest.raises(ParamsError, match="speed"):
        FineTuneParams.from_dict({"speed": 1})


def test_versions_are_named_in_a_row(tmp_path: Path) -> None:
    names = []
    parent = "cells"
    for _ in range(3):
        path = next_version_dir(parent, tmp_path)
        path.mkdir()
        names.append(path.name)
        parent = path.name
    assert names == ["cells mine v1", "cells mine v2", "cells mine v3"]
    assert next_version_dir("cells", tmp_path).name == "cells mine v4"


def test_a_crash_between_weights_and_settings_leaves_a_whole_version(
    parent: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, result = run_all(iter_finetune([blobs(0)], tmp_path / "x", parent, QUICK))
    version = result.version
    assert version is not None
    state = {name: value + 1 for name, value in load_network(version).state_dict().items()}
    settings = {"config": version.config, "normalizer": version.normalizer, "split": version.split, "threshold": 0.5}

    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for name in ("_write_bytes", "write_config"):
        with monkeypatch.context() as patch:
            patch.setattr(f"napari_cellseg.training.fit.record.{name}", crash)
            with pytest.raises(KeyboardInterrupt):
                save_version(version.path, state, min_size=5, **settings)
        load_network(read_version(version.path))


# --- the command


def words_of(folder: Path, parent: ModelVersion, out: Path, *more: str) -> list[str]:
    settings = ["--minutes", "60", "--batch-size", "2", "--crop", "64", "--validate-every", "3", "--device", "cpu"]
    settings += ["--checkpoint-seconds", "0", "--freeze", "nothing", "--blend", "1"]
    return ["finetune", str(folder), "--parent", str(parent.path), "--out", str(out), *settings, *more]


def child(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def wait_for_step(process: subprocess.Popen[str], step: int) -> list[dict[str, Any]]:
    events = []
    assert process.stdout is not None
    for line in process.stdout:
        events.append(json.loads(line))
        if events[-1]["event"] == "step" and events[-1]["step"] >= step:
            return events
    raise AssertionError(process.communicate()[1])


def test_images_and_masks_in_two_folders(folder: Path, parent: ModelVersion, tmp_path: Path) -> None:
    (folder / "labels").rename(tmp_path / "cells")
    words = words_of(folder / "images", parent, tmp_path / "out", "--steps", "2", "--masks", str(tmp_path / "cells"))
    assert main(words) == 0
    training = json.loads((tmp_path / "out" / "training.json").read_text())
    assert (training["training_set"], training["masks"]) == (str(folder / "images"), str(tmp_path / "cells"))


def test_the_command_reports_line_by_line(
    folder: Path, parent: ModelVersion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "labels/blobs3.tif").write_bytes(b"II*\0 torn")
    out = tmp_path / "child"
    assert main(words_of(folder, parent, out, "--report", "jsonl", "--steps", "6")) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds.index("start") < kinds.index("step") < kinds.index("comparison") < kinds.index("done")
    by_kind = {event["event"]: event for event in events}
    assert "blobs3" in next(e["text"] for e in events if e["event"] == "note")
    assert by_kind["start"]["n_images"] + by_kind["start"]["n_held_out"] == 3
    assert by_kind["step"]["done"] == 1 and set(by_kind["step"]["parts"]) == {"bce", "dice", "distance", "offset"}
    assert by_kind["done"] == {"event": "done", "version": str(out), "stopped_early": False, "resumable": False}
    comparison = read_comparison(out)
    assert comparison is not None
    assert {"event": "comparison", **comparison.to_dict()} == _tuples(by_kind["comparison"], comparison)
    assert load_model(out).training["training_set"] == str(folder)
    assert main(words_of(folder, parent, out, "--report", "jsonl")) == 1
    (error,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"error"' in line]
    assert "never overwritten" in error["message"]


def _tuples(event: dict[str, Any], comparison: Any) -> dict[str, Any]:
    """JSON knows no tuples."""
    assert len(event["changed"]) == len(comparison.changed)
    return {**event, "changed": [{**change, "box": tuple(change["box"])} for change in event["changed"]]}


def test_the_command_for_people(folder: Path, parent: ModelVersion, tmp_path: Path, capfd: Any) -> None:
    assert main(words_of(folder, parent, tmp_path / "child", "--steps", "3")) == 0
    said = "".join(capfd.readouterr())
    for words in ("to learn from", "held-out loss", "F1 .5", "one with true ones", "model version in"):
        assert words in said


@pytest.mark.skipif(sys.platform == "win32", reason="signals are of POSIX")
def test_a_killed_run_leaves_a_version_and_goes_on(
    folder: Path, parent: ModelVersion, tmp_path: Path, program: Program
) -> None:
    """Kill the real process while it learns; what it left is whole, and --resume takes it to its end."""
    out = tmp_path / "child"
    process = child(cold(*words_of(folder, parent, out, "--report", "jsonl", "--steps", "40")))
    wait_for_step(process, 7)
    # While it runs, nobody else may go on with it.
    process.send_signal(signal.SIGSTOP)
    assert (out / CHECKPOINT_FILE).exists() and list_unfinished(tmp_path) == []
    with pytest.raises(CellsegError, match="is being trained right now"):
        read_run(out)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    load_network(load_model(out))
    assert file_sha256(parent.weights) == parent.sha256
    (unfinished,) = list_unfinished(tmp_path)
    assert unfinished.step >= 6 and unfinished.training_set == str(folder)
    resumed = child(program("finetune", "--resume", "--out", str(out), "--report", "jsonl"))
    said, errors = resumed.communicate()
    assert resumed.returncode == 0, errors
    events = [json.loads(line) for line in said.splitlines()]
    started = next(e for e in events if e["event"] == "start")
    assert started["resumed"] and started["step"] == unfinished.step
    assert events[-1]["event"] == "done" and not events[-1]["stopped_early"]
    assert load_model(out).training["steps"] == 40
    assert (out / FAMILIAR_FILE).is_file()
    assert list_unfinished(tmp_path) == []


def test_a_resumed_run_takes_no_other_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finetune", "--resume", "--out", str(tmp_path), "--minutes", "33", "--parent", "gone"]) == 1
    assert "--parent, --minutes can't be given" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["end of input", "terminate"])
def test_a_run_that_is_asked_to_stop_keeps_its_best(
    how: str, folder: Path, parent: ModelVersion, tmp_path: Path, program: Program
) -> None:
    if how == "terminate" and sys.platform == "win32":
        pytest.skip("Windows ends programs without asking")
    out = tmp_path / "child"
    process = child(program(*words_of(folder, parent, out, "--report", "jsonl", "--steps", "100000", "--stop-on-eof")))
    wait_for_step(process, 4)
    if how == "terminate":
        process.terminate()
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    events = [json.loads(line) for line in said.splitlines()]
    assert events[-1]["event"] == "done" and events[-1]["stopped_early"] and events[-1]["resumable"]
    assert (read_comparison(out) is None) == (how == "terminate")
    load_network(load_model(out))


@pytest.mark.parametrize("case", ["parent", "set", "nothing", "resume", "no set"])
def test_what_cannot_be_done_is_told(
    case: str, folder: Path, parent: ModelVersion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {
        "parent": ["finetune", str(folder), "--parent", "gone"],
        "set": ["finetune", str(tmp_path / "missing"), "--parent", str(parent.path)],
        "nothing": ["finetune", str(folder), "--parent", str(parent.path), "--out", str(tmp_path / "x")],
        "resume": ["finetune", "--resume", "--out", str(tmp_path / "x")],
        "no set": ["finetune"],
    }[case]
    if case == "nothing":
        opened = TrainingSet.open(folder)
        for name in opened.names():
            opened.remove(name)
    assert main([*words, "--report", "jsonl"]) == 1
    (event,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert event["event"] == "error" and len(event["message"]) > 20
    assert not (tmp_path / "x").exists()
