"""Read a whole dataset, and report what was found, what was skipped and what looks odd."""

from __future__ import annotations

import csv
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

from ...imaging.errors import CellsegError, DatasetError
from ...imaging.progress import Progress
from .dataset_report import DatasetReport, report_on
from .layouts import open_layout
from .masks import BINARY, CLASSES, COLOURS, LABELS, SINGLE, Mask
from .sample import Sample


@dataclass(frozen=True, eq=False)
class Loaded:
    """Samples, sorted as the dataset has them, and what there is to know of them."""

    samples: tuple[Sample, ...]
    report: DatasetReport


def iter_load(
    path: str | Path,
    groups: str | Path | None = None,
    *,
    masks: str | Path | None = None,
    classes: bool = False,
    strict: bool = False,
) -> Generator[Progress, None, Loaded]:
    """Read a dataset image by image.

    Parameters
    ----------
    path : path
        A zip or folder in the layout of the Kaggle 2018 Data Science Bowl (``ID/images/ID.png`` and one PNG per
        nucleus in ``ID/masks/``); a folder with ``images/`` and ``labels/`` (or ``masks/``) that hold files of equal
        stem; a training set; an ``.npz`` with ``X`` (images) and ``y`` (masks). Masks are one id per cell, black and
        white (each connected piece is a cell), or one colour per cell. A file of that stem in ``reviewed/`` is not 0
        where the labels are to be trusted.
    groups : path, optional
        CSV with columns ``image_id``, ``kind`` and ``group``. By default ``groups.csv`` inside or beside `path`,
        if there is one; else each image is its own group.
    masks : path, optional
        The folder of masks, where `path` is the folder of images.
    classes : bool
        Values of masks are classes, not cells: each connected piece of one value is a cell.
    strict : bool
        Raise where an image cannot be used, instead of skipping it.

    Yields
    ------
    Progress

    Returns
    -------
    Loaded

    Raises
    ------
    DatasetError
        If nothing usable is found.
    """
    path = Path(path)
    if not path.exists():
        raise DatasetError(f"The dataset {path} does not exist. Give a folder or zip of images with masks.")
    known = read_groups(path, groups)
    layout = open_layout(path, Path(masks) if masks is not None else None)
    samples, read, skipped = [], [], list(layout.skipped)
    for i, name in enumerate(layout.names):
        try:
            sample, mask = layout.read(name)
            if not strict and sample.reviewed is not None and not sample.reviewed.any():
                raise DatasetError("nothing of it is reviewed")
        except CellsegError as error:
            if strict:
                raise
            skipped.append((name, str(error)))
        else:
            row = known.get(name, {})
            samples.append(replace(sample, kind=row.get("kind", ""), group=row.get("group", "") or name))
            read.append(mask)
        yield Progress(i + 1, len(layout.names), f"reading {name[:12]}")
    if not samples:
        why = "; ".join(f"{name}: {reason}" for name, reason in skipped[:3])
        raise DatasetError(f"No image of {path} can be used ({why}). Repair these files, or give another dataset.")
    samples, notes = _understood(samples, read, classes)
    missing = sum(name not in known for name in layout.names) if known else 0
    if missing:
        notes.append(f"{missing} of {len(layout.names)} images are not in the group table: each is its own group.")
    return Loaded(tuple(samples), report_on(samples, str(path), layout.what, skipped, notes))


def _understood(samples: list[Sample], masks: list[Mask], classes: bool) -> tuple[list[Sample], list[str]]:
    """Decide what masks of one value mean, all together, and report how masks were understood."""
    forms = [mask.form for mask in masks]
    if classes:
        masks = [mask.by_class() if mask.form in (LABELS, SINGLE) else mask for mask in masks]
    elif LABELS not in forms and COLOURS not in forms:
        # No mask separates one cell from another: one value means all cells.
        masks = [mask.split() if mask.form == SINGLE else mask for mask in masks]
    forms = [mask.form for mask in masks]
    notes = []
    if n := forms.count(BINARY):
        notes.append(f"{n} masks are black and white: each connected piece is taken for one cell.")
    if n := forms.count(CLASSES):
        notes.append(f"{n} masks hold classes: each connected piece of one value is taken for one cell.")
    if n := forms.count(COLOURS):
        notes.append(f"{n} masks are in colours: each connected piece of one colour is taken for one cell.")
    if n := sum(mask.gaps for mask in masks):
        notes.append(f"In {n} masks some ids are missing between the others: the cells were numbered anew.")
    return [
        sample if sample.labels is mask.labels else replace(sample, labels=mask.labels)
        for sample, mask in zip(samples, masks, strict=True)
    ], notes


def read_groups(path: Path, groups: str | Path | None) -> dict[str, dict[str, str]]:
    """Read the table of kinds and groups of a dataset, given or beside it; empty without one."""
    if groups is None:
        beside = [p for p in (path / "groups.csv", path.parent / "groups.csv") if p.is_file()]
        if not beside:
            return {}
        groups = beside[0]
    if not Path(groups).is_file():
        raise DatasetError(f"The group table {groups} does not exist. Omit it, or give a CSV with image_id,kind,group.")
    try:
        with open(groups, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"The group table {groups} cannot be read ({error}). Save it as CSV in UTF-8.") from error
    if rows and not {"image_id", "kind", "group"} <= set(rows[0]):
        raise DatasetError(
            f"The group table {groups} has columns {', '.join(rows[0])}; it needs image_id, kind and group."
        )
    return {row["image_id"]: row for row in rows}
