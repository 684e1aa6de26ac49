"""Make a model version from images: learn, choose its defaults, measure or compare it, and write what was found."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..imaging.progress import Note, Progress, relay
from ..imaging.write.write import write_json
from ..network.version_files import set_defaults, set_specialist
from ..network.versions import METRICS_FILE, ModelVersion
from ..segmentation.familiar import remember_images
from ..segmentation.recipe import Recipe
from ..training.data.general import general_samples
from ..training.data.sample import Sample
from ..training.data.splitting import SPLIT_FILE, Split, write_split
from ..training.events import Event, Phase, Started
from ..training.finetune_params import AUTO, GENTLE, FineTuneParams
from ..training.params import TrainParams
from ..training.runs import RUN_FILE, TRAIN_FILE, end_run, still_at_it
from .calibration import calibrate, iter_calibrate_version
from .choosing import images_to_choose_on, iter_choose_blend
from .compare import SPECIALIST, Comparison, iter_compare, write_comparison
from .evaluate import as_default, iter_predict_samples, score
from .first_look import FirstLook, iter_first_look
from .measured import Measured

if TYPE_CHECKING:
    from ..training.fit.trainer import Trained


@dataclass(frozen=True, eq=False)
class Made:
    """Result of making a version.

    Parameters
    ----------
    trained : Trained
    version : ModelVersion or None
        With its defaults; None when nothing was learned.
    measured : Measured or None
        Of a training, on what was held out; None where nothing was, or when it was stopped at once.
    comparison : Comparison or None
        Of a fine-tune with its parent; None when it was stopped at once.
    """

    trained: Trained
    version: ModelVersion | None
    measured: Measured | None = None
    comparison: Comparison | None = None


MakeEvent = Event | Measured | Comparison
Result = TypeVar("Result")
# One step after learning: it is given what was made so far and returns it with its own part added.
Step = Callable[[Made, ModelVersion], Generator[MakeEvent, None, Made]]


def _never() -> bool:
    return False


def iter_train_version(
    training: Sequence[Sample],
    validation: Sequence[Sample],
    out: str | Path,
    params: TrainParams | None = None,
    parent: ModelVersion | None = None,
    *,
    split: Split | None = None,
    resume: bool = False,
    stop: Callable[[], bool] = _never,
    at_once: Callable[[], bool] = _never,
    record: Mapping[str, Any] | None = None,
) -> Generator[MakeEvent, None, Made]:
    """Train a version, choose its threshold and smallest size on what was held out, and measure it there.

    Parameters
    ----------
    training, validation, out, params, parent, resume, record :
        As :func:`napari_cellseg.training.fit.trainer.iter_train_events` takes them.
    split : Split, optional
        Written beside the version when it begins, so that the run can be resumed with the same images held out.
    stop : callable
        Asked before every step whether to end learning; the version is then measured all the same.
    at_once : callable
        Asked between any two pieces of work whether to end everything; the version that was learned is kept.

    Yields
    ------
    Event or Measured

    Returns
    -------
    Made
    """
    from ..training.fit.trainer import iter_train_events

    params, out = params or TrainParams(), Path(out)

    def on_event(event: Event) -> Event:
        # Not before: where a training cannot begin it leaves no folder. One that goes on has it, and how it was made.
        if split is not None and not resume and isinstance(event, Started):
            write_split(out / SPLIT_FILE, split)
        return event

    def measure(made: Made, version: ModelVersion) -> Generator[MakeEvent, None, Made]:
        recipe = Recipe(model=str(version.path))
        predicted = yield from _as_phases("measuring", iter_predict_samples(validation, recipe, params.device))
        threshold, min_size = calibrate(validation, predicted)
        chosen = set_defaults(version, threshold, min_size)
        predicted = as_default(predicted, threshold, min_size)
        measured = Measured(score(validation, predicted), tuple(validation), tuple(predicted))
        write_json(out / METRICS_FILE, measured.evaluation.to_dict())
        yield measured
        return replace(made, version=chosen, measured=measured)

    learning = iter_train_events(
        training, validation, out, params, parent, resume=resume, stop=stop, record=record, more=True
    )
    return (yield from _iter_make(learning, parent, [measure] if validation else [], at_once, TRAIN_FILE, on_event))


def iter_finetune_version(
    samples: Sequence[Sample],
    out: str | Path,
    parent: ModelVersion,
    params: FineTuneParams | None = None,
    *,
    general: Sequence[Sample] | None = None,
    resume: bool = False,
    stop: Callable[[], bool] = _never,
    at_once: Callable[[], bool] = _never,
    record: Mapping[str, Any] | None = None,
) -> Generator[MakeEvent, None, Made]:
    """Fine-tune a version, choose its threshold and smallest size anew, and compare it with its parent.

    How it learns fits how far the images are from those of the parent, where the settings leave it open; see
    :func:`napari_cellseg.evaluation.first_look.iter_first_look`. A version that gets better on these images at the
    cost of others becomes a specialist.

    Parameters
    ----------
    samples, out, parent, params, general, resume, record :
        As :func:`napari_cellseg.training.fit.trainer.iter_finetune` takes them.
    stop, at_once : callable
        As for :func:`iter_train_version`.

    Yields
    ------
    Event or Comparison

    Returns
    -------
    Made
    """
    from ..training.fit.trainer import iter_finetune

    out = Path(out)
    params, notes = yield from _iter_resolve(samples, parent, params or FineTuneParams(), resume)

    def choose(made: Made, version: ModelVersion) -> Generator[MakeEvent, None, Made]:
        parts = made.trained.parts
        if params.chooses_blend:
            choosing = iter_choose_blend(version, parent, images_to_choose_on(parts), params.device)
            chosen, blend = yield from _as_phases("comparing", choosing)
            yield Note(f"Kept are weights {blend:.0%} of the way from {parent.name} to what was learned.")
        else:
            others = (general_samples("learn") if general is None else general) if params.approach == GENTLE else ()
            trials = iter_calibrate_version(version, parts.learned, others, params.device)
            chosen = yield from _as_phases("comparing", trials)
        if (chosen.threshold, chosen.min_size) != (parent.threshold, parent.min_size):
            yield Note(f"The sliders of the new version start at threshold {chosen.threshold:g}, {chosen.min_size} px.")
        return replace(made, version=chosen)

    def compare(made: Made, version: ModelVersion) -> Generator[MakeEvent, None, Made]:
        compared = iter_compare(parent, version, made.trained.parts, general_samples("check"), params.device)
        comparison = yield from _as_phases("comparing", compared)
        write_comparison(out, comparison)
        if comparison.verdict == SPECIALIST:
            version = set_specialist(version)
            # What its parent knew is not what it is for.
            remember_images(version.path, (sample.image for sample in made.trained.parts.learned))
        yield comparison
        return replace(made, version=version, comparison=comparison)

    learning = iter_finetune(
        samples, out, parent, params, general=general, resume=resume, stop=stop, record=record, notes=notes,
        more=True,
    )  # fmt: skip
    return (yield from _iter_make(learning, parent, [choose, compare], at_once, RUN_FILE))


def _iter_resolve(
    samples: Sequence[Sample], parent: ModelVersion, params: FineTuneParams, resume: bool
) -> Generator[MakeEvent, None, tuple[FineTuneParams, list[str]]]:
    """Choose the approach by a first look where the user did not; a run that goes on has chosen before."""
    if params.approach != AUTO or resume or not samples:
        return params.resolved(), []
    steps = _as_phases("looking at the images", iter_first_look(samples, parent, params.device))
    look: FirstLook = yield from steps
    return params.resolved(look.new_kind), [look.in_words()]


def _iter_make(
    learning: Generator[Event, None, Trained],
    parent: ModelVersion | None,
    steps: Sequence[Step],
    at_once: Callable[[], bool],
    file: str,
    on_event: Callable[[Event], Event] = lambda event: event,
) -> Generator[MakeEvent, None, Made]:
    """Learn, remember what the images look like, then go through the steps until one is to be the last.

    Until the last one is done, a run that was killed, or ended at once, can be resumed and repeats them.
    """
    trained = yield from relay(learning, on_event)
    made = Made(trained, trained.version)
    if made.version is None:
        return made
    path, finished = made.version.path, False

    def ends() -> bool:
        still_at_it(path)
        return at_once()

    try:
        remember_images(path, (sample.image for sample in trained.parts.learned), parent)
        for step in steps:
            before = made
            if not ends():
                made = yield from _iter_step(step(made, made.version), made, ends)
            if made is before:
                break
        else:
            finished = trained.stopped_by != "request"
    finally:
        end_run(path, file, finished)
    return made


def _iter_step(
    step: Generator[MakeEvent, None, Made], before: Made, at_once: Callable[[], bool]
) -> Generator[MakeEvent, None, Made]:
    """Pass on what a step yields; return what was made before it where everything is to end at once."""
    with closing(step):
        while True:
            try:
                event = next(step)
            except StopIteration as stop:
                made: Made = stop.value
                return made
            yield event
            if isinstance(event, Phase) and at_once():
                return before


def _as_phases(text: str, steps: Generator[Progress, None, Result]) -> Generator[Phase, None, Result]:
    return relay(steps, lambda progress: Phase(text, progress.done, progress.total))
