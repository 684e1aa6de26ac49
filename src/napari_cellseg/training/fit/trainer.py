"""The one trainer: from scratch, from a parent, or a fine-tune, for window, command line and scripts alike."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...imaging.errors import CellsegError, OutputError
from ...imaging.write.atomic import make_folder
from ...network.versions import WEIGHTS_FILE, ModelVersion, read_version
from ..data.hold_out import HeldOut
from ..data.sample import Sample
from ..events import Event, earlier
from ..finetune_params import FineTuneParams
from ..params import TrainParams
from ..runs import CHECKPOINT_FILE, check_own_folder, read_run
from .checkpoint import read_checkpoint
from .learner import RanAwayError
from .plan import Plan, plan_finetune, plan_training
from .run import Ready, TrainRun
from .state import RAN_AWAY


@dataclass(frozen=True, eq=False)
class Trained:
    """Result of a training.

    Parameters
    ----------
    version : ModelVersion or None
        None when it was stopped before the first step.
    parts : HeldOut
        What was learned and what was held out.
    stopped_by : {'steps', 'minutes', 'patience', 'loss', 'request'}
        ``loss``: it ran away.
    notes : tuple of str
    """

    version: ModelVersion | None
    parts: HeldOut
    stopped_by: str
    notes: tuple[str, ...]

    @property
    def stopped_early(self) -> bool:
        """Whether it was asked to stop, so that it can go on, or ran away."""
        return self.stopped_by in ("request", RAN_AWAY)


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
    more: bool = False,
) -> Generator[Event, None, Trained]:
    """Train a network and leave a model version in `out`.

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
    more : bool
        Whether the caller works on the version when learning has ended, and then calls
        :func:`napari_cellseg.training.runs.end_run`: a run that is killed before goes on from the end of learning.

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
        If the loss ran away before anything was kept, the validation loss never was a number, or memory does not
        suffice.
    """
    plan = plan_training(training, validation, params or TrainParams(), parent)
    return (yield from _iter_run(plan, Path(out), resume, stop, record, ready, more))


def iter_finetune(
    samples: Sequence[Sample],
    out: str | Path,
    parent: ModelVersion,
    params: FineTuneParams | None = None,
    *,
    general: Sequence[Sample] | None = None,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
    record: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    more: bool = False,
) -> Generator[Event, None, Trained]:
    """Fine-tune a model version on reviewed areas and leave a new version in `out`; the parent is never changed.

    What is kept, stopped and resumed is as for :func:`iter_train_events`.

    Parameters
    ----------
    samples : sequence of Sample
        With their reviewed areas. Part of them is held out; see :func:`napari_cellseg.training.data.hold_out.hold_out`.
    out : path
        Folder of the new version; it must not hold one, unless it is resumed.
    parent : ModelVersion
    params : FineTuneParams, optional
    general : sequence of Sample, optional
        Mixed in against forgetting; None takes the bundled ones.
    resume : bool
        Go on from the checkpoint in `out`.
    stop : callable
        Asked before every step whether to end.
    record : mapping, optional
        Written into the version's training record (the command, the training set).
    notes : sequence of str, optional
        Passed on with the first event.
    more : bool
        As for :func:`iter_train_events`.

    Yields
    ------
    Event
        ``Started`` first, then phases, a look at the parent's own weights, and one ``TrainProgress`` per step, with
        looks and notes in between.

    Returns
    -------
    Trained

    Raises
    ------
    DatasetError
        If nothing was reviewed, or, when resumed, if the images are others than before.
    OutputError
        If `out` holds a version already or cannot be written.
    CellsegError
        If memory does not suffice even for one small crop on the CPU, or the loss ran away before anything was
        learned.
    """
    plan = plan_finetune(samples, parent, params or FineTuneParams(), general, notes)
    return (yield from _iter_run(plan, Path(out), resume, stop, record, more=more))


def _iter_run(
    plan: Plan,
    out: Path,
    resume: bool,
    stop: Callable[[], bool],
    record: Mapping[str, Any] | None,
    ready: Ready | None = None,
    more: bool = False,
) -> Generator[Event, None, Trained]:
    asked = read_run(out, plan.file) if resume else {}
    saved = read_checkpoint(out, plan.samples) if resume else None
    if not resume and (out / WEIGHTS_FILE).exists():
        go_on = ", or go on with its run (--resume)" if (out / CHECKPOINT_FILE).is_file() else ""
        raise OutputError(
            f"{out} holds a model version already. Versions are never overwritten: choose a new folder{go_on}."
        )
    if not resume:
        check_own_folder(out)
    run = TrainRun(plan, out, dict(record or {}), ready, resume, more)
    if saved:
        run.restore(saved, asked)
    # Not before: where the network cannot be built no empty folder stays behind.
    make_folder(out)
    slower = f"Try a learning rate below {plan.params.learning_rate:g}."
    try:
        yield run.started(resume)
        if saved:
            yield earlier(run.history, run.looked)
        if not run.stopped_by:
            yield from run.prepare()
        if saved:
            run.write_run()
        if not run.stopped_by:
            yield from run.steps(stop)
        if run.stopped_by and run.unfit and not run.is_whole:
            raise CellsegError(f"The validation loss was never a number, so no weights were kept. {slower}")
    except RanAwayError as error:
        run.stopped_by = RAN_AWAY
        if not run.is_whole:
            raise CellsegError(f"{error} {slower}") from error
        best = run.looks.best_step
        yield run.note(f"{error} Training was stopped; the best version so far, of step {best}, is kept.")
    finally:
        run.finish()
    version = read_version(out) if run.is_whole else None
    return Trained(version, plan.parts, run.stopped_by or "request", tuple(run.notes))
