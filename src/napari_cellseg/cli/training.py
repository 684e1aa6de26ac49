"""The command ``train``: from scratch or from a parent, stopped and resumed, calibrated and measured at its end."""

from __future__ import annotations

import argparse
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.errors import CellsegError, DatasetError
from .common import bar_of, check_resumed, drain_with_bar, option_of
from .dataset_options import add_dataset_options, dataset_values, load
from .evaluating import print_evaluation
from .reporting import JsonReport, Report, StopWish, run_reported
from .train_options import add_train_options, ignored_with_parent, train_params

if TYPE_CHECKING:
    from ..imaging.progress import Progress
    from ..network.versions import ModelVersion
    from ..training.data.datasets import Sample
    from ..training.data.splitting import Split
    from ..training.params import TrainParams


def add_train(commands: Any) -> None:
    sub = commands.add_parser("train", help="train a model version on images with masks")
    add_dataset_options(sub, out=False, optional=True)
    sub.add_argument("--out", metavar="DIR", help="folder of the new version")
    sub.add_argument("--parent", metavar="MODEL", help="start from this model's weights")
    sub.add_argument("--resume", action="store_true", help="go on with the run that was stopped or killed in --out")
    sub.add_argument("--preview", metavar="PNG", help="draw some of what would be learned from, and train nothing")
    sub.add_argument("--report", choices=("text", "jsonl"), default="text", help="jsonl: one JSON object per line")
    sub.add_argument("--stop-on-eof", action="store_true", help="stop, and keep the best, when the input ends")
    add_data_choices(sub)
    sub.add_argument("--kind-weight", action="append", default=[], metavar="KIND=W", help="how often a kind is drawn")
    add_train_options(sub)
    sub.set_defaults(run=run_train)


def add_data_choices(sub: argparse.ArgumentParser) -> None:
    """Add how the images are made to fit, and which of them are held out."""
    group = sub.add_argument_group("data")
    group.add_argument("--validation", type=float, metavar="PART", help="part of the images held out; default: 0.1")
    group.add_argument(
        "--split-by",
        choices=("group", "image"),
        help="never divide a group, or look at each image alone; default: group",
    )
    group.add_argument(
        "--split", metavar="FILE", help="use this split.json (or training.json) in the place of a new one"
    )
    group.add_argument("--size", type=int, metavar="N", help="bring all images to N x N pixels")
    group.add_argument("--fit", choices=("crop", "resize"), help="how --size does it; default: crop, into windows")


def run_train(args: argparse.Namespace) -> int:
    """``napari-cellseg train``: 0 also when it was stopped."""
    return run_reported(args, TrainText, _run)


def _run(args: argparse.Namespace, report: Report, wish: StopWish) -> int:
    from ..training.data.splitting import SPLIT_FILE, write_split
    from ..training.fit.trainer import Trained, iter_train_events
    from ..training.runs import CHECKPOINT_FILE

    if args.resume:
        params, parent, data, command = _as_begun(args)
    else:
        if not args.dataset:
            raise DatasetError("What is to be learned from? Give a dataset.")
        params, command = train_params(args), args.command
        data = {**dataset_values(args), "size": args.size, "fit": args.fit or "crop"}
        parent = parent_of(args, report)
    training, validation, split = read_parts(args, data, params.seed, report)
    if args.preview:
        return _preview(training, params, parent, Path(args.preview))
    if not args.out:
        raise CellsegError("Where is the model version to go? Give a new folder with --out.")
    out = Path(args.out)
    record = {"command": command, "data": data}
    steps = iter_train_events(
        training, validation, out, params, parent, resume=args.resume, stop=wish.given, record=record
    )
    result: Trained = _drain(steps, report, wish, lambda: write_split(out / SPLIT_FILE, split))
    if result.version is not None:
        from ..segmentation.familiar import remember_images

        remember_images(out, (sample.image for sample in training), parent)
    if result.version is not None and validation and not wish.at_once():
        _finish(validation, out, params.device, report)
    report.say(
        {
            "event": "done",
            "version": str(out) if result.version is not None else None,
            "stopped_early": result.stopped_early,
            "stopped_by": result.stopped_by,
            "resumable": (out / CHECKPOINT_FILE).is_file(),
        }
    )
    return 0


def parent_of(args: argparse.Namespace, report: Report) -> ModelVersion | None:
    """Load the model to start from, if there is one; say which options it takes the place of."""
    from ..network.versions import load_model

    if not args.parent:
        return None
    parent = load_model(args.parent)
    if ignored := ignored_with_parent(args):
        report.say({"event": "note", "text": f"{', '.join(ignored)} is not used: a parent brings its own."})
    return parent


def _as_begun(args: argparse.Namespace) -> tuple[TrainParams, ModelVersion | None, dict[str, Any], str]:
    """Return what a stopped run was asked to do."""
    from ..training.params import TrainParams
    from ..training.runs import TRAIN_FILE, read_run
    from .finetune import same_parent

    check_resumed(args, ("dataset", "masks", "groups"))
    asked = read_run(Path(args.out), TRAIN_FILE)
    params = TrainParams.from_dict({**asked["parameters"], **({"device": args.device} if args.device else {})})
    parent = same_parent(asked) if asked.get("parent") else None
    moved = {name: value for name, value in dataset_values(args).items() if value}
    return params, parent, {**asked["data"], **moved}, asked["command"]


def read_parts(
    args: argparse.Namespace, data: dict[str, Any], seed: int, report: Report
) -> tuple[list[Sample], list[Sample], Split]:
    """Read a dataset, say what there is, make its images fit, and split it."""
    from ..training.data.fitting import fit_samples
    from ..training.data.splitting import SPLIT_FILE, apply_split, make_split, read_split

    loaded = load(data)
    report.say({"event": "dataset", "lines": loaded.report.lines(), **loaded.report.to_dict()})
    given = Path(args.out, SPLIT_FILE) if args.resume else args.split
    samples = list(loaded.samples)
    if given:
        split = read_split(given)
        ignored = [option_of(name) for name in ("validation", "split_by") if getattr(args, name) is not None]
        if ignored:
            report.say(
                {"event": "note", "text": f"{', '.join(ignored)} is not used: {given} says which images are held out."}
            )
    else:
        part = 0.1 if args.validation is None else args.validation
        split = make_split(samples, part, seed, args.split_by or "group", loaded.report.duplicates)
    training, validation, notes = apply_split(samples, split)
    if data.get("size"):
        # After the split: windows of one image must not come to lie on both sides.
        training, more = fit_samples(training, data["size"], data["fit"])
        validation, _ = fit_samples(validation, data["size"], data["fit"])
        notes += more
    for text in (*split.notes, *notes):
        report.say({"event": "note", "text": text})
    return training, validation, split


def _preview(training: Sequence[Sample], params: TrainParams, parent: ModelVersion | None, path: Path) -> int:
    import numpy as np
    from PIL import Image

    from ..imaging.write.atomic import atomic_path
    from ..training.preview import preview

    rng = np.random.default_rng(params.seed)
    chosen = [training[i] for i in sorted(rng.permutation(len(training))[:4])]
    normalizer = parent.normalizer if parent else params.normalizer
    picture = preview(chosen, params.augment, 4, params.seed, params.crop, normalizer)
    with atomic_path(path.with_suffix(".png")) as temporary:
        Image.fromarray(picture).save(temporary, "PNG")
    print(f"{len(chosen)} of {len(training)} images to train on, in {path.with_suffix('.png')}")
    return 0


def _drain(steps: Generator[Any, None, Any], report: Report, wish: StopWish, on_start: Any) -> Any:
    from ..training.events import Started, event_dict

    while True:
        try:
            event = next(steps)
        except StopIteration as stop:
            return stop.value
        if isinstance(event, Started):
            on_start()
        report.say(event_dict(event))
        if report.unheard:
            wish.give()


def _finish(validation: Sequence[Sample], out: Path, device: str, report: Report) -> None:
    """Calibrate the new version's thresholds on the held-out images and record how it does there."""
    from ..evaluation.calibration import calibrate
    from ..evaluation.evaluate import as_default, iter_predict_samples, score
    from ..imaging.write.write import write_json
    from ..network.versions import METRICS_FILE, read_version, set_defaults
    from ..reports.metrics_report import write_report
    from ..segmentation.recipe import Recipe

    recipe = Recipe(model=str(out))
    predicted = drain_with_bar("predicting", _told(iter_predict_samples(validation, recipe, device), report))
    threshold, min_size = calibrate(validation, predicted)
    set_defaults(read_version(out), threshold, min_size)
    predicted = as_default(predicted, threshold, min_size)
    evaluation = score(validation, predicted)
    write_json(out / METRICS_FILE, evaluation.to_dict())
    write_report(out, evaluation, validation, predicted)
    if isinstance(report, JsonReport):
        report.say({"event": "metrics", **evaluation.to_dict()})
    else:
        print_evaluation(evaluation)


def _told(steps: Generator[Progress, None, Any], report: Report) -> Generator[Progress, None, Any]:
    """Pass on what measures the new version, and say how far it is."""
    while True:
        try:
            progress = next(steps)
        except StopIteration as stop:
            return stop.value
        report.say({"event": "phase", "text": "measuring", "done": progress.done, "total": progress.total})
        yield progress


class TrainText(Report):
    """Lines and a progress bar for a person."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._step: dict[str, Any] = {}

    def say(self, event: dict[str, Any]) -> None:
        """Tell one event."""
        kind = event["event"]
        if kind == "step":
            self._bar = self._bar or bar_of(1000, "per mille")
            self._bar.update(round(1000 * event["done"]) - self._bar.n)
            self._step = event
            return
        text = {"dataset": _dataset, "start": _start, "validation": self._look, "note": _note, "done": self._done}
        if kind in text:
            for line in text[kind](event):
                print(line, flush=True) if self._bar is None else self._bar.write(line)

    def _look(self, event: dict[str, Any]) -> list[str]:
        loss = event["validation_loss"]
        seen = "" if loss != loss else f", validation loss {loss:.4f}, IoU {event['iou']:.3f}, Dice {event['dice']:.3f}"
        kept = ", kept" if event["best"] else ""
        left = self._step["seconds_left"] / 60
        return [f"step {event['step']}: loss {self._step['loss']:.4f}{seen}{kept}, {left:.0f} min left"]

    def _done(self, event: dict[str, Any]) -> list[str]:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if not event["version"]:
            return ["nothing was learned"]
        more = [f"stopped; to go on: napari-cellseg train --resume --out {event['version']}"]
        return [f"model version in {event['version']}", *(more if event["resumable"] else [])]


def _dataset(event: dict[str, Any]) -> list[str]:
    lines: list[str] = event["lines"]
    return lines


def _note(event: dict[str, Any]) -> list[str]:
    return [event["text"]]


def _start(event: dict[str, Any]) -> list[str]:
    lines = [f"{event['n_images']} images to train on, {event['n_held_out']} held out; on {event['device']}"]
    lines += [f"going on from step {event['step']}"] if event["resumed"] else []
    return [*lines, *event["notes"]]
