"""What a training and a search tell while they run, and what they leave when they cannot begin."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cellseg.cli import main
from napari_cellseg.cli.train_options import kind_weights
from napari_cellseg.imaging.errors import CellsegError
from napari_cellseg.network.config import UNetConfig
from napari_cellseg.training.events import EARLIER_POINTS, Earlier, Looked, TrainProgress, earlier, event_dict
from napari_cellseg.training.finetune_params import FineTuneParams
from napari_cellseg.training.fit.trainer import iter_finetune, iter_train_events
from napari_cellseg.training.params import LOSSES, LossParams, TrainParams, first_minutes, rounds_of
from napari_cellseg.training.search import propose, tried_values, vary
from tests.blobs import blobs
from tests.models import make_model
from tests.warm import Program

TINY = TrainParams(
    steps=6,
    batch_size=2,
    crop=32,
    validate_every=2,
    checkpoint_seconds=0,
    network=UNetConfig(base_channels=4, levels=2),
)
WORDS = ["--crop", "32", "--batch-size", "2", "--base-channels", "4", "--levels", "2", "--validation", "0.4"]


def history(n: int) -> list[TrainProgress]:
    return [TrainProgress(i + 1, (i + 1) / n, i, 1 / (i + 1), math.nan, {}) for i in range(n)]


def write_npz(path: Path) -> Path:
    samples = [blobs(i, 64) for i in range(6)]
    np.savez(path, X=np.stack([s.image for s in samples]), y=np.stack([s.labels for s in samples]))
    return path


@pytest.mark.parametrize("n", [0, 1, 7, 600, 601, 5000])
def test_the_past_keeps_its_mean_its_ends_and_every_look(n: int) -> None:
    steps = history(n)
    looks = [Looked(p.step, p.loss, math.nan, 0.5, p.step == n // 2, math.nan) for p in steps[::50]]
    past = earlier(steps, [Looked(0, 2.0, 0.1, 0.1, False), *looks])
    assert len(past.places) == len(past.losses) <= EARLIER_POINTS
    assert past.places == tuple(sorted(past.places)) and past.places[-1:] == tuple(p.done for p in steps[-1:])
    assert past.check_places == (0.0, *(p.done for p in steps[::50]))
    assert past.check_losses[1:] == tuple(p.loss for p in steps[::50])
    if n and n <= EARLIER_POINTS:
        assert past.losses == pytest.approx([p.loss for p in steps])
    json.dumps(event_dict(past))


def test_a_look_that_is_no_number_is_left_out_and_the_best_is_the_last_that_was_kept() -> None:
    looks = [Looked(1, math.nan, 0, 0, False), Looked(2, 0.5, 0, 0, True), Looked(3, 0.4, 0, 0, True)]
    past = earlier(history(4), [*looks, Looked(4, 0.6, 0, 0, False)])
    assert past.check_losses == (0.5, 0.4, 0.6) and past.best == 1
    assert earlier([], []).best is None


def test_a_resumed_run_says_what_was_before(tmp_path: Path) -> None:
    training, held_out = [blobs(i, 64) for i in range(3)], [blobs(9, 64)]

    def run(**more: Any) -> list[Any]:
        # Which it says before its first step, so that nothing is drawn twice.
        return collected(iter_train_events(training, held_out, tmp_path / "v", TINY, **more))

    n_steps = 0

    def after_three() -> bool:
        nonlocal n_steps
        n_steps += 1
        return n_steps > 3

    first = run(stop=after_three)
    assert not any(isinstance(event, Earlier) for event in first)
    second = run(resume=True)
    kinds = [type(event).__name__ for event in second]
    assert kinds.count("Earlier") == 1 and kinds.index("Earlier") < kinds.index("TrainProgress")
    past = second[kinds.index("Earlier")]
    told = [event for event in first if isinstance(event, TrainProgress)]
    looked = [event for event in first if isinstance(event, Looked)]
    assert past.losses == pytest.approx([p.loss for p in told]) and past.places == tuple(p.done for p in told)
    assert past.check_losses == pytest.approx([look.validation_loss for look in looked])
    assert past.check_losses[past.best] == pytest.approx(min(look.validation_loss for look in looked))


def collected(steps: Generator[Any, None, Any]) -> list[Any]:
    return list(steps)


def test_a_network_that_cannot_be_built_leaves_no_folder(tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "models" / "new"
    params = TrainParams(encoder_weights="imagenet")  # a plain U-Net has no encoder
    with pytest.raises(CellsegError):
        collected(iter_train_events([blobs(0)], [], out, params))
    assert not out.exists()
    words = ["train", str(write_npz(tmp_path / "d.npz")), "--out", str(out), "--encoder-weights", "imagenet"]
    assert main(words) == 1 and not out.exists() and not out.parent.exists()
    parent = make_model(tmp_path / "parent")
    parent.weights.write_bytes(b"damaged")
    with pytest.raises(CellsegError):
        collected(iter_finetune([blobs(0)], out, parent, FineTuneParams(minutes=0.1)))
    assert not out.exists()


@pytest.mark.parametrize("command", ["train", "search"])
def test_what_a_parent_takes_the_place_of_is_told(command: str, tmp_path: Path, capsys: Any) -> None:
    words = [command, str(tmp_path / "missing"), "--out", str(tmp_path / "out"), "--parent", "cells"]
    assert main([*words, "--levels", "2", "--low-percentile", "5"]) == 1
    assert "--levels, --low-percentile is not used: a parent brings its own." in capsys.readouterr().out


def test_a_kind_may_hold_an_equals_sign() -> None:
    assert kind_weights(["a = b=0.5", "=2", "-c=1"]) == {"a = b": 0.5, "": 2.0, "-c": 1.0}
    for wrong in ("a", "a=", "=", "a=b"):
        with pytest.raises(CellsegError, match="KIND=NUMBER"):
            kind_weights([wrong])


def test_the_first_round_takes_its_share() -> None:
    for n in range(1, 20):
        sizes = rounds_of(n)
        assert first_minutes(12.0, n) * n * len(sizes) == pytest.approx(12.0)


def test_what_a_trial_tried_can_be_set_again() -> None:
    base = TrainParams(learning_rate=2e-3, batch_size=6)
    for settings in propose(24, 3):
        own = vary(base, settings)
        values = tried_values(own)
        again = TrainParams(
            **values["training"],
            loss=LossParams.named(values["loss"]["loss"]),
            augment=type(base.augment)(**values["augmentation"]),
        )
        assert again == own
    assert tried_values(TrainParams(loss=LossParams(bce=0.3, dice=0.3)))["loss"] == {}
    assert set(LOSSES) == {"bce+dice", "bce", "dice"}


def test_a_search_tells_each_trial_with_its_rank(tmp_path: Path, program: Program) -> None:
    words = [str(write_npz(tmp_path / "d.npz")), "--out", str(tmp_path / "s"), "--minutes", "0.06", "--trials", "2"]
    search = program("search", *words, *WORDS, "--report", "jsonl")
    done = subprocess.run(search, capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    trials = [event for event in events if event["event"] == "trial"]
    assert [trial["number"] for trial in trials] == [1, 2] and [t["n_done"] for t in trials] == [1, 2]
    assert sorted(trials[-1]["ranking"]) == [1, 2] and trials[0]["changes"] == "as asked"
    parts = [event["done"] / event["total"] for event in events if event["event"] == "progress"]
    assert parts == sorted(parts) and parts[-1] <= 1
    assert events[-1]["event"] == "done" and events[-1]["ranking"] == trials[-1]["ranking"]
    assert Path(events[-1]["best"]).is_dir() and not events[-1]["stopped_early"]
    again = subprocess.run(search, capture_output=True, text=True)
    assert again.returncode == 1 and "holds a search already" in json.loads(again.stdout.splitlines()[-1])["message"]


def test_a_search_ends_with_its_input_and_keeps_the_ranking(tmp_path: Path, program: Program) -> None:
    words = [str(write_npz(tmp_path / "d.npz")), "--out", str(tmp_path / "s"), "--minutes", "3", "--trials", "3"]
    child = subprocess.Popen(
        program("search", *words, *WORDS, "--report", "jsonl", "--stop-on-eof"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert child.stdin is not None and child.stdout is not None
    for line in child.stdout:
        if json.loads(line)["event"] == "progress":
            child.stdin.close()
            break
    last = json.loads(child.stdout.readlines()[-1])
    assert child.wait(60) == 0 and last["event"] == "done" and last["stopped_early"] and last["best"] is None
