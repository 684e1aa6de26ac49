"""Which settings suit a dataset: a few of them over a budget of minutes, the better half again and longer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.errors import CellsegError, DatasetError, OutputError
from ..imaging.progress import Note
from ..imaging.write.write import make_folder, write_json
from ..network.devices import resolve_device
from ..network.ready import load_network
from ..network.versions import ModelVersion
from .data.sample import Sample
from .events import Event
from .fit.learner import Learner
from .fit.looking import LOOK_PIXELS, look_at_windows, still_windows
from .fit.run import Ready
from .fit.trainer import Trained, iter_train_events
from .params import LOSSES, LossParams, TrainParams, rounds_of

__all__ = ["Trial", "iter_search", "propose", "ranking", "rounds_of", "tried_values", "vary"]

SEARCH_FILE = "search.json"
VARIATIONS = {"mild": 0.5, "as asked": 1.0, "strong": 1.5}


@dataclass(frozen=True)
class Trial:
    """One training of the search.

    Parameters
    ----------
    number : int
        Of the settings; the same in every round.
    round : int
    settings : dict
        What was tried: factors on the learning rate and the batch, loss, schedule, variation.
    minutes : float
    f1, iou, loss : float
        On what is held out: F1 of cells at IoU .5, IoU of the foreground, validation loss; NaN where it failed.
    folder : str
    problem : str
        Why it failed; empty when it did not.
    """

    number: int
    round: int
    settings: Mapping[str, Any]
    minutes: float
    f1: float = math.nan
    iou: float = math.nan
    loss: float = math.nan
    folder: str = ""
    problem: str = ""

    @property
    def rank(self) -> tuple[float, float, float]:
        """To sort by, best first: later rounds before earlier ones."""
        f1, iou = (-1.0 if math.isnan(v) else v for v in (self.f1, self.iou))
        return -self.round, -f1, -iou


def propose(n: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return `n` different settings to try; the first changes nothing."""
    choices = {
        "learning_rate": (1.0, 0.3, 3.0),
        "loss": ("as asked", "bce", "dice"),
        "batch_size": (1.0, 0.5, 2.0),
        "schedule": ("as asked", "cosine"),
        "variation": ("as asked", "mild", "strong"),
    }
    every = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
    if not 1 <= n <= len(every):
        raise CellsegError(f"{n} trials were asked for; it must be from 1 to {len(every)}.")
    rng = np.random.default_rng(seed)
    return [every[0], *(every[1 + i] for i in rng.permutation(len(every) - 1)[: n - 1])]


def vary(params: TrainParams, settings: Mapping[str, Any]) -> TrainParams:
    """Return settings of a training, changed as a trial asks."""
    own, strength = params.augment, VARIATIONS[settings["variation"]]
    low, high = own.zoom
    augment = replace(
        own,
        zoom=(max(low**strength, 0.05), min(high**strength, 20.0)),
        stretch=min(own.stretch * strength, 1.0),
        noise=min(own.noise * strength, 1.0),
        blur=min(own.blur * strength, 1.0),
        contrast=min(own.contrast * strength, 0.95),
        shading=min(own.shading * strength, 1.0),
    )
    loss = params.loss
    if settings["loss"] != "as asked":
        kept = {k: v for k, v in asdict(loss).items() if k not in ("bce", "dice")}
        loss = LossParams.named(settings["loss"], **kept)
    return replace(
        params,
        learning_rate=min(params.learning_rate * settings["learning_rate"], 1.0),
        batch_size=max(1, round(params.batch_size * settings["batch_size"])),
        schedule=params.schedule if settings["schedule"] == "as asked" else settings["schedule"],
        loss=loss,
        augment=augment,
    )


def tried_values(params: TrainParams) -> dict[str, dict[str, Any]]:
    """Return the values of all settings that :func:`vary` may change, by group, as the window's controls hold them."""
    training = {name: getattr(params, name) for name in ("learning_rate", "batch_size", "schedule")}
    weights = (params.loss.bce, params.loss.dice)
    # Other weights have no name, and the loss is then left as it is.
    loss = [("loss", name) for name, known in LOSSES.items() if known == weights]
    names = ("zoom", "stretch", "noise", "blur", "contrast", "shading")
    return {
        "training": training,
        "loss": dict(loss),
        "augmentation": {name: getattr(params.augment, name) for name in names},
    }


def iter_search(
    training: Sequence[Sample],
    validation: Sequence[Sample],
    out: str | Path,
    params: TrainParams | None = None,
    parent: ModelVersion | None = None,
    *,
    minutes: float = 20.0,
    n_trials: int = 6,
    stop: Callable[[], bool] = lambda: False,
) -> Generator[Event | Trial, None, list[Trial]]:
    """Try settings by successive halving (Jamieson and Talwalkar, AISTATS 2016).

    All rounds take the same time, so that the settings that are left train longer from round to round; each training
    starts anew, with a schedule that comes to its end. Trials are ranked by F1 of the cells on what is held out.

    Parameters
    ----------
    training, validation : sequence of Sample
    out : path
        A new folder; each trial leaves a model version in it, and ``search.json`` the ranking.
    params : TrainParams, optional
        Where to start from.
    parent : ModelVersion, optional
    minutes : float
        Of training, all trials together.
    n_trials : int
        Settings to try.
    stop : callable
        Called before every step; true ends the search.

    Yields
    ------
    Event or Trial
        The events of the trainings, and each trial when it is done.

    Returns
    -------
    list of Trial
        Best first.
    """
    params, out = params or TrainParams(), Path(out)
    if not validation:
        raise DatasetError("A search compares settings on images held out, but none is. Hold some out.")
    if not 0 < minutes < math.inf:
        raise CellsegError(f"The search was given {minutes} minutes; it must be more than 0.")
    if (out / SEARCH_FILE).exists():
        raise OutputError(f"{out} holds a search already. Choose a new folder.")
    proposals = dict(enumerate(propose(n_trials, params.seed), start=1))
    make_folder(out)
    done: list[Trial] = []
    ready: Ready = {}
    left = list(proposals)
    sizes = rounds_of(n_trials)
    for i, size in enumerate(sizes, start=1):
        left = left[:size]
        for number in left:
            if stop():
                return ranking(done)
            share = minutes / (len(sizes) * len(left))
            planned = Trial(number, i, proposals[number], share, folder=f"trial_{number}_round_{i}")
            trial = yield from _iter_trial(planned, training, validation, out, params, parent, stop, ready)
            if trial is None:
                return ranking(done)
            done.append(trial)
            write_json(out / SEARCH_FILE, {"minutes": minutes, "trials": [asdict(t) for t in ranking(done)]})
            yield trial
        left = [t.number for t in sorted((t for t in done if t.round == i), key=lambda t: t.rank)]
    return ranking(done)


def _iter_trial(
    trial: Trial,
    training: Sequence[Sample],
    validation: Sequence[Sample],
    out: Path,
    params: TrainParams,
    parent: ModelVersion | None,
    stop: Callable[[], bool],
    ready: Ready,
) -> Generator[Event, None, Trial | None]:
    """Train with the settings of a trial and measure it, or note what failed; None where it was stopped."""
    own = replace(vary(params, trial.settings), minutes=trial.minutes, steps=10**8, epochs=None)
    record = {"trial": asdict(trial)}
    try:
        trained: Trained = yield from iter_train_events(
            training, validation, out / trial.folder, own, parent, stop=stop, ready=ready, record=record
        )
        return None if trained.stopped_early else measured(trial, trained, validation, own)
    except CellsegError as error:
        yield Note(f"Trial {trial.number} failed: {error}")
        return replace(trial, problem=str(error))


def ranking(trials: Sequence[Trial]) -> list[Trial]:
    """Return the last trial of each of the settings, best first."""
    last = {trial.number: trial for trial in sorted(trials, key=lambda t: t.round)}
    return sorted(last.values(), key=lambda t: t.rank)


def measured(trial: Trial, trained: Trained, validation: Sequence[Sample], params: TrainParams) -> Trial:
    """Look at what is held out with the version that a trial left."""
    version = trained.version
    if version is None:
        raise CellsegError("nothing was learned in its time. Give the search more minutes, or fewer trials.")
    learner = Learner(load_network(version), resolve_device(params.device), params)
    windows = still_windows(validation, version, gap_width=params.loss.gap_width, most=2 * LOOK_PIXELS)
    seen = look_at_windows(learner, windows, version)
    loss = version.training.get("best_validation_loss")
    return replace(trial, f1=seen.f1, iou=seen.iou, loss=math.nan if loss is None else loss)
