"""What of an image is there already: results of an earlier run, and what a person corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..corrections.exchange import PLANES_KEY
from ..imaging.errors import CellsegError
from ..imaging.pages import stack_shape
from ..imaging.read.read import read_image, source_stamp
from ..segmentation.segment import open_image
from .job import Job
from .ledger import Ledger
from .linked import FRAMES, TRACKS
from .outputs import output_path
from .plan import Item, has_values_of
from .rows import BatchRow
from .save import corrected_by_hand, numbers_of_file

CHANGED_SINCE = "The image has changed since its labels were corrected."


def result_stem(row: BatchRow) -> str:
    """Beginning of the names of a row's own files."""
    return f"{row.stem}_{row.page}" if row.page else row.stem


def kept_rows(row: BatchRow, job: Job, previous: Sequence[BatchRow]) -> list[BatchRow]:
    """Rows of the label file that a row would write, where a person corrected it; else none.

    Raises
    ------
    OutputError
        There is a file of that name that is none of ours.
    """
    path = output_path("labels", job.out / result_stem(row))
    metadata = _corrected(path, job)
    if metadata is None:
        return []
    name = path.relative_to(job.out).as_posix()
    known = [old for old in previous if old.files.get("labels") == name]
    rows = known or [_found(row, name, metadata)]
    about: dict[str, Any] = {"state": "kept", "error": "", "source": row.source}
    notes: tuple[str, ...] = ()
    if not all(_same(old, row) for old in rows) and _is_changed(rows, row, path, job):
        notes = (CHANGED_SINCE,)
        about["source"] = rows[0].source
        about["error"] = (
            f"The count is that of the labels in {name}, which a person corrected before the image changed. Move that "
            "file away, or give --overwrite, to segment the image as it is now."
        )
    # Of a stack the file says which planes are a person's.
    planes = metadata.get(PLANES_KEY)
    mine = {old.page for old in rows if not (isinstance(planes, dict) and old.page) or old.page in planes}
    # Who corrects labels here says so in the folder; others may have, with other programs.
    unsaid = [old.page for old in rows if old.page in mine and not old.corrected]
    found = dict(zip(unsaid, numbers_of_file(path, unsaid), strict=True)) if unsaid else {}
    kept = [_as_in_file(old, found[old.page]) if old.page in found else old for old in rows]
    return [
        replace(now, **about, corrected=now.page in mine, notes=(*notes, *_missing_notes(now, job))) for now in kept
    ]


def kept_now(row: BatchRow, job: Job) -> list[BatchRow]:
    """As `kept_rows`, by what the folder knows of the image at this moment."""
    # Without a person's labels the ledger, which may be long, is not read.
    if _corrected(output_path("labels", job.out / result_stem(row)), job) is None:
        return []
    return kept_rows(row, job, [known for known in Ledger(job.out).rows() if known.stem == row.stem])


def _corrected(path: Path, job: Job) -> dict[str, Any] | None:
    """Metadata of a label file that stays, because a person corrected it."""
    return None if job.overwrite else corrected_by_hand(path, "labels" in job.options.outputs)


def _found(row: BatchRow, name: str, metadata: dict[str, Any]) -> BatchRow:
    """The row of a label file of which the folder knows nothing, without its numbers."""
    settings = metadata.get("recipe")
    settings = settings if isinstance(settings, dict) else {}
    image = metadata.get("image")
    return replace(
        row,
        files={"labels": name},
        # When the image was as it was then, nobody knows.
        source={"path": row.source["path"]},
        threshold=settings.get("threshold"),
        min_size=metadata.get("min_size", settings.get("min_size")),
        recipe=str(metadata.get("recipe_sha256", "")),
        image_sha256=str(image.get("sha256", "")) if isinstance(image, dict) else "",
    )


def _as_in_file(old: BatchRow, found: dict[str, Any]) -> BatchRow:
    """A row with the numbers that were found in its label file."""
    # That of the image, where it is known: a file of labels may have it rounded.
    found = {**found, "pixel_area_um2": old.pixel_area_um2 or found["pixel_area_um2"]}
    if all(getattr(old, name) == value for name, value in found.items()):
        return old
    # Its other files are about the cells that were there before.
    return replace(old, **found, doubt=None, files={"labels": old.files["labels"]})


def _is_changed(rows: Sequence[BatchRow], row: BatchRow, path: Path, job: Job) -> bool:
    """Whether an image is another than the one whose labels were corrected, as far as shapes and hashes can tell."""
    image = open_image(row.source["path"], job.recipe.axes)
    shape = image.shape_yx if row.page else stack_shape(image)
    return stack_shape(read_image(path)) != shape or any(has_values_of(image, old) is False for old in rows)


def _missing_notes(row: BatchRow, job: Job) -> tuple[str, ...]:
    missing = [name for name in _written(job) if not (job.out / row.files.get(name, "")).is_file()]
    return (f"Its labels are a person's, and without {', '.join(missing)} so far.",) if missing else ()


def _written(job: Job) -> list[str]:
    """What is wanted of every image; the table of counts is not made of pieces."""
    linked = (TRACKS, FRAMES) if job.recipe.link == "t" else ()
    return [name for name in (*job.options.outputs, *linked) if name != "submission"]


def is_current(rows: Sequence[BatchRow], item: Item, job: Job) -> bool:
    """Whether rows of an earlier run are what this one would give: same recipe, same file, all results there."""
    if not rows or len(rows) != rows[0].n_pages or not all(has_files(row, job) for row in rows):
        return False
    try:
        stamp = {"path": str(item.path), **source_stamp(item.path)}
    except (OSError, CellsegError):
        return False
    return all(dict(row.source) == stamp for row in rows)


def has_files(row: BatchRow, job: Job) -> bool:
    """Whether a row was done with this recipe by no person, and all that is wanted of it is there."""
    wanted = _written(job)
    return (
        row.state == "done"
        and not row.corrected
        and row.recipe == job.digest
        and set(wanted) <= set(row.files)
        and all((job.out / row.files[name]).exists() for name in wanted)
    )


def _same(one: BatchRow, other: BatchRow) -> bool:
    """Whether two rows say that they are about the same file as it was."""
    return all(key in one.source and one.source[key] == other.source.get(key) for key in ("size", "mtime_ns"))
