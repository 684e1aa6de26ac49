"""Options of the commands that read images with masks."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.errors import CellsegError
from .common import drain_with_bar

if TYPE_CHECKING:
    from ..training.data.datasets import Sample
    from ..training.data.loading import Loaded


def add_dataset_options(sub: argparse.ArgumentParser, out: bool = True, optional: bool = False) -> None:
    """Add the dataset, its groups and kinds, and the folder for results."""
    sub.add_argument(
        "dataset",
        nargs="?" if optional else None,
        metavar="DATASET",
        help="zip or folder of images with masks (Kaggle 2018 layout, images/ and labels/ or masks/, or NAME_masks.tif "
        "and the like beside the images), a training set, a COCO .json, or an .npz with X and y",
    )
    sub.add_argument("--masks", metavar="DIR", help="folder of masks, where DATASET is the folder of images")
    add_classes_option(sub)
    sub.add_argument("--groups", metavar="CSV", help="image_id,kind,group; default: groups.csv in or beside DATASET")
    sub.add_argument(
        "--kind", action="append", default=[], metavar="KIND", help="only images of this kind (repeatable)"
    )
    if out:
        sub.add_argument("--out", required=True, metavar="DIR", help="folder for the results")


def add_classes_option(sub: argparse.ArgumentParser) -> None:
    """Add that masks hold classes."""
    tip = "masks hold classes, such as 1 and 2, not one id per cell: each connected piece of one value is a cell"
    # Not given is None, so that a resumed run can distinguish it.
    sub.add_argument("--classes", action="store_true", default=None, help=tip)


def read_samples(args: argparse.Namespace) -> list[Sample]:
    """Read the dataset that was asked for, or its images of some kinds; report what was skipped and what is odd."""
    loaded = load(dataset_values(args))
    if loaded.report.odd or loaded.report.notes:
        print("\n".join(loaded.report.lines()), flush=True)
    return list(loaded.samples)


def dataset_values(args: argparse.Namespace) -> dict[str, Any]:
    """Return which dataset was asked for, in a form that holds when it is asked for again from elsewhere."""
    paths = {name: getattr(args, name, None) for name in ("dataset", "masks", "groups")}
    named = {name: str(Path(p).absolute()) if p else None for name, p in paths.items()}
    classes = {"classes": True} if getattr(args, "classes", None) else {}
    return {**named, **classes, "kinds": list(args.kind)}


def load(values: Mapping[str, Any]) -> Loaded:
    """Read what :func:`dataset_values` names, with a progress bar on the terminal."""
    from ..training.data.dataset_report import report_on
    from ..training.data.loading import Loaded, iter_load

    classes = bool(values.get("classes"))
    reading = iter_load(values["dataset"], values.get("groups"), masks=values.get("masks"), classes=classes)
    loaded: Loaded = drain_with_bar("reading", reading)
    wanted = values.get("kinds") or []
    kinds = sorted({s.kind for s in loaded.samples} - {""})
    for kind in wanted:
        if kind not in kinds:
            raise CellsegError(
                f"{values['dataset']} has no image of kind {kind!r}. Its kinds are: {', '.join(kinds) or 'none'}."
            )
    if not wanted:
        return loaded
    samples = tuple(s for s in loaded.samples if s.kind in wanted)
    report = loaded.report
    return Loaded(samples, report_on(samples, report.path, report.what, report.skipped, report.notes))
