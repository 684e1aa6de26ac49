"""The command ``train``: from scratch or from a parent, stopped and resumed, calibrated and measured at its end."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.errors import CellsegError, DatasetError
from .common import add_overwrite_option, check_places, check_resumed, option_of
from .dataset_options import add_dataset_options, dataset_values, load
from .evaluating import evaluation_lines
from .reporting import (
    BarReport,
    JsonReport,
    Report,
    StopRequest,
    add_report_options,
    run_reported,
    send_all,
    send_event,
    send_made,
)
from .train_options import add_train_options, ignored_with_parent, train_params

if TYPE_CHECKING:
    from ..evaluation.make_version import Made
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
    add_overwrite_option(sub)
    add_report_options(sub, "stop, and keep the best,")
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


def _run(args: argparse.Namespace, report: Report, stop_request: StopRequest) -> int:
    from ..evaluation.make_version import iter_train_version

    preview = Path(args.preview).with_suffix(".png") if args.preview else None
    check_places(args, *([preview] if preview else []))
    if args.resume:
        params, parent, data, command = _as_begun(args)
    else:
        if not args.dataset:
            raise DatasetError("No images to learn from are named. Give a dataset.")
        params, command = train_params(args), args.command
        data = {**dataset_values(args), "size": args.size, "fit": args.fit or "crop"}
        parent = parent_model(args, report)
    training, validation, split = read_parts(args, data, params.seed, report)
    if preview:
        return _preview(training, params, parent, preview)
    if not args.out:
        raise CellsegError("No folder is named for the model version. Give a new one with --out.")
    out = Path(args.out)
    steps = iter_train_version(
        training, validation, out, params, parent, split=split, resume=args.resume, stop=stop_request.given,
        at_once=stop_request.at_once, record={"command": command, "data": data},
    )  # fmt: skip
    made: Made = send_all(steps, report, stop_request, partial(_send, out))
    send_made(report, out, made, stopped_by=made.trained.stopped_by)
    return 0


def parent_model(args: argparse.Namespace, report: Report) -> ModelVersion | None:
    """Load the model to start from, if there is one; report which options it takes the place of."""
    from ..network.versions import load_model

    if not args.parent:
        return None
    parent = load_model(args.parent)
    if ignored := ignored_with_parent(args):
        report.send({"event": "note", "text": f"{', '.join(ignored)} is not used: a parent brings its own."})
    return parent


def _as_begun(args: argparse.Namespace) -> tuple[TrainParams, ModelVersion | None, dict[str, Any], str]:
    """Return what a stopped run was asked to do."""
    from ..training.params import TrainParams
    from ..training.runs import TRAIN_FILE, parent_of, read_run

    check_resumed(args, ("dataset", "masks", "groups"))
    asked = read_run(Path(args.out), TRAIN_FILE)
    params = TrainParams.from_dict({**asked["parameters"], **({"device": args.device} if args.device else {})})
    parent = parent_of(asked) if asked.get("parent") else None
    moved = {name: value for name, value in dataset_values(args).items() if value}
    data = {"size": None, "fit": "crop", **asked.get("data", {}), **moved}
    if not data.get("dataset"):
        raise DatasetError(f"{args.out} does not name the images that it learned from. Name them: --resume DATASET.")
    return params, parent, data, asked.get("command", args.command)


def read_parts(
    args: argparse.Namespace, data: dict[str, Any], seed: int, report: Report
) -> tuple[list[Sample], list[Sample], Split]:
    """Read a dataset, report what it holds, split it, and bring its images to one size."""
    from ..training.data.fitting import divide
    from ..training.data.splitting import SPLIT_FILE, make_split, read_split

    loaded = load(data)
    report.send({"event": "dataset", "lines": loaded.report.lines(), **loaded.report.to_dict()})
    given = Path(args.out, SPLIT_FILE) if args.resume else args.split
    samples = list(loaded.samples)
    if given:
        split = read_split(given)
        ignored = [option_of(name) for name in ("validation", "split_by") if getattr(args, name) is not None]
        if ignored:
            report.send(
                {"event": "note", "text": f"{', '.join(ignored)} is not used: {given} names the images held out."}
            )
    else:
        part = 0.1 if args.validation is None else args.validation
        split = make_split(samples, part, seed, args.split_by or "group", loaded.report.duplicates)
    training, validation, notes = divide(samples, split, data.get("size"), data["fit"])
    for text in (*split.notes, *notes):
        report.send({"event": "note", "text": text})
    return training, validation, split


def _preview(training: Sequence[Sample], params: TrainParams, parent: ModelVersion | None, path: Path) -> int:
    import numpy as np
    from PIL import Image

    from ..imaging.write.pictures import write_picture
    from ..training.preview import preview

    rng = np.random.default_rng(params.seed)
    chosen = [training[i] for i in sorted(rng.permutation(len(training))[:4])]
    normalizer = parent.normalizer if parent else params.normalizer
    picture = preview(chosen, params.augment, 4, params.seed, params.crop, normalizer)
    write_picture(path, Image.fromarray(picture), "PNG")
    print(f"{len(chosen)} of {len(training)} images to train on, in {path}")
    return 0


def _send(out: Path, report: Report, event: Any) -> None:
    """Report an event; of what was measured also write the page with pictures."""
    from ..evaluation.measured import Measured
    from ..reports.metrics_report import write_report

    if not isinstance(event, Measured):
        send_event(report, event)
        return
    write_report(out, event.evaluation, event.samples, event.predicted)
    if isinstance(report, JsonReport):
        report.send({"event": "metrics", **event.evaluation.to_dict()})
    else:
        report.send({"event": "note", "text": "\n".join(evaluation_lines(event.evaluation))})


class TrainText(BarReport):
    """A training in text."""

    def __init__(self) -> None:
        super().__init__()
        self._step: dict[str, Any] = {}

    def send(self, event: dict[str, Any]) -> None:
        """Report one event."""
        kind = event["event"]
        if kind == "step":
            self.advance(round(1000 * event["done"]), 1000, "per mille")
            self._step = event
        elif kind == "phase" and event["text"] == "measuring":
            self.advance(event["done"], event["total"], "image")
        elif kind == "dataset":
            self.write(*event["lines"])
        elif kind == "note":
            self.write(event["text"])
        elif kind in ("start", "validation", "done"):
            self.write(*{"start": _start, "validation": self._look, "done": self._done}[kind](event))

    def _look(self, event: dict[str, Any]) -> list[str]:
        loss = event["validation_loss"]
        seen = "" if loss != loss else f", validation loss {loss:.4f}, IoU {event['iou']:.3f}, Dice {event['dice']:.3f}"
        kept = ", kept" if event["best"] else ""
        left = self._step["seconds_left"] / 60
        return [f"step {event['step']}: loss {self._step['loss']:.4f}{seen}{kept}, {left:.0f} min left"]

    def _done(self, event: dict[str, Any]) -> list[str]:
        self.close()
        if not event["version"]:
            return ["nothing was learned"]
        more = [f"stopped; to go on: napari-cellseg train --resume --out {event['version']}"]
        return [f"model version in {event['version']}", *(more if event["resumable"] else [])]


def _start(event: dict[str, Any]) -> list[str]:
    lines = [f"{event['n_images']} images to train on, {event['n_held_out']} held out; on {event['device']}"]
    lines += [f"going on from step {event['step']}"] if event["resumed"] else []
    return [*lines, *event["notes"]]
