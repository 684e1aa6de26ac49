"""Find and read corrections journals."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from .claims import Corrections
from .journal import CELLS, SUFFIX, JournalError, folder_of, time_of
from .journal_lines import DAMAGED, beside, continued, read_lines, revision_after
from .run_lengths import Patch, known_of

_DISMISSED = ".dismissed"


@dataclass(frozen=True, eq=False)
class JournalInfo:
    """Summary of a journal.

    Attributes
    ----------
    path : Path
    image_name : str
        Name of the image.
    n_corrections : int
        Cells changed and erased by the end of it.
    time : datetime
        Of the last entry, with time zone.
    header : mapping
        The file's first line, with the recipe and the sliders as they stood at the end.
    continued : bool
        A later journal continues this one, and nothing was added here since.
    dismissed : bool
        The user does not want to be asked about it.
    """

    path: Path
    image_name: str
    n_corrections: int
    time: datetime
    header: Mapping[str, Any]
    continued: bool
    dismissed: bool


@dataclass(frozen=True, eq=False)
class Recovered:
    """Corrections read from a journal.

    Attributes
    ----------
    corrections : Corrections
    notes : tuple of str
        What was lost, in words; empty if nothing was.
    path : Path
        The file that they come from: an older one than requested, if that one has more corrections.
    header : mapping
        Its first line, with the recipe and the sliders as they stood at the end.
    time : datetime
        Of its last entry, with time zone.
    """

    corrections: Corrections
    notes: tuple[str, ...]
    path: Path
    header: Mapping[str, Any]
    time: datetime


def find_journals(sha256: str) -> list[JournalInfo]:
    """Return the journals about an image that hold corrections, newest first; unreadable ones are skipped."""
    found = []
    for path in _files(folder_of(sha256)):
        with contextlib.suppress(JournalError, OSError):
            recovered = read_journal(path)
            n = recovered.corrections.n_changed + recovered.corrections.n_erased
            if n or recovered.corrections.has_marks:
                found.append((path, n, recovered))
    later = {str(recovered.header.get("continues")): recovered.header for _path, _n, recovered in found}
    infos = [
        JournalInfo(
            path,
            str(recovered.header.get("image", "")),
            n,
            recovered.time,
            recovered.header,
            path.name in later and _holds_all(later[path.name], recovered),
            path.with_suffix(_DISMISSED).exists(),
        )
        for path, n, recovered in found
    ]
    # Of two names of the same second the later one is longer: it ends in a number.
    return sorted(infos, key=lambda info: (info.time, len(info.path.name), info.path.name), reverse=True)


def newest_journal(
    sha256: str, own: Collection[Path] = (), channels: tuple[int, ...] | None = None
) -> JournalInfo | None:
    """Return the newest journal of an image that was neither continued nor dismissed.

    Parameters
    ----------
    sha256 : str
    own : collection of Path
        Journals to skip.
    channels : tuple of int, optional
        Channels that its cells must be of; None for any. Journals without channels match any.
    """
    for info in find_journals(sha256):
        if not (info.continued or info.dismissed or info.path in own) and is_about(info, channels):
            return info
    return None


def is_about(info: JournalInfo, channels: tuple[int, ...] | None) -> bool:
    """Whether a journal's cells are of these channels, as far as the journal states them."""
    stated, recipe = info.header.get("channels"), info.header.get("recipe")
    if not isinstance(stated, list) and isinstance(recipe, Mapping) and isinstance(recipe.get("channel"), int):
        stated = [recipe["channel"]]
    return not channels or not isinstance(stated, list) or tuple(stated) == channels


def read_journal(path: Path, shape: tuple[int, int] | None = None, later: Collection[Path] = ()) -> Recovered:
    """Read a journal as far as it is whole.

    An incomplete last line is dropped. Reading stops at the first damaged line; if the journal continues an older one
    that has more corrections, the older one is returned instead.

    Parameters
    ----------
    path : Path
    shape : tuple of int, optional
        (Y, X) that the image must have.
    later : collection of Path
        Journals that continue this one, which it cannot continue itself.

    Raises
    ------
    JournalError
        The journal is missing, its first line is damaged, or it belongs to an image of another size.
    """
    header, entries, damaged = read_lines(Path(path))
    size = header["shape"]
    if shape is not None and tuple(shape) != size:
        raise JournalError(
            f"{path} is about an image of {size[0]} x {size[1]} pixels, but this one has {shape[0]} x {shape[1]}. "
            "Choose the journal of this image."
        )
    try:
        corrections = Corrections(size)
    except DAMAGED as error:
        raise JournalError(f"{path} is about an image of {size[0]} x {size[1]} pixels: {error}.") from error
    n_applied, notes, time = 0, [], time_of(header)
    for entry in entries:
        try:
            if entry["kind"] == CELLS:
                header = {**header, **{name: entry[name] for name in ("recipe", "threshold", "min_size")}}
            else:
                _take(corrections, entry)
        except DAMAGED:
            damaged = n_applied + 2
            break
        n_applied += 1
        # No earlier than the one before, whatever was done to the clock.
        time = max(time, time_of(entry, time))
    if damaged:
        notes.append(
            f"Line {damaged} of the corrections journal {path} is damaged: {n_applied} entries before it were "
            "recovered, and what came after is lost."
        )
        older = _older(Path(path), header, size, (*later, Path(path)))
        if older is not None and _number(older.corrections) > _number(corrections):
            notes.append(f"The older journal {older.path.name} has more corrections and was taken instead.")
            return replace(older, notes=(*notes, *older.notes))
    corrections.known |= known_of(header.get("known"))
    if isinstance(header.get("author"), str):
        corrections.known[header["author"]] = revision_after(header, entries[:n_applied])
    return Recovered(corrections, tuple(notes), Path(path), header, time)


def dismiss(path: Path) -> None:
    """Remember that the user does not want a journal; the file is kept."""
    with contextlib.suppress(OSError):
        Path(path).with_suffix(_DISMISSED).touch()


def remove_superseded(path: Path) -> None:
    """Keep the newest two of the chain of journals that a journal continues, and remove the rest.

    One that another window has added to since is kept, and what it continues.
    """
    second = continued(path)
    kept = [path, second]
    newer, old = second, continued(second)
    while newer is not None and old is not None and old not in kept:
        with contextlib.suppress(JournalError):
            if not _holds_all(read_lines(newer)[0], read_journal(old)):
                return
        newer, following = old, continued(old)
        with contextlib.suppress(OSError):
            old.unlink()
            old.with_suffix(_DISMISSED).unlink()
        old = following


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and not path.name.startswith("."))
    except OSError:
        return []


def _take(corrections: Corrections, entry: Mapping[str, Any]) -> None:
    kind = entry["kind"]
    if kind == "undo":
        corrections.undo()
    elif kind == "redo":
        corrections.redo()
    elif kind in ("edit", "snapshot"):
        corrections.apply(Patch.from_dict(entry, corrections.shape))
        if kind == "snapshot":
            corrections.forget_history()
    else:
        raise ValueError(f"unknown entry {kind!r}")


def _holds_all(later: Mapping[str, Any], earlier: Recovered) -> bool:
    """Whether a journal that continues another, by its first line, was begun with all that the other holds by now."""
    author = earlier.header.get("author")
    if not isinstance(author, str):
        # Those of earlier versions do not name it.
        return True
    return known_of(later.get("known")).get(author, -1) >= earlier.corrections.known[author]


def _older(path: Path, header: Mapping[str, Any], shape: tuple[int, int], later: Collection[Path]) -> Recovered | None:
    older = beside(path, header)
    if older is None or older in later:
        return None
    try:
        return read_journal(older, shape, later)
    except JournalError:
        return None


def _number(corrections: Corrections) -> int:
    return corrections.n_changed + corrections.n_erased
