"""Making a version without a command line: what is learned is calibrated, measured or compared, and written."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from napari_cellseg.evaluation.compare import Comparison, read_comparison
from napari_cellseg.evaluation.held_out import read_figures
from napari_cellseg.evaluation.make_version import (
    Made,
    Measured,
    iter_calibrated,
    iter_finetune_version,
    iter_train_version,
)
from napari_cellseg.imaging.progress import Progress, drain
from napari_cellseg.network.config import UNetConfig
from napari_cellseg.network.versions import CONFIG_FILE, FAMILIAR_FILE, METRICS_FILE, read_version
from napari_cellseg.segmentation.recipe import Recipe
from napari_cellseg.training.data.splitting import SPLIT_FILE, make_split, read_split
from napari_cellseg.training.events import Phase, Started, TrainProgress
from napari_cellseg.training.finetune_params import FineTuneParams
from napari_cellseg.training.params import TrainParams
from tests.blobs import blobs
from tests.models import make_model

SAMPLES = [blobs(i, 64, 5) for i in range(4)]
TRAIN = TrainParams(
    steps=3, batch_size=1, crop=32, validate_every=2, device="cpu", network=UNetConfig(base_channels=2, levels=1)
)
FINE = FineTuneParams(minutes=60, steps=3, batch_size=1, crop=32, validate_every=2, device="cpu", general=0)


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
    return iter_train_version(learned, held_out, out, TRAIN, split=split, stop=ending.at_once, at_once=ending.at_once)


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


def test_calibration_measures_with_what_it_chose_and_leaves_the_model_alone(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    before = (model.path / CONFIG_FILE).read_bytes()
    told: list[Progress] = []
    found, measured = drain(iter_calibrated(SAMPLES, Recipe(model=str(model.path)), device="cpu"), told.append)
    assert (measured.evaluation.threshold, measured.evaluation.min_size) == (found.threshold, found.min_size)
    assert [progress.message for progress in told] == sorted((p.message for p in told), reverse=True)
    assert {progress.message for progress in told} == {"predicting", "calibrating"}
    assert (model.path / CONFIG_FILE).read_bytes() == before
