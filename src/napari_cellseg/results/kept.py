"""Results that an image has already: those of an earlier run, and labels that a user corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..corrections.exchange import PLANES_KEY
from ..imaging.errors import CellsegError, ParamsError
from ..imaging.read.read import read_image
from ..imaging.stack_planes import stack_shape
from ..segmentation.segment import open_image
from .folder_settings import FolderSettings
from .inside import check_inside
from .ledger import Ledger
from .linked import FRAMES, TRACKS, linked_path
from .origin import check_origin
from .outputs import OUTPUTS, grown_path, in_whole_name, output_path
from .plan import Item, hash_of
from .rows import BatchRow
from .save import corrected_by_hand, numbers_of_file

CHANGED_SINCE = "The image has changed since its labels were corrected."
OTHER_MARKERS = (
    "Its labels were manually edited with another recipe; which cells are positive, and what, is called by that."
)


def result_stem(row: BatchRow) -> str:
    """Return the beginning of the names of a row's own files."""
    return f"{row.stem}_{row.page}" if row.page else row.stem


def kept_rows(row: BatchRow, settings: FolderSettings, previous: Sequence[BatchRow]) -> list[BatchRow]:
    """Return the rows of the label file that a row would write, if a user corrected that file; else none.

    Raises
    ------
    OutputError
        There is a file of that name that this package did not write.
    """
    path = output_path("labels", settings.out / result_stem(row))
    metadata = _corrected(path, settings)
    if metadata is None:
        return []
    name = path.relative_to(settings.out).as_posix()
    known = [old for old in previous if old.files.get("labels") == name]
    rows = known or [_found(row, name, metadata)]
    about: dict[str, Any] = {"state": "kept", "error": "", "source": row.source}
    notes: tuple[str, ...] = ()
    if not all(_same(old, row) for old in rows) and _is_changed(rows, row, path, settings):
        notes = (CHANGED_SINCE,)
        about["source"] = rows[0].source
        about["error"] = (
            f"The count is that of the labels in {name}, which a user corrected before the image changed. Move that "
            "file away, or give --overwrite, to segment the image as it is now."
        )
    # The file of a stack names the planes that a user corrected.
    planes = metadata.get(PLANES_KEY)
    mine = {old.page for old in rows if not (isinstance(planes, dict) and old.page) or old.page in planes}
    # This package enters corrections in the ledger; labels may have been edited with other programs, too.
    unsaid = [old.page for old in rows if old.page in mine and not old.corrected]
    found = dict(zip(unsaid, numbers_of_file(path, unsaid), strict=True)) if unsaid else {}
    kept = [_as_in_file(old, found[old.page]) if old.page in found else old for old in rows]
    if settings.recipe.calls and any(old.recipe != settings.digest for old in rows):
        notes = (*notes, OTHER_MARKERS)
    return [
        replace(now, **about, corrected=now.page in mine, notes=(*notes, *_missing_notes(now, settings)))
        for now in kept
    ]


def kept_now(row: BatchRow, settings: FolderSettings) -> list[BatchRow]:
    """Return `kept_rows` by the present rows of the folder."""
    # The ledger may be long; it is read only where there are manually edited labels.
    if _corrected(output_path("labels", settings.out / result_stem(row)), settings) is None:
        return []
    return kept_rows(row, settings, [known for known in Ledger(settings.out).rows() if known.stem == row.stem])


def check_free(row: BatchRow, settings: FolderSettings, previous: Sequence[BatchRow]) -> None:
    """Raise OutputError where files beside the labels would be replaced that this package did not write.

    So it does where labels are to be put inside an image that cannot take them.

    `previous` holds the rows of the image in the ledger.
    """
    if "inside" in settings.options.outputs:
        check_inside(row.source.get("path"))
    if settings.overwrite:
        return
    known = {settings.out / name for old in previous for name in old.files.values()}
    stem = settings.out / result_stem(row)
    own = [output_path(name, stem) for name in settings.options.outputs if OUTPUTS[name].is_file]
    own += [] if settings.recipe.grow is None else [grown_path(stem)]
    tables = [linked_path(name, settings.out / row.stem) for name in _linked(settings)]
    for path in (*own, *map(in_whole_name, own), *tables):
        check_origin(path, known)


def _corrected(path: Path, settings: FolderSettings) -> dict[str, Any] | None:
    """Return the metadata of a label file that is kept because a user corrected it; else None."""
    return None if settings.overwrite else corrected_by_hand(path, "labels" in settings.options.outputs)


def _found(row: BatchRow, name: str, metadata: dict[str, Any]) -> BatchRow:
    """Return a row, without numbers, for a label file that is not in the ledger."""
    settings = metadata.get("recipe")
    settings = settings if isinstance(settings, dict) else {}
    image = metadata.get("image")
    about: dict[str, Any] = {
        "threshold": settings.get("threshold"),
        "min_size": metadata.get("min_size", settings.get("min_size")),
    }
    try:
        BatchRow.from_dict({"image": row.image, **about})
    except ParamsError:
        # Another program may write what it likes.
        about = {}
    return replace(
        row,
        files={"labels": name},
        # Size and time of the image at that moment are not known.
        source={"path": row.source["path"]},
        **about,
        recipe=str(metadata.get("recipe_sha256", "")),
        image_sha256=str(image.get("sha256", "")) if isinstance(image, dict) else "",
    )


def _as_in_file(old: BatchRow, found: dict[str, Any]) -> BatchRow:
    """Return a row with the numbers that were found in its label file."""
    # The pixel size of the image is preferred: a label file may have it rounded.
    found = {**found, "pixel_area_um2": old.pixel_area_um2 or found["pixel_area_um2"], "n_pixels": old.n_pixels}
    if all(getattr(old, name) == value for name, value in found.items()):
        return old
    # Its other files describe the cells before the correction.
    return replace(old, **found, doubt=None, positive={}, files={"labels": old.files["labels"]})


def _is_changed(rows: Sequence[BatchRow], row: BatchRow, path: Path, settings: FolderSettings) -> bool:
    """Whether an image differs from the one whose labels were corrected, by shape or hash."""
    image = open_image(row.source["path"], settings.recipe.axes)
    shape = image.shape_yx if row.page else stack_shape(image)
    return stack_shape(read_image(path)) != shape or any(
        old.has_other_values(hash_of(image, old.page)) for old in rows if old.image_sha256
    )


def _missing_notes(row: BatchRow, settings: FolderSettings) -> tuple[str, ...]:
    missing = [name for name in _written(settings) if not (settings.out / row.files.get(name, "")).is_file()]
    return (f"Its labels were manually edited, so {', '.join(missing)} were not written.",) if missing else ()


def _written(settings: FolderSettings) -> list[str]:
    """Return the outputs that every image must have; the table of counts is not made of pieces."""
    return [name for name in (*settings.options.outputs, *_linked(settings)) if name != "submission"]


def _linked(settings: FolderSettings) -> tuple[str, ...]:
    """Return the tables that a linked film has beside its labels."""
    return (TRACKS, FRAMES) if settings.recipe.link == "t" else ()


def is_current(rows: Sequence[BatchRow], item: Item, settings: FolderSettings) -> bool:
    """Whether rows of an earlier run equal what this run would give: same recipe, same file, all outputs there."""
    if not rows or len(rows) != rows[0].n_pages or not all(has_files(row, settings) for row in rows):
        return False
    try:
        stamp = settings.stamp(item.path, item.name)
    except (OSError, CellsegError):
        return False
    return all(dict(row.source) == stamp for row in rows)


def has_files(row: BatchRow, settings: FolderSettings) -> bool:
    """Whether a row was made with this recipe, was not corrected, and has all its files."""
    wanted = _written(settings)
    return bool(
        row.state == "done"
        and not row.corrected
        and row.recipe == settings.digest
        and set(wanted) <= set(row.files)
        and all((settings.out / row.files[name]).exists() for name in wanted)
        and ("regions" not in row.source or row.file(settings.out, "regions"))
    )


def _same(one: BatchRow, other: BatchRow) -> bool:
    """Whether two rows are about one file of the same size and time."""
    return all(key in one.source and one.source[key] == other.source.get(key) for key in ("size", "mtime_ns"))
