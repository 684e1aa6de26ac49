"""What of an image is there already: results of an earlier run, and what a person corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..imaging.errors import CellsegError
from ..imaging.reading import source_stamp
from ..instances.exchange import PLANES_KEY
from .job import Job
from .ledger import Ledger
from .linked import FRAMES, TRACKS
from .outputs import output_path
from .plan import Item
from .results import corrected_by_hand, numbers_of_file
from .rows import BatchRow

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
    if known:
        # Of a stack the file says which planes are a person's.
        planes = metadata.get(PLANES_KEY)
        return [
            replace(
                old,
                state="kept",
                corrected=not (isinstance(planes, dict) and old.page) or old.page in planes,
                notes=_kept_notes(old, row, job),
            )
            for old in known
        ]
    settings = metadata.get("recipe")
    settings = settings if isinstance(settings, dict) else {}
    kept = replace(
        row,
        state="kept",
        corrected=True,
        files={"labels": name},
        **numbers_of_file(path),
        threshold=settings.get("threshold"),
        min_size=metadata.get("min_size", settings.get("min_size")),
        recipe=str(metadata.get("recipe_sha256", "")),
    )
    return [replace(kept, notes=_kept_notes(kept, row, job))]


def kept_now(row: BatchRow, job: Job) -> list[BatchRow]:
    """As `kept_rows`, by what the folder knows of the image at this moment."""
    # Without a person's labels the ledger, which may be long, is not read.
    if _corrected(output_path("labels", job.out / result_stem(row)), job) is None:
        return []
    return kept_rows(row, job, [known for known in Ledger(job.out).rows() if known.stem == row.stem])


def _corrected(path: Path, job: Job) -> dict[str, Any] | None:
    """Metadata of a label file that stays, because a person corrected it."""
    return None if job.overwrite else corrected_by_hand(path, "labels" in job.recipe.outputs)


def _kept_notes(old: BatchRow, row: BatchRow, job: Job) -> tuple[str, ...]:
    notes = () if _same(old, row) else (CHANGED_SINCE,)
    missing = [name for name in _written(job) if not (job.out / old.files.get(name, "")).is_file()]
    return (*notes, f"Its labels are a person's, and without {', '.join(missing)} so far.") if missing else notes


def _written(job: Job) -> list[str]:
    """What is wanted of every image; the table of counts is not made of pieces."""
    linked = (TRACKS, FRAMES) if job.recipe.link == "t" else ()
    return [name for name in (*job.recipe.outputs, *linked) if name != "submission"]


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
    """Whether two rows are about the same file as it was; nobody knows where one does not say."""
    keys = {"size", "mtime_ns"} & set(one.source) & set(other.source)
    return all(one.source[key] == other.source[key] for key in keys)
