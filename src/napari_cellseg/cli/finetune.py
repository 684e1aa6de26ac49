"""The command ``finetune``: learn from a training set, compare old and new, say so line by line."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.errors import CellsegError, DatasetError
from .common import check_resumed, option_of
from .reporting import Report, StopWish, TextReport, run_reported

if TYPE_CHECKING:
    from ..evaluation.compare import Comparison
    from ..network.versions import ModelVersion
    from ..training.data.datasets import Sample
    from ..training.events import Event
    from ..training.fit.trainer import Trained


def add_finetune(commands: Any) -> None:
    from ..training.finetune_params import FineTuneParams, is_expert

    sub = commands.add_parser("finetune", help="make a new model version from corrected images")
    sub.add_argument(
        "training_set",
        nargs="?",
        metavar="TRAINING_SET",
        help="folder made by 'Add to training set', or anything that train reads",
    )
    sub.add_argument("--parent", metavar="MODEL", help="start from this model; default: cells")
    sub.add_argument("--out", metavar="DIR", help="folder of the new version; default: a new one among your models")
    sub.add_argument("--resume", action="store_true", help="go on with the run that was stopped in --out")
    sub.add_argument("--report", choices=("text", "jsonl"), default="text", help="jsonl: one JSON object per line")
    sub.add_argument("--stop-on-eof", action="store_true", help="stop, and keep the best, when the input ends")
    expert = sub.add_argument_group("expert settings")
    for setting in fields(FineTuneParams):
        meta = setting.metadata
        group = expert if is_expert(setting.name) else sub
        group.add_argument(
            option_of(setting.name),
            type=type(setting.default),
            choices=meta.get("choices"),
            metavar=None if "choices" in meta else "N",
            help=f"{meta['help']}; default: {setting.default}",
        )
    sub.set_defaults(run=run_finetune)


def run_finetune(args: argparse.Namespace) -> int:
    """``napari-cellseg finetune``: 0 also when it was stopped."""
    return run_reported(args, TextReport, _run)


def _run(args: argparse.Namespace, report: Report, wish: StopWish) -> int:
    from ..evaluation.calibration import iter_calibrate_version
    from ..evaluation.compare import iter_compare, write_comparison
    from ..network.versions import load_model
    from ..segmentation.familiar import remember_images
    from ..training.data.general import general_samples
    from ..training.finetune_params import FineTuneParams
    from ..training.fit.trainer import iter_finetune
    from ..training.runs import CHECKPOINT_FILE, next_version_dir, read_run

    given = {f.name: getattr(args, f.name) for f in fields(FineTuneParams)}
    given = {name: value for name, value in given.items() if value is not None}
    if args.resume:
        check_resumed(args, ("training_set",))
        out = Path(args.out)
        asked = read_run(out)
        own = {**asked["parameters"], **({"device": args.device} if args.device else {})}
        params = FineTuneParams.from_dict(own)
        parent = same_parent(asked)
        training_set = args.training_set or asked["training_set"]
    else:
        if not args.training_set:
            raise DatasetError("What is to be learned? Give the folder of a training set.")
        training_set = str(Path(args.training_set).absolute())
        params = FineTuneParams(**given)
        parent = load_model(args.parent or "cells")
        out = Path(args.out) if args.out else next_version_dir(parent.name)
    record = {"command": args.command, "training_set": str(training_set)}
    samples = yield_all(_read(Path(training_set)), report, wish)
    steps = iter_finetune(samples, out, parent, params, resume=args.resume, stop=wish.given, record=record)
    result: Trained = yield_all(steps, report, wish)
    if result.version is not None:
        remember_images(out, (sample.image for sample in result.parts.learned), parent)
    if result.version is not None and not wish.at_once():
        trials = iter_calibrate_version(result.version, result.parts.learned, general_samples("learn"), params.device)
        chosen = yield_all(trials, report, wish) or result.version
        if (chosen.threshold, chosen.min_size) != (parent.threshold, parent.min_size):
            text = f"The sliders of the new version start at threshold {chosen.threshold:g}, {chosen.min_size} px."
            report.say({"event": "note", "text": text})
        result = replace(result, version=chosen)
    if result.version is not None:
        compared = iter_compare(parent, result.version, result.parts, general_samples("check"), params.device)
        comparison: Comparison | None = yield_all(compared, report, wish)
        if comparison is not None:
            write_comparison(out, comparison)
            report.say({"event": "comparison", **comparison.to_dict()})
    report.say(
        {
            "event": "done",
            "version": str(out) if result.version is not None else None,
            "stopped_early": result.stopped_early,
            "resumable": (out / CHECKPOINT_FILE).is_file(),
        }
    )
    return 0


def same_parent(asked: dict[str, Any]) -> ModelVersion:
    """Load the model that a stopped run started from, and no other."""
    from ..network.versions import load_model

    path, name = asked.get("parent_path", ""), asked.get("parent", "")
    parent = load_model(path if Path(path).is_dir() else name)
    if parent.sha256 != asked.get("parent_sha256"):
        raise CellsegError(
            f"The model {name} in {parent.path} is not the one that this run started from: its weights differ. "
            "Start a new run without --resume."
        )
    return parent


def _read(path: Path) -> Generator[Event, None, list[Sample]]:
    """Read what is to be learned; an entry that cannot be used is named and left out."""
    from ..training.data.datasets import iter_dataset
    from ..training.data.training_set import TrainingSet
    from ..training.events import Note, Phase

    if not path.is_dir() or not (path / "images").is_dir():
        steps = iter_dataset(path)
        while True:
            try:
                progress = next(steps)
            except StopIteration as stop:
                samples: list[Sample] = stop.value
                return samples
            yield Phase("reading", progress.done, progress.total)
    opened = TrainingSet.open(path)
    names, found = opened.names(), []
    for i, name in enumerate(names):
        yield Phase("reading", i, len(names))
        try:
            sample = opened.read(name)
        except DatasetError as error:
            yield Note(f"Left out: {error}")
            continue
        if sample.reviewed is not None and not sample.reviewed.any():
            yield Note(f"Left out: nothing of {name} is reviewed.")
            continue
        found.append(sample)
    if not found:
        raise DatasetError(
            f"The training set {path} has no image that can be learned from ({len(names)} in all). "
            "Add images, with something reviewed in each."
        )
    return found


def yield_all(steps: Generator[Any, None, Any], report: Report, wish: StopWish) -> Any:
    """Drain a generator of events and report them; None if it was to end at once before its result."""
    from ..imaging.progress import Progress
    from ..training.events import Phase, event_dict

    while True:
        try:
            event = next(steps)
        except StopIteration as stop:
            return stop.value
        if isinstance(event, Progress):
            if wish.at_once():
                steps.close()
                return None
            event = Phase("comparing", event.done, event.total)
        report.say(event_dict(event))
        if report.unheard:
            wish.give()
