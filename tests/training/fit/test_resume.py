"""A training that is stopped, killed and resumed; early stopping; what a run keeps."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_cellseg.cli import main
from napari_cellseg.evaluation.held_out import learned_from
from napari_cellseg.imaging.errors import CellsegError, DatasetError
from napari_cellseg.imaging.progress import Note, drain
from napari_cellseg.network.config import UNetConfig
from napari_cellseg.network.ready import load_network
from napari_cellseg.network.versions import TRAINING_FILE, load_model
from napari_cellseg.training.comparing import run_table, summarize_run
from napari_cellseg.training.curves import HistoryTable
from napari_cellseg.training.events import Looked, Started
from napari_cellseg.training.fit.trainer import iter_train_events
from napari_cellseg.training.params import TrainParams
from napari_cellseg.training.runs import CHECKPOINT_FILE, TRAIN_FILE, list_unfinished, parent_of, read_run
from tests.attacks.state import mutated_bytes, mutated_json
from tests.blobs import blobs
from tests.training_steps import iter_train
from tests.warm import Program, cold

TINY = TrainParams(
    steps=16, validate_every=4, batch_size=2, crop=32, device="cpu", checkpoint_seconds=0,
    network=UNetConfig(base_channels=2, levels=1, dropout=0.3),
)  # fmt: skip
TRAINING, VALIDATION = [blobs(i) for i in range(3)], [blobs(9)]


def same_weights(a: Path, b: Path) -> bool:
    first, second = load_file(a / "weights.safetensors"), load_file(b / "weights.safetensors")
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def stop_after(n: int, out: Path, params: TrainParams) -> None:
    steps = iter_train(TRAINING, VALIDATION, out, params)
    for _ in range(n):
        next(steps)
    steps.close()


@pytest.mark.parametrize("changes", [{}, {"schedule": "plateau", "plateau_patience": 1, "optimizer": "sgd"}])
def test_a_resumed_run_ends_where_it_would_have_ended(changes: dict[str, Any], tmp_path: Path) -> None:
    """Weights, curves and the best step are those of a run that nobody stopped, dropout and momentum included."""
    params = replace(TINY, **changes)
    drain(iter_train(TRAINING, VALIDATION, tmp_path / "whole", params))
    stop_after(6, tmp_path / "parts", params)
    assert (tmp_path / "parts" / CHECKPOINT_FILE).exists()
    resumed = [p.step for p in iter_train(TRAINING, VALIDATION, tmp_path / "parts", params, resume=True)]
    assert resumed == list(range(7, 17))
    assert same_weights(tmp_path / "whole", tmp_path / "parts")
    whole, parts = (HistoryTable.read(tmp_path / name / "history.csv") for name in ("whole", "parts"))
    for column in ("step", "loss", "validation_loss", "iou", "dice", "rate"):
        np.testing.assert_array_equal(getattr(whole, column), getattr(parts, column), column)
    records = [load_model(tmp_path / name).training for name in ("whole", "parts")]
    assert records[0]["best_step"] == records[1]["best_step"]
    assert not (tmp_path / "parts" / CHECKPOINT_FILE).exists()
    assert (tmp_path / "parts" / "curves.png").stat().st_size > 1000


def test_the_best_that_came_after_the_checkpoint_is_not_forgotten(tmp_path: Path) -> None:
    """A run killed between a look and the next checkpoint: worse weights must not take the place of the best."""
    out = tmp_path / "run"
    params = replace(TINY, steps=60, checkpoint_seconds=10**4, learning_rate=0.02, average=0.5)
    steps = iter_train(TRAINING, VALIDATION, out, params)
    for progress in steps:
        if progress.step == 2:
            saved = (out / CHECKPOINT_FILE).read_bytes()
        if progress.step == 12:
            break
    steps.close()
    (out / CHECKPOINT_FILE).write_bytes(saved)
    asked = json.loads((out / TRAIN_FILE).read_text())
    assert asked["best_step"] > 4 and asked["best"] < 100
    before = (out / "weights.safetensors").read_bytes()
    resumed = iter_train(TRAINING, VALIDATION, out, params, resume=True)
    assert next(resumed).step == 2
    for progress in resumed:
        if progress.step == 5:
            break
    assert (out / "weights.safetensors").read_bytes() == before
    resumed.close()


@pytest.mark.parametrize("change", ["pixels", "roles"])
def test_other_images_than_before_are_refused(change: str, tmp_path: Path) -> None:
    stop_after(3, tmp_path / "run", TINY)
    training, validation = list(TRAINING), list(VALIDATION)
    if change == "pixels":
        training[0] = replace(training[0], image=training[0].image + 1)
    else:
        training[0], validation[0] = validation[0], training[0]
    with pytest.raises(DatasetError, match=r"have changed|are others"):
        next(iter_train(training, validation, tmp_path / "run", TINY, resume=True))
    next(iter_train(TRAINING, VALIDATION, tmp_path / "run", TINY, resume=True))


def test_an_image_whose_name_is_no_text_is_learned_and_resumed(tmp_path: Path) -> None:
    strange = [replace(TRAINING[0], name=os.fsdecode(b"\xff")), *TRAINING[1:]]
    steps = iter_train(strange, VALIDATION, tmp_path / "run", TINY)
    next(steps)
    steps.close()
    version = drain(iter_train(strange, VALIDATION, tmp_path / "run", replace(TINY, steps=16), resume=True)).path
    assert os.fsdecode(b"\xff") in load_model(version).training["training_images"]


def test_nothing_to_resume_is_told(tmp_path: Path) -> None:
    with pytest.raises(CellsegError, match="nothing to resume"):
        next(iter_train(TRAINING, VALIDATION, tmp_path / "run", TINY, resume=True))
    drain(iter_train(TRAINING, VALIDATION, tmp_path / "run", replace(TINY, steps=2)))
    with pytest.raises(CellsegError, match="was finished"):
        next(iter_train(TRAINING, VALIDATION, tmp_path / "run", TINY, resume=True))


def test_a_damaged_checkpoint_is_told(tmp_path: Path) -> None:
    stop_after(3, tmp_path / "run", TINY)
    path = tmp_path / "run" / CHECKPOINT_FILE
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(CellsegError, match="cannot be read"):
        next(iter_train(TRAINING, VALIDATION, tmp_path / "run", TINY, resume=True))


def test_early_stopping_keeps_the_best(tmp_path: Path) -> None:
    """A learning rate that spoils the weights: the run ends after its patience, with the weights of the best look."""
    params = replace(TINY, steps=4000, patience=3, schedule="constant", learning_rate=0.5, optimizer="sgd", average=0.0)
    events = []
    steps = iter_train_events(TRAINING, VALIDATION, tmp_path / "run", params)
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            trained = stop.value
            break
    looks = [e for e in events if isinstance(e, Looked)]
    best = min(looks, key=lambda look: look.validation_loss)
    assert trained.stopped_by == "patience" and not trained.stopped_early
    assert trained.version.training["best_step"] == best.step and best.best
    assert [look.best for look in looks[looks.index(best) + 1 :]] == [False] * 3
    assert any("Stopped early" in e.text for e in events if isinstance(e, Note))
    assert 0 <= best.iou <= best.dice <= 1


def test_plateau_lowers_the_rate_and_epochs_end_with_looks(tmp_path: Path) -> None:
    params = replace(
        TINY, epochs=12, schedule="plateau", plateau_patience=1, plateau_factor=0.5, learning_rate=0.3,
        optimizer="sgd", average=0.0,
    )  # fmt: skip
    training = [blobs(i) for i in range(5)]
    history = list(iter_train(training, VALIDATION, tmp_path / "run", params))
    assert len(history) == 12 * 3
    looks = [p for p in history if not math.isnan(p.validation_loss)]
    assert [p.step for p in looks] == list(range(3, 37, 3))
    best, n_falls = math.inf, 0
    for look in looks[:-1]:
        n_falls += look.validation_loss >= best
        best = min(best, look.validation_loss)
        assert history[look.step].rate == pytest.approx(0.3 * 0.5**n_falls)
    assert n_falls > 0


def test_what_needs_images_held_out_says_so(tmp_path: Path) -> None:
    for params in (replace(TINY, patience=2), replace(TINY, schedule="plateau")):
        with pytest.raises(DatasetError, match="held out"):
            next(iter_train(TRAINING, [], tmp_path / "run", params))
    started = next(iter_train_events(TRAINING[:1], [], tmp_path / "run", TINY))
    assert isinstance(started, Started) and "No image is held out" in started.notes[0]


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_every_optimiser_learns_even_with_one_crop_at_a_time(optimizer: str, tmp_path: Path) -> None:
    rate = 0.05 if optimizer == "sgd" else 0.003
    params = TrainParams(
        steps=150, batch_size=1, crop=64, learning_rate=rate, optimizer=optimizer, average=0.9, validate_every=150,
        device="cpu", network=UNetConfig(base_channels=4, levels=2),
    )  # fmt: skip
    history = list(iter_train([blobs(i) for i in range(6)], VALIDATION, tmp_path / "run", params))
    assert history[-1].iou > 0.6
    load_network(load_model(tmp_path / "run"))


def test_half_precision_skips_what_overflows_and_learns(tmp_path: Path) -> None:
    """In float16 gradients are scaled up; the scale that is too large at first is found without ending the run."""
    params = replace(TINY, steps=60, learning_rate=0.02, precision="float16", average=0.5, validate_every=60)
    params = replace(params, network=UNetConfig(base_channels=4, levels=1))
    history = list(iter_train(TRAINING, VALIDATION, tmp_path / "run", params))
    assert np.mean([p.loss for p in history[-10:]]) < 0.8 * np.mean([p.loss for p in history[:10]])
    assert load_model(tmp_path / "run").training["dtype"] == "float16"


def npz(path: Path, n: int = 6) -> Path:
    samples = [blobs(i, 64, 5) for i in range(n)]
    np.savez(path, X=np.stack([s.image for s in samples]), y=np.stack([s.labels for s in samples]))
    return path


def child(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def words_of(data: Path, out: Path, *more: str) -> list[str]:
    settings = ["--batch-size", "2", "--crop", "32", "--base-channels", "2", "--levels", "1", "--validate-every", "5"]
    return ["train", str(data), "--out", str(out), "--report", "jsonl", "--device", "cpu", *settings, *more]


def wait_for_step(process: subprocess.Popen[str], step: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "step" and event["step"] >= step:
            return
    raise AssertionError(process.communicate()[1])


@pytest.mark.skipif(sys.platform == "win32", reason="signals are of POSIX")
def test_a_killed_training_leaves_a_version_and_goes_on(tmp_path: Path, program: Program) -> None:
    """Kill the real process while it learns; --resume ends with the weights of a run that nobody killed."""
    data = npz(tmp_path / "set.npz")
    more = ("--steps", "40", "--checkpoint-seconds", "0", "--validation", "0.3")
    process = child(cold(*words_of(data, tmp_path / "killed", *more)))
    wait_for_step(process, 12)
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(CellsegError, match="is being trained right now"):
        read_run(tmp_path / "killed", TRAIN_FILE)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    load_network(load_model(tmp_path / "killed"))
    resumed = child(program("train", "--resume", "--out", str(tmp_path / "killed"), "--report", "jsonl"))
    said, errors = resumed.communicate()
    assert resumed.returncode == 0, errors
    events = [json.loads(line) for line in said.splitlines()]
    started = next(e for e in events if e["event"] == "start")
    assert started["resumed"] and started["step"] >= 11
    assert events[-1] == {
        "event": "done", "version": str(tmp_path / "killed"), "stopped_early": False, "stopped_by": "steps",
        "resumable": False,
    }  # fmt: skip
    # In a process of its own too: as many threads add up in the same order.
    whole = child(program(*words_of(data, tmp_path / "whole", *more, "--checkpoint-seconds", "1000")))
    assert whole.communicate()[1] == "" and whole.returncode == 0
    assert same_weights(tmp_path / "whole", tmp_path / "killed")
    assert load_model(tmp_path / "killed").training["command"].startswith("napari-cellseg train ")
    assert load_model(tmp_path / "killed").metrics["all"]["n_images"] == 2


def test_a_training_that_is_asked_to_stop_keeps_its_best_and_can_go_on(tmp_path: Path, program: Program) -> None:
    process = child(
        program(*words_of(npz(tmp_path / "set.npz"), tmp_path / "run", "--steps", "100000", "--stop-on-eof"))
    )
    wait_for_step(process, 7)
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    done = json.loads(said.splitlines()[-1])
    assert done["stopped_early"] and done["resumable"] and done["stopped_by"] == "request"
    load_network(load_model(tmp_path / "run"))


def test_a_resumed_run_takes_no_other_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", "--out", str(tmp_path), "--steps", "3", "--no-turn"]) == 1
    assert "--steps, --turn can't be given" in capsys.readouterr().err
    assert main(["train", "--resume"]) == 1
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("file", [TRAIN_FILE, TRAINING_FILE])
def test_no_mutated_record_of_a_run_raises_anything_but_an_error_in_words(file: str, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "v"
    record = {"command": "x", "data": {"dataset": "d", "size": None, "fit": "crop"}}
    run = iter_train_events(TRAINING, VALIDATION, out, TINY, record=record, stop=lambda: False)
    while not isinstance(next(run), Looked):
        pass
    run.close()
    values = json.loads((out / file).read_text())
    if file == TRAIN_FILE:
        values["process"] = None
    for name, text in mutated_json(values, 200):
        (out / file).write_text(text, errors="surrogatepass")
        found = list_unfinished(tmp_path / "runs")
        assert [run.path for run in found] in ([], [out]), name
        try:
            asked = read_run(out, TRAIN_FILE)
            TrainParams.from_dict(asked["parameters"])
            if asked.get("parent"):
                parent_of(asked)
            run_table([summarize_run(out)])
            learned_from(load_model(out))
        except CellsegError:
            continue


def test_a_run_whose_file_is_damaged_is_refused_before_anything_is_changed(tmp_path: Path) -> None:
    stop_after(3, tmp_path / "run", TINY)
    path = tmp_path / "run" / TRAIN_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "best_step": "x"}))
    with pytest.raises(CellsegError, match="best_step is 'x'"):
        next(iter_train(TRAINING, VALIDATION, tmp_path / "run", TINY, resume=True))


def test_no_damaged_checkpoint_raises_anything_but_an_error_in_words(tmp_path: Path) -> None:
    """Bytes of the file, and what torch reads of it: a refused run is as it was, and others are not begun."""
    out = tmp_path / "run"
    stop_after(3, out, TINY)
    path = out / CHECKPOINT_FILE
    whole, version = path.read_bytes(), (out / "weights.safetensors").read_bytes()
    inner = torch.load(path, weights_only=True)
    contents = [content for _, content in mutated_bytes(whole, 16)]
    for _, text in mutated_json(json.loads(inner["plain"]), 16):
        contents.append(saved({**inner, "plain": text}))
    for name in inner:
        contents += [saved({**inner, name: other}) for other in (None, [], torch.zeros(2))]
    for content in contents:
        path.write_bytes(content)
        steps = iter_train(TRAINING, VALIDATION, out, TINY, resume=True)
        try:
            next(steps, None)
        except CellsegError:
            assert (out / "weights.safetensors").read_bytes() == version
        # A change that nothing shows, such as another crop that comes next, goes on.
        steps.close()
        (out / "weights.safetensors").write_bytes(version)


def saved(state: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()
