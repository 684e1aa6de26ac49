"""Train as the package does, for tests that look at the steps alone."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from napari_cellseg.network.versions import ModelVersion
from napari_cellseg.training.data.sample import Sample
from napari_cellseg.training.events import TrainProgress
from napari_cellseg.training.fit.trainer import iter_train_events
from napari_cellseg.training.params import TrainParams


def iter_train(
    training: Sequence[Sample],
    validation: Sequence[Sample],
    out: str | Path,
    params: TrainParams | None = None,
    parent: ModelVersion | None = None,
    command: str = "",
    *,
    resume: bool = False,
) -> Generator[TrainProgress, None, ModelVersion]:
    """Train a version in `out`; yield what follows each step, and return the version."""
    steps = iter_train_events(training, validation, out, params, parent, resume=resume, record={"command": command})
    try:
        while True:
            event = next(steps)
            if isinstance(event, TrainProgress):
                yield event
    except StopIteration as stop:
        version: ModelVersion = stop.value.version
        return version
    finally:
        steps.close()
