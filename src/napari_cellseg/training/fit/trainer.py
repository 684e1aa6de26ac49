"""The one trainer: from scratch and from a parent, in the window's child process and on the command line."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...imaging.errors import CellsegError, OutputError
from ...imaging.write.write import make_folder
from ...network.versions import CONFIG_FILE, WEIGHTS_FILE, ModelVersion, read_version
from ..data.datasets import Sample
from ..events import Event
from ..params import STILL, TrainParams
from ..runs import TRAIN_FILE, read_run
from .checkpoint import fingerprint, read_checkpoint
from .drawing import draw_weights
from .learner import RanAwayError
from .record import TrainProgress
from .run import Ready, TrainRun
from .train_data import TrainData, refuse_data

__all__ = ["STILL", "TrainParams", "Trained", "draw_weights", "iter_train", "iter_train_events"]


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training left.

    Parameters
    ----------
    version : ModelVersion or None
        None when it was stopped before the first step.
    stopped_by : {'steps', 'minutes', 'patience', 'request'}
    notes : tuple of str
    """

    version: ModelVersion | None
    stopped_by: str
    notes: tuple[str, ...]

    @property
    def stopped_early(self) -> bool:
        """Whether it was asked to stop, so that it can go on."""
        return self.stopped_by == "request"


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
    """Train a network step by step and leave a model version in `out`; see :func:`iter_train_events`.

    Yields
    ------
    TrainProgress
        After every step.

    Returns
    -------
    ModelVersion
    """
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


def iter_train_events(
    training: Sequence[Sample],
    validation: Sequence[Sample],
    out: str | Path,
    params: TrainParams | None = None,
    parent: ModelVersion | None = None,
    *,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
    record: Mapping[str, Any] | None = None,
    ready: Ready | None = None,
) -> Generator[Event, None, Trained]:
    """Train a network, say what happens, and leave a model version in `out`.

    From the first look at the validation loss on, `out` holds a whole version with the weights of the lowest loss so
    far. A run that is stopped (`stop`, or ``close()``) or killed keeps it, and a checkpoint from which `resume` goes
    on: with the same images, settings and number of threads, a run by steps then ends with the weights that it would
    have ended with anyway.

    Parameters
    ----------
    training, validation : sequence of Sample
        Without validation samples the last weights are kept.
    out : path
        Folder of the new version; it must not hold one, unless it is resumed.
    params : TrainParams, optional
        When resumed: those of the run that was stopped.
    parent : ModelVersion, optional
        Start from its weights, with its network and normaliser.
    resume : bool
        Go on from the checkpoint in `out`.
    stop : callable
        Asked before every step whether to end.
    record : mapping, optional
        Written into the version's training record (the command, the dataset).
    ready : dict, optional
        Where images made ready are kept, for several runs on the same ones.

    Yields
    ------
    Event
        ``Phase`` while images are prepared, ``Started``, then one ``TrainProgress`` per step, each look after its
        step, and notes in between.

    Returns
    -------
    Trained

    Raises
    ------
    DatasetError
        If there is nothing to train on, or a weight is given for a kind that no image has; when resumed, if the
        images are others than before.
    OutputError
        If `out` holds a version already or cannot be written.
    CellsegError
        If the loss ran away before anything was kept, or memory does not suffice.
    """
    params = params or TrainParams()
    out = Path(out)
    data = TrainData(tuple(training), tuple(validation))
    refuse_data(data, params)
    everything = (*data.training, *data.validation)
    asked = read_run(out, TRAIN_FILE) if resume else {}
    saved = read_checkpoint(out, everything) if resume else None
    if not resume and (out / WEIGHTS_FILE).exists():
        raise OutputError(f"{out} holds a model version already. Versions are never overwritten: choose a new folder.")
    run = TrainRun(out, data, params, parent, dict(record or {}), fingerprint(everything), ready, resume)
    if saved:
        run.restore(saved, asked)
    # Not before: where the network cannot be built no empty folder stays behind.
    make_folder(out)
    try:
        yield run.started(run.clock.step, resume)
        if saved:
            yield run.earlier()
        yield from run.prepare()
        if saved:
            run.write_run()
        yield from run.steps(stop)
    except RanAwayError as error:
        run.ran_away = True
        if not (out / CONFIG_FILE).exists():
            raise CellsegError(f"{error} Try a learning rate below {params.learning_rate:g}.") from error
        yield run.note(f"{error} Training was stopped; the best version so far is kept.")
    finally:
        run.finish()
    version = read_version(out) if (out / CONFIG_FILE).exists() else None
    return Trained(version, run.stopped_by or "request", tuple(run.notes))
