"""The corrections of one image together with their journal."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..imaging.errors import CellsegError
from .corrections import Corrections
from .journal import Journal, folder_of
from .recovery import JournalInfo, find_journals, read_journal, remove_superseded
from .runs import Patch


@dataclass(frozen=True)
class Saved:
    """How safe corrections are on the disk.

    Attributes
    ----------
    path : Path
        The journal.
    time : datetime or None
        When all that there was then was on the disk; None before the first time.
    n_pending : int
        Edits that are not in the file yet.
    error : str
        Why not, in words; empty while all is well.
    """

    path: Path
    time: datetime | None
    n_pending: int
    error: str


class CorrectionsRecord:
    """Corrections that are written down as they are made.

    Parameters
    ----------
    name : str
        What the image is called.
    source : str, optional
        Its file.
    sha256 : str
        Hash of its values, by which the journal is found again.
    corrections : Corrections
    continues : str, optional
        Name of the journal that they were recovered from.
    """

    def __init__(
        self, name: str, source: str | None, sha256: str, corrections: Corrections, continues: str | None = None
    ) -> None:
        self.name, self.source, self.sha256 = name, source, sha256
        self.corrections = corrections
        self._continues = continues
        self._journal: Journal | None = None
        self._cells: dict[str, Any] = {}
        self._told = ""

    @property
    def content(self) -> tuple[str, tuple[int, int]]:
        """What image it is about: hash of its values, and shape (Y, X)."""
        return self.sha256, self.corrections.shape

    def note_cells(self, recipe: dict[str, Any], threshold: float, min_size: int) -> None:
        """Note what the automatic cells are, for the first line of a journal."""
        self._cells = {"recipe": recipe, "threshold": threshold, "min_size": min_size}

    def apply(self, patch: Patch) -> None:
        """Take an edit in, and write it down."""
        with self.corrections.lock:
            journal = self._open()
            self.corrections.apply(patch)
            journal.append({"kind": "edit", **patch.to_dict()})

    def undo(self) -> bool:
        """Take the last edit back, and write that down; False where there is none."""
        with self.corrections.lock:
            return self.corrections.undo() is not None and self._write("undo")

    def redo(self) -> bool:
        """Do again what was taken back, and write that down; False where there is nothing."""
        with self.corrections.lock:
            return self.corrections.redo() is not None and self._write("redo")

    def saved(self) -> Saved | None:
        """How safe everything is; None where there is nothing to save."""
        journal = self._journal
        if journal is None:
            return None
        return Saved(journal.path, journal.saved_at, journal.pending, str(journal.error or ""))

    @property
    def problem(self) -> str:
        """Why corrections are not on the disk, in words; empty while all is well."""
        return "" if self._journal is None or self._journal.error is None else str(self._journal.error)

    def has_new_problem(self) -> bool:
        """Whether `problem` is one that was not asked about before."""
        told, self._told = self._told, self.problem
        return bool(self._told) and self._told != told

    def recoverable(self) -> JournalInfo | None:
        """Newest journal of another session about this image that was neither continued nor dismissed."""
        mine = None if self._journal is None else self._journal.path
        found = (info for info in find_journals(self.sha256) if not info.continued and not info.dismissed)
        return next((info for info in found if info.path != mine), None)

    def recovered(self, info: JournalInfo, replace: bool) -> tuple[CorrectionsRecord, tuple[str, ...]]:
        """Return another record with a journal's corrections, and what was lost in words; see `Session.recover`."""
        n = self.corrections.n_changed + self.corrections.n_erased
        if (n or self.corrections.marks().any()) and not replace:
            done = f"corrected {n} cells" if n else "marked parts"
            raise CellsegError(
                f"You have {done} of {self.name or 'this image'} since. "
                "Undo these first, or have them replaced; they stay in their journal."
            )
        found = read_journal(info.path, self.corrections.shape)
        found.corrections.forget_history()
        record = CorrectionsRecord(self.name, self.source, self.sha256, found.corrections, info.path.name)
        record._cells = self._cells
        journal = record._open(found.corrections.snapshot())
        journal.flush()
        # While something is amiss, every file there is may still be of use.
        if not journal.pending and not found.notes:
            remove_superseded(journal.path)
        self.close()
        return record, found.notes

    def close(self) -> None:
        """Put everything on the disk."""
        if self._journal is not None:
            self._journal.close()

    def _write(self, kind: str) -> bool:
        self._open().append({"kind": kind})
        return True

    def _open(self, snapshot: Patch | None = None) -> Journal:
        """The journal; it begins with the first edit, so that looking at images leaves no files."""
        if self._journal is None:
            header = {
                "image": self.name,
                "path": self.source,
                "sha256": self.sha256,
                "shape": list(self.corrections.shape),
                "continues": self._continues,
                **self._cells,
            }
            self._journal = Journal.open_new(folder_of(self.sha256), header, snapshot)
        return self._journal


class CorrectionsRecords:
    """The corrections of every image of a session; those of an image that went away wait for its return."""

    def __init__(self) -> None:
        self._of: dict[Hashable, CorrectionsRecord] = {}
        self._waiting: dict[tuple[str, tuple[int, int]], CorrectionsRecord] = {}

    def of(self, key: Hashable) -> CorrectionsRecord | None:
        """Corrections of an image; None before it was segmented."""
        return self._of.get(key)

    def take_up(
        self, key: Hashable, sha256: str, shape: tuple[int, int], name: str, source: str | None
    ) -> CorrectionsRecord:
        """Corrections of an image that was segmented: those there are of the same values, or new ones."""
        record = self._of.get(key)
        # The same values have another shape (Y, X) when their axes are read in another order.
        wanted = (sha256, (int(shape[0]), int(shape[1])))
        if record is None or record.content != wanted:
            self.put_aside(key)
            record = self._waiting.pop(wanted, None) or CorrectionsRecord(name, source, sha256, Corrections(shape))
            self._of[key] = record
        return record

    def journals(self) -> set[Path]:
        """Journals that are written to here."""
        records = [*self._of.values(), *self._waiting.values()]
        return {saved.path for record in records if (saved := record.saved()) is not None}

    def replace(self, key: Hashable, record: CorrectionsRecord) -> None:
        """Put others in the place of an image's corrections."""
        self._of[key] = record

    def put_aside(self, key: Hashable) -> None:
        """Keep the corrections of an image that goes away for when the same values are segmented again."""
        record = self._of.pop(key, None)
        if record is not None and record.corrections.revision:
            if (other := self._waiting.get(record.content)) is not None:
                other.close()
            self._waiting[record.content] = record

    def close(self) -> None:
        """Put everything on the disk."""
        for record in [*self._of.values(), *self._waiting.values()]:
            record.close()
