"""The command ``finetune``: learn from a training set, and compare old and new."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.errors import DatasetError
from .common import check_resumed
from .dataset_options import add_classes_option
from .reporting import Report, StopRequest, TextReport, add_report_options, run_reported, send_all, send_made
from .train_options import add_setting, given_settings

if TYPE_CHECKING:
    from ..evaluation.make_version import Made


def add_finetune(commands: Any) -> None:
    from dataclasses import fields

    from ..training.finetune_params import FineTuneParams, is_expert

    sub = commands.add_parser("finetune", help="make a new model version from corrected images")
    sub.add_argument(
        "training_set",
        nargs="?",
        metavar="TRAINING_SET",
        help="folder made by 'Add to training set', or anything that train reads",
    )
    sub.add_argument("--masks", metavar="DIR", help="folder of masks, where TRAINING_SET is the folder of images")
    add_classes_option(sub)
    sub.add_argument("--parent", metavar="MODEL", help="start from this model; default: cells")
    sub.add_argument("--out", metavar="DIR", help="folder of the new version; default: a new one among your models")
    sub.add_argument("--resume", action="store_true", help="go on with the run that was stopped in --out")
    add_report_options(sub, "stop, and keep the best,")
    expert = sub.add_argument_group("expert settings")
    for entry in fields(FineTuneParams):
        add_setting(expert if is_expert(entry.name) else sub, entry, entry.name)
    sub.set_defaults(run=run_finetune)


def run_finetune(args: argparse.Namespace) -> int:
    """``napari-cellseg finetune``: 0 also when it was stopped."""
    return run_reported(args, TextReport, _run)


def _run(args: argparse.Namespace, report: Report, stop_request: StopRequest) -> int:
    from ..evaluation.make_version import iter_finetune_version
    from ..network.versions import load_model
    from ..training.data.reading import iter_training_images
    from ..training.finetune_params import FineTuneParams
    from ..training.runs import next_version_dir, parent_of, read_run

    if args.resume:
        check_resumed(args, ("training_set", "masks"))
        out = Path(args.out)
        asked = read_run(out)
        own = {**asked["parameters"], **({"device": args.device} if args.device else {})}
        params, parent = FineTuneParams.from_dict(own), parent_of(asked)
        training_set, masks = args.training_set or asked.get("training_set"), args.masks or asked.get("masks")
        classes = bool(asked.get("classes"))
    else:
        if not args.training_set:
            raise DatasetError("No images to learn from are named. Give the folder of a training set.")
        training_set = str(Path(args.training_set).absolute())
        masks = str(Path(args.masks).absolute()) if args.masks else None
        classes = bool(args.classes)
        params = FineTuneParams(**given_settings(args, FineTuneParams))
        parent = load_model(args.parent or "cells")
        out = Path(args.out) if args.out else next_version_dir(parent.name)
    if not training_set:
        raise DatasetError(f"{out} does not name the images that it learned from. Name them: --resume TRAINING_SET.")
    record = {"command": args.command, "training_set": str(training_set)}
    record |= ({"masks": masks} if masks else {}) | ({"classes": True} if classes else {})
    images = iter_training_images(Path(training_set), Path(masks) if masks else None, classes)
    samples = send_all(images, report, stop_request)
    steps = iter_finetune_version(
        samples,
        out,
        parent,
        params,
        resume=args.resume,
        stop=stop_request.given,
        at_once=stop_request.at_once,
        record=record,
    )
    made: Made = send_all(steps, report, stop_request)
    send_made(report, out, made)
    return 0
