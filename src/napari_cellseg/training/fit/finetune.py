"""Fine-tune a model on what a person reviewed: stop, resume, run out of memory, run away; the best is always kept."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...imaging.errors import CellsegError, DatasetError, OutputError
from ...imaging.write.write import make_folder
from ...network.versions import CONFIG_FILE, WEIGHTS_FILE, ModelVersion, read_version
from ..data.datasets import Sample
from ..data.general import general_samples
from ..data.hold_out import HeldOut, hold_out
from ..events import Event, earlier
from ..finetune_params import FineTuneParams
from .checkpoint import fingerprint, read_checkpoint
from .finetune_run import FineTuneRun
from .learner import RanAwayError


@dataclass(frozen=True, eq=False)
class FineTuned:
    """What a fine-tune left.

    Parameters
    ----------
    version : ModelVersion or None
        None when it was stopped before the first step.
    parts : HeldOut
        What was learned and what was held out.
    stopped_early : bool
    notes : tuple of str
    """

    version: ModelVersion | None
    parts: HeldOut
    stopped_early: bool
    notes: tuple[str, ...]


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
) -> Generator[Event, None, FineTuned]:
    """Fine-tune a model version on reviewed areas and leave a new version in `out`; the parent is never changed.

    From the first look at what is held out on, `out` holds a whole version with the weights of the lowest loss so
    far. Ending the generator early (`stop`, or ``close()``) keeps it, and a checkpoint from which `resume` goes on.

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

    Yields
    ------
    Event
        ``Started`` first, then one ``TrainProgress`` per step, with looks, notes and phases in between.

    Returns
    -------
    FineTuned

    Raises
    ------
    DatasetError
        If nothing was reviewed.
    OutputError
        If `out` holds a version already or cannot be written.
    CellsegError
        If memory does not suffice even for one small crop on the CPU, or the loss ran away before anything was
        learned.
    """
    params = params or FineTuneParams()
    out = Path(out)
    samples = [s for s in samples if s.reviewed is None or s.reviewed.any()]
    if not samples:
        raise DatasetError(
            "Nothing is reviewed, so there is nothing to learn from. Correct or accept cells, or mark a reviewed area."
        )
    if not resume and (out / WEIGHTS_FILE).exists():
        raise OutputError(f"{out} holds a model version already. Versions are never overwritten: choose a new folder.")
    parts = hold_out(samples, params.hold_out, params.seed)
    saved = read_checkpoint(out, samples) if resume else None
    run = FineTuneRun(out, parent, params, parts, dict(record or {}), fingerprint(samples))
    make_folder(out)
    try:
        yield run.started(int(saved["step"]) if saved else 0, resume)
        general = general_samples("learn") if general is None else general
        yield from run.prepare(general if params.general else ())
        if saved:
            run.restore(saved)
            yield earlier(run.history, run.looks)
        if run.clock.step == 0:
            yield run.look()
        yield from run.steps(stop)
    except RanAwayError as error:
        run.ran_away = True
        if not (out / CONFIG_FILE).exists():
            raise CellsegError(f"{error} Try a learning rate below {params.learning_rate:g}.") from error
        yield run.note(f"{error} Training was stopped; the best version so far, of step {run.best_step}, is kept.")
    finally:
        run.finish()
    version = read_version(out) if (out / CONFIG_FILE).exists() else None
    return FineTuned(version, parts, not run.ended, tuple(run.notes))
