"""Making a version without a command line: what is learned is calibrated, measured or compared, and written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cellseg.evaluation import make_version
from napari_cellseg.evaluation.choosing import BLENDS, images_to_choose_on, iter_choose_blend
from napari_cellseg.evaluation.compare import Comparison, iter_compare, read_comparison
from napari_cellseg.evaluation.first_look import iter_first_look
from napari_cellseg.evaluation.held_out import read_figures
from napari_cellseg.evaluation.make_version import Made, iter_finetune_version, iter_train_version
from napari_cellseg.evaluation.measured import Measured, iter_calibrated
from napari_cellseg.imaging.errors import OutputError
from napari_cellseg.imaging.progress import Note, Progress, drain
from napari_cellseg.network.config import UNetConfig
from napari_cellseg.network.versions import (
    CONFIG_FILE,
    FAMILIAR_FILE,
    METRICS_FILE,
    WEIGHTS_FILE,
    file_sha256,
    load_model,
    read_version,
)
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.training.data.general import general_samples
from napari_cellseg.training.data.hold_out import HeldOut
from napari_cellseg.training.data.sample import Sample
from napari_cellseg.training.data.splitting import SPLIT_FILE, make_split, read_split
from napari_cellseg.training.events import Looked, Phase, Started, TrainProgress
from napari_cellseg.training.finetune_params import FineTuneParams
from napari_cellseg.training.fit.trainer import iter_finetune
from napari_cellseg.training.params import TrainParams
from napari_cellseg.training.runs import CHECKPOINT_FILE, list_unfinished
from tests.blobs import blobs
from tests.models import make_model

SAMPLES = [blobs(i, 64, 5) for i in range(4)]
TRAIN = TrainParams(
    steps=3, batch_size=1, crop=32, validate_every=2, device="cpu", network=UNetConfig(base_channels=2, levels=1)
)
FINE = FineTuneParams(
    minutes=60, steps=3, batch_size=1, crop=32, validate_every=2, device="cpu", general=0, approach="gentle"
)


def stripes(seed: int, n: int = 9, side: int = 192) -> Sample:
    """Upright stripes on the ground and level ones in the cells, 40 pixels across: equal but for their texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    ground, inside = (np.sin(2 * np.pi * axis / 8 + rng.uniform(0, 6)) for axis in (x, y))
    labels = np.zeros((side, side), np.int32)
    places = [(32 + 64 * i, 32 + 64 * j) for i in range(3) for j in range(3)][:n]
    for i, place in enumerate(places):
        cy, cx = place + rng.integers(-8, 9, 2)
        labels[np.hypot(y - cy, x - cx) < rng.uniform(18, 22)] = i + 1
    image = 128 + 40 * np.where(labels > 0, inside, ground) + rng.normal(0, 6, (side, side))
    return Sample(f"stripes{seed}", image.clip(0, 255).astype(np.uint8), labels)


def test_what_was_learned_helps_to_choose_where_little_was_held_out() -> None:
    rich, poor = [stripes(seed) for seed in range(4)], [stripes(seed, 3) for seed in range(4, 8)]
    assert images_to_choose_on(HeldOut(tuple(poor), tuple(rich[:3]), "images")) == tuple(rich[:3])
    assert images_to_choose_on(HeldOut(tuple(poor), tuple(rich[:2]), "images")) == (*rich[:2], *poor)
    assert images_to_choose_on(HeldOut(tuple(rich), tuple(poor[:3]), "images")) == (*poor[:3], *rich)
    assert images_to_choose_on(HeldOut(tuple(rich), tuple(rich), "none")) == tuple(rich)


class Ending:
    """Ends everything at the n-th event that `when` accepts."""

    def __init__(self, when: Any, n: int = 1) -> None:
        self.when, self.left = when, n
        self.events: list[Any] = []

    def hear(self, event: Any) -> None:
        self.events.append(event)
        self.left -= bool(self.when(event))

    def at_once(self) -> bool:
        return self.left <= 0


def train(out: Path, ending: Ending) -> Generator[Any, None, Made]:
    split = make_split(SAMPLES, 0.25)
    held_out = [s for s in SAMPLES if s.name in split.validation]
    learned = [s for s in SAMPLES if s.name in split.training]
    return iter_train_version(
        learned, held_out, out, TRAIN, split=split, stop=ending.at_once, at_once=ending.at_once,
        record={"data": {"dataset": "d"}},
    )  # fmt: skip


def test_a_training_is_calibrated_and_measured_on_what_was_held_out(tmp_path: Path) -> None:
    never = Ending(lambda event: False)
    made = drain(train(tmp_path / "v", never), never.hear)
    (measured,) = [event for event in never.events if isinstance(event, Measured)]
    assert made.measured is measured and made.comparison is None and made.version is not None
    assert [s.name for s in measured.samples] == list(read_split(tmp_path / "v" / SPLIT_FILE).validation)
    stored = read_version(tmp_path / "v")
    assert (stored.threshold, stored.min_size) == (made.version.threshold, made.version.min_size)
    assert (measured.evaluation.threshold, measured.evaluation.min_size) == (stored.threshold, stored.min_size)
    figures = read_figures(tmp_path / "v")
    assert figures is not None and figures.n_images == 1
    assert (tmp_path / "v" / FAMILIAR_FILE).is_file()
    phases = [event.text for event in never.events if isinstance(event, Phase)]
    assert phases[-1] == "measuring"


def test_a_training_without_images_held_out_is_not_measured(tmp_path: Path) -> None:
    made = drain(iter_train_version(SAMPLES, [], tmp_path / "v", TRAIN))
    assert made.version is not None and made.measured is None and not (tmp_path / "v" / METRICS_FILE).exists()


@pytest.mark.parametrize("when", [TrainProgress, Phase], ids=["while learning", "while measuring"])
def test_what_was_learned_is_kept_when_all_is_to_end_at_once(when: type, tmp_path: Path) -> None:
    measuring = Ending(lambda event: isinstance(event, when) and getattr(event, "text", "measuring") == "measuring")
    made = drain(train(tmp_path / "v", measuring), measuring.hear)
    assert made.version is not None and made.measured is None
    assert made.trained.stopped_early == (when is TrainProgress)
    assert (tmp_path / "v" / CONFIG_FILE).is_file() and not (tmp_path / "v" / METRICS_FILE).exists()


def test_a_training_that_cannot_begin_leaves_no_split(tmp_path: Path) -> None:
    stopped = Ending(lambda event: isinstance(event, Started))
    made = drain(train(tmp_path / "v", stopped), stopped.hear)
    assert made.version is None and made.trained.stopped_early and not (tmp_path / "v").exists()


def test_a_fine_tune_is_compared_with_its_parent_unless_it_is_to_end_at_once(tmp_path: Path) -> None:
    parent = make_model(tmp_path / "parent")
    never = Ending(lambda event: False)
    made = drain(iter_finetune_version(SAMPLES, tmp_path / "v", parent, FINE, at_once=never.at_once), never.hear)
    (comparison,) = [event for event in never.events if isinstance(event, Comparison)]
    assert made.comparison is comparison and comparison.old == "parent" and comparison.new == "v"
    stored = read_comparison(tmp_path / "v")
    assert stored is not None and stored.to_dict() == comparison.to_dict() | {"changed": stored.to_dict()["changed"]}
    ending = Ending(lambda event: isinstance(event, Phase) and event.text == "comparing")
    made = drain(iter_finetune_version(SAMPLES, tmp_path / "w", parent, FINE, at_once=ending.at_once), ending.hear)
    assert made.version is not None and not made.trained.stopped_early
    assert made.comparison is None and read_comparison(tmp_path / "w") is None


def copies(steps: Generator[Any, None, Made], out: Path, at: set[int], goal: Path) -> tuple[Made, list[Path]]:
    """Drain a run; copy its folder at some of the events after learning, as kills at these moments would leave it."""
    made, n = [], 0
    try:
        while True:
            event = next(steps)
            if isinstance(event, Phase) and event.text in ("comparing", "measuring"):
                if n in at:
                    made.append(Path(shutil.copytree(out, goal / str(n) / out.name)))
                n += 1
    except StopIteration as stop:
        return stop.value, made


def test_a_fine_tune_killed_while_it_is_compared_goes_on_to_the_same_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the weights were moved towards the parent already: that is not done twice."""
    # Two of the general samples tell as much here as all.
    monkeypatch.setattr(make_version, "general_samples", lambda use: general_samples(use)[:2])
    parent = make_model(tmp_path / "parent")
    params = replace(FINE, approach="thorough", learning_rate=0.01)
    steps = iter_finetune_version(SAMPLES, tmp_path / "v", parent, params, record={"training_set": "s"})
    whole, killed = copies(steps, tmp_path / "v", {0, 7, 16}, tmp_path)
    assert whole.version is not None and whole.comparison is not None and len(killed) == 3
    assert not (whole.version.path / CHECKPOINT_FILE).exists() and list_unfinished(tmp_path) == []
    hashes = {file_sha256(path / WEIGHTS_FILE) for path in killed}
    for path in killed:
        (unfinished,) = list_unfinished(path.parent)
        assert unfinished.learned and unfinished.path == path
        with pytest.raises(OutputError, match="go on with its run"):
            drain(iter_finetune_version(SAMPLES, path, parent, params))
        events: list[Any] = []
        again = drain(iter_finetune_version(SAMPLES, path, parent, params, resume=True), events.append)
        assert not any(isinstance(event, TrainProgress) for event in events)
        assert again.version is not None and again.comparison is not None and not again.trained.stopped_early
        assert file_sha256(path / WEIGHTS_FILE) == whole.version.sha256
        assert again.comparison.to_dict() == whole.comparison.to_dict()
        assert (again.version.threshold, again.version.min_size) == (whole.version.threshold, whole.version.min_size)
        assert list_unfinished(path.parent) == [] and not list(path.glob(".between*"))
    assert len(hashes) == 2, "the last copy is of a version that was moved towards its parent"


def test_a_training_killed_while_it_is_measured_goes_on_to_the_same_version(tmp_path: Path) -> None:
    whole, killed = copies(train(tmp_path / "v", Ending(lambda event: False)), tmp_path / "v", {0, 1}, tmp_path)
    split = read_split(tmp_path / "v" / SPLIT_FILE)
    learned, held_out = ([s for s in SAMPLES if s.name in names] for names in (split.training, split.validation))
    made = (tmp_path / "v" / SPLIT_FILE).read_bytes()
    for path in killed:
        half = path / ".checkpoint.0123456789ab.pt"
        half.touch()
        os.utime(half, (0, 0))
        again = drain(iter_train_version(learned, held_out, path, TRAIN, split=split, resume=True))
        assert not half.exists() and (path / SPLIT_FILE).read_bytes() == made
        assert again.version is not None and whole.version is not None and again.measured is not None
        assert again.version.sha256 == whole.version.sha256 and list_unfinished(path.parent) == []
        assert (path / METRICS_FILE).read_bytes() == (tmp_path / "v" / METRICS_FILE).read_bytes()


def test_a_run_killed_before_its_first_step_goes_on(tmp_path: Path) -> None:
    steps = train(tmp_path / "v", Ending(lambda event: False))
    while not isinstance(next(steps), TrainProgress):
        if (tmp_path / "v" / CHECKPOINT_FILE).is_file():
            break
    # At the first step the version may be there already.
    killed = Path(shutil.copytree(tmp_path / "v", tmp_path / "killed" / "v"))
    made = drain(steps)
    assert [run.path for run in list_unfinished(killed.parent)] == [killed]
    split = read_split(killed / SPLIT_FILE)
    learned, held_out = ([s for s in SAMPLES if s.name in names] for names in (split.training, split.validation))
    again = drain(iter_train_version(learned, held_out, killed, TRAIN, split=split, resume=True))
    assert again.version is not None and made.version is not None and again.version.sha256 == made.version.sha256


def test_calibration_measures_with_what_it_chose_and_leaves_the_model_alone(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    before = (model.path / CONFIG_FILE).read_bytes()
    told: list[Progress] = []
    found, measured = drain(iter_calibrated(SAMPLES, Recipe(model=str(model.path)), device="cpu"), told.append)
    assert (measured.evaluation.threshold, measured.evaluation.min_size) == (found.threshold, found.min_size)
    assert [progress.message for progress in told] == sorted((p.message for p in told), reverse=True)
    assert {progress.message for progress in told} == {"predicting", "calibrating"}
    assert (model.path / CONFIG_FILE).read_bytes() == before


@pytest.mark.slow
def test_a_kind_of_images_that_is_new_to_the_parent_is_learned_thoroughly(tmp_path: Path) -> None:
    """Cells that differ from the ground by their texture alone, which the bundled model does not find."""
    known = load_model("cells")
    samples = [stripes(i) for i in range(7)]
    params = FineTuneParams(minutes=60, steps=60, batch_size=4, crop=128, validate_every=20, device="cpu")
    events: list[Any] = []
    made = drain(iter_finetune_version(samples, tmp_path / "v", known, params), events.append)
    started = next(event for event in events if isinstance(event, Started))
    assert started.notes[0].startswith("Approach thorough: cells finds")
    assert made.version is not None and made.comparison is not None
    asked = made.version.training["parameters"]
    assert (asked["approach"], asked["freeze"], asked["learning_rate"]) == ("thorough", "nothing", 1e-3)
    comparison = made.comparison
    assert comparison.held_out.new["f1"] > comparison.held_out.old["f1"] + 0.3
    # What the looks measured is what the comparison finds, but for sliders and weights that were chosen afterwards.
    best = [event for event in events if isinstance(event, Looked) and event.best][-1]
    assert comparison.held_out.new["f1"] >= best.f1 - 0.05
    assert made.version.specialist == (comparison.verdict == "specialist")
    assert any(isinstance(event, Note) and "% of the way from cells" in event.text for event in events)
    assert not list((tmp_path / "v").glob(".between*"))


@pytest.mark.slow
def test_the_last_look_finds_what_the_comparison_finds(tmp_path: Path) -> None:
    known = load_model("cells")
    samples = [s for s in general_samples("check") if s.kind == "fluorescence"][:6]
    params = FineTuneParams(
        minutes=60, steps=4, batch_size=2, crop=96, validate_every=2, device="cpu", blend=0.6, approach="gentle"
    )
    events: list[Any] = []
    trained = drain(iter_finetune(samples, tmp_path / "v", known, params), events.append)
    assert trained.version is not None
    best = [event for event in events if isinstance(event, Looked) and event.best][-1]
    compared = drain(iter_compare(known, trained.version, trained.parts, [], "cpu"))
    assert compared.held_out.new["f1"] == pytest.approx(best.f1, abs=0.02)
    first = next(event for event in events if isinstance(event, Looked))
    assert compared.held_out.old["f1"] == pytest.approx(first.f1, abs=0.02)


def test_images_that_the_parent_knows_are_learned_gently() -> None:
    known = load_model("cells")
    look = drain(iter_first_look([s for s in general_samples("check") if s.kind == "fluorescence"][:2], known, "cpu"))
    assert not look.new_kind and look.f1 > 0.7 and "gentle" in look.in_words()
    one = drain(iter_first_look([stripes(0, 1)], known, "cpu"))
    assert not one.new_kind and "too few" in one.in_words()
    nothing = drain(iter_first_look([], known, "cpu"))
    assert not nothing.new_kind


def test_an_approach_sets_only_what_the_user_did_not() -> None:
    settled = FineTuneParams(learning_rate=2e-3).resolved(new_kind=True)
    assert (settled.approach, settled.learning_rate, settled.freeze) == ("thorough", 2e-3, "nothing")
    assert settled.chooses_blend and settled.blend_of_looks == 1
    assert FineTuneParams.from_dict(settled.to_dict()).resolved() == settled
    gentle = FineTuneParams(blend=0.3).resolved()
    assert (gentle.approach, gentle.freeze, gentle.blend_of_looks, gentle.chooses_blend) == (
        "gentle",
        "norms",
        0.3,
        False,
    )
    assert not FineTuneParams(approach="thorough", blend=1.0).resolved().chooses_blend


def test_the_least_way_from_the_parent_that_does_as_well_is_kept(tmp_path: Path) -> None:
    """With equal weights every part of the way is as good: the nearest to the parent is kept."""
    parent, version = make_model(tmp_path / "parent"), make_model(tmp_path / "child")
    kept, blend = drain(iter_choose_blend(version, parent, SAMPLES[:2], "cpu"))
    assert blend == min(BLENDS) and kept.path == version.path
    other = make_model(tmp_path / "other", seed=1)
    _, blend = drain(iter_choose_blend(other, parent, [], "cpu"))
    assert blend == 1 and read_version(other.path).sha256 == other.sha256
