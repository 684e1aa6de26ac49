"""The commands ``models`` and ``export``: what models there are, and taking them in and out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..imaging.errors import CellsegError
from .common import add_overwrite_option, check_places

FORMATS = ("bioimageio",)


def add_models(commands: Any) -> None:
    sub = commands.add_parser("models", help="list, show or import models")
    sub.add_argument("name", nargs="?", help="show this model in full; with --import: name to give it")
    sub.add_argument(
        "--import", dest="source", metavar="PATH",
        help="a model folder, a zip of one, a bioimage.io package, or a file with the weights of a U-Net (.pth)",
    )  # fmt: skip
    sub.add_argument(
        "--architecture", metavar="NAME",
        help="encoder that imported weights belong to, such as resnet34; default: found out from the weights",
    )  # fmt: skip
    sub.add_argument(
        "--normalisation", metavar="HOW",
        help="how images were normalised where imported weights were trained: percentiles, minmax, type (divided by "
        "255), imagenet (that, then ImageNet's mean and deviation), or standard (their own mean and deviation)",
    )  # fmt: skip
    sub.set_defaults(run=run_models)


def run_models(args: argparse.Namespace) -> int:
    """``napari-cellseg models``."""
    if args.source:
        return _import(args)
    if args.architecture or args.normalisation:
        raise CellsegError(
            "--architecture and --normalisation describe a model to --import. Name its file with --import."
        )
    return _show(args.name) if args.name else _list()


def _import(args: argparse.Namespace) -> int:
    from ..network.exchange.import_model import import_model

    model = import_model(args.source, args.name, args.architecture, args.normalisation)
    print(f"imported {model.name} into {model.path}")
    if not model.training or "imported" in model.training:
        print(f"Its thresholds are the usual ones. Find better: napari-cellseg calibrate DATASET --model {model.name}")
    return 0


def _show(name: str) -> int:
    import json

    from ..network.versions import load_model

    model = load_model(name)
    settings = {
        "network": model.description if model.network else model.config.to_dict(),
        "normalizer": model.normalizer.to_dict(),
        "threshold": model.threshold,
        "min_size": model.min_size,
    }
    details = {**settings, "training": dict(model.training), "metrics": dict(model.metrics)}
    print(f"{model.name}: {model.path}\n{json.dumps(details, indent=1)}")
    return 0


def _list() -> int:
    from ..network.versions import list_models

    for model in list_models():
        origin = "bundled" if model.bundled else f"from {model.parent}" if model.parent else "own"
        origin = f"specialist {origin}" if model.specialist else model.description if model.network else origin
        try:
            figure = f"AP50 {model.metrics['all']['ap_mean']['0.50']:.3f} on validation images"
        except (KeyError, TypeError, ValueError):
            figure = "not evaluated"
        print(f"{model.name}\t{origin}\tthreshold {model.threshold:g}, min_size {model.min_size} px\t{figure}")
    return 0


def add_export(commands: Any) -> None:
    sub = commands.add_parser("export", help="write a model as a package that other programs can run")
    sub.add_argument("model", metavar="MODEL", help="name or folder of the model")
    sub.add_argument("out", metavar="OUT.zip", help="package to write")
    sub.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="kind of package (default bioimageio)")
    sub.add_argument("--author", action="append", default=[], metavar="NAME", help="who made the model (repeatable)")
    sub.add_argument("--license", default="", metavar="ID", help="what others may do with it, such as CC-BY-4.0")
    sub.add_argument("--name", default="", help="name to show; default: the model's")
    sub.add_argument("--description", default="", metavar="TEXT", help="one sentence; default: the model's")
    add_overwrite_option(sub)
    sub.set_defaults(run=run_export)


def run_export(args: argparse.Namespace) -> int:
    """``napari-cellseg export``."""
    from ..network.exchange.bioimageio_export import PackageParams, export_bioimageio
    from ..network.versions import load_model

    check_places(args, args.out)
    params = PackageParams(tuple(args.author), args.license, args.description, args.name)
    out = export_bioimageio(load_model(args.model), Path(args.out), params)
    print(f"package {out} ({out.stat().st_size / 1e6:.1f} MB); check it with: bioimageio test {out}")
    return 0
