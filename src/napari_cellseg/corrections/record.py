"""The corrections of one image together with their journal."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..imaging.errors import CellsegError
from .claims import Corrections
from .journal import CELLS, Journal, folder_of
from .recovery import JournalInfo, newest_journal, read_journal, remove_superseded
from .run_lengths import Patch, Runs

# Identity of what is corrected: hash of the image's values; shape (Y, X), which differs when its axes are read in
# another order; and the channels of the cells, because cells of one channel are not those of another.
Content = tuple[str, tuple[int, int], tuple[int, ...]]


@dataclass(frozen=True)
class Saved:
    """State of the corrections on the disk.

    Attributes
    ----------
    path : Path
        The journal.
    time : datetime or None
        When everything was last on the disk; None before the first time.
    n_pending : int
        Edits that are not in the file yet.
    error : str
        Why they are not, in words; empty if there is no error.
    """

    path: Path
    time: datetime | None
    n_pending: int
    error: str


class CorrectionsRecord:
    """Corrections that are written to a journal as they are made.

    Parameters
    ----------
    name : str
        Name of the image.
    source : str, optional
        File of the image.
    sha256 : str
        Hash of its values, by which the journal is found again.
    channels : tuple of int
        Which of its channels the cells are of; empty where there is only one.
    corrections : Corrections
    continues : str, optional
        Name of the journal that they were recovered from.

    Attributes
    ----------
    shown : Runs or None
        Labels that were shown last, while a part is marked as reviewed and a new prediction is awaited.
    """

    def __init__(
        self,
        name: str,
        source: str | None,
        sha256: str,
        channels: tuple[int, ...],
        corrections: Corrections,
        continues: str | None = None,
    ) -> None:
        self.name, self.source, self.sha256, self.channels = name, source, sha256, channels
        self.corrections = corrections
        self.shown: Runs | None = None
        self._continues = continues
        self._journal: Journal | None = None
        self._cells: dict[str, Any] = {}
        self._reported = ""

    @property
    def content(self) -> Content:
        """Identity of the corrected image."""
        return self.sha256, self.corrections.shape, self.channels

    def is_of_another_channel(self, content: Content) -> bool:
        """Whether there are corrections of the same image but of other channels."""
        done = self.corrections.n_changed or self.corrections.n_erased or self.corrections.marks().any()
        return bool(done) and self.content[:2] == content[:2] and self.channels != content[2]

    def note_cells(self, recipe: dict[str, Any], threshold: float, min_size: int) -> None:
        """Store in the journal how the automatic cells were made, and where their sliders stand."""
        cells = {"recipe": recipe, "threshold": threshold, "min_size": min_size}
        if cells != self._cells:
            self._cells = cells
            if self._journal is not None:
                self._journal.note({"kind": CELLS, **cells})

    def apply(self, patch: Patch) -> None:
        """Apply an edit and write it to the journal."""
        with self.corrections.lock:
            journal = self._open()
            self.corrections.apply(patch)
            journal.append({"kind": "edit", **patch.to_dict()})

    def undo(self) -> bool:
        """Undo the last edit and write that to the journal; False if there is none."""
        with self.corrections.lock:
            return self.corrections.undo() is not None and self._write("undo")

    def redo(self) -> bool:
        """Redo the edit that was undone and write that to the journal; False if there is none."""
        with self.corrections.lock:
            return self.corrections.redo() is not None and self._write("redo")

    def saved(self) -> Saved | None:
        """State of the journal; None if there is nothing to save."""
        journal = self._journal
        if journal is None:
            return None
        return Saved(journal.path, journal.saved_at, journal.pending, str(journal.error or ""))

    @property
    def problem(self) -> str:
        """Why corrections are not on the disk, in words; empty if there is no error."""
        return "" if self._journal is None or self._journal.error is None else str(self._journal.error)

    def has_new_problem(self) -> bool:
        """Whether `problem` changed since the last call."""
        before, self._reported = self._reported, self.problem
        return bool(self._reported) and self._reported != before

    def recoverable(self) -> JournalInfo | None:
        """Newest journal of another session about this image that was neither continued nor dismissed."""
        mine = None if self._journal is None else self._journal.path
        return newest_journal(self.sha256, () if mine is None else (mine,), self.channels)

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
        record = CorrectionsRecord(
            self.name, self.source, self.sha256, self.channels, found.corrections, info.path.name
        )
        record._cells = self._cells
        journal = record._open(found.corrections.snapshot())
        journal.flush()
        # After an error, every file may still be useful.
        if not journal.pending and not found.notes:
            remove_superseded(journal.path)
        self.close()
        return record, found.notes

    def close(self) -> None:
        """Write everything to the disk."""
        if self._journal is not None:
            self._journal.close()

    def _write(self, kind: str) -> bool:
        self._open().append({"kind": kind})
        return True

    def _open(self, snapshot: Patch | None = None) -> Journal:
        """The journal; it is created at the first edit, so that viewing images leaves no files."""
        if self._journal is None:
            header = {
                "image": self.name,
                "path": self.source,
                "sha256": self.sha256,
                "shape": list(self.corrections.shape),
                "channels": list(self.channels),
                "continues": self._continues,
                "author": self.corrections.author,
                "revision": self.corrections.revision,
                "known": self.corrections.known,
                **self._cells,
            }
            self._journal = Journal.open_new(folder_of(self.sha256), header, snapshot)
        return self._journal


class CorrectionsRecords:
    """The corrections of every image of a session; those of a removed image are kept until it is opened again."""

    def __init__(self) -> None:
        self._of: dict[Hashable, CorrectionsRecord] = {}
        self._waiting: dict[Content, CorrectionsRecord] = {}

    def get(self, key: Hashable) -> CorrectionsRecord | None:
        """Corrections of an image; None before it is segmented."""
        return self._of.get(key)

    def take_up(self, key: Hashable, content: Content, name: str, source: str | None) -> CorrectionsRecord:
        """Return the corrections of a segmented image: existing ones of the same content, or new ones."""
        record = self._of.get(key)
        if record is None or record.content != content:
            self.put_aside(key)
            sha256, shape, channels = content
            record = self._waiting.pop(content, None) or CorrectionsRecord(
                name, source, sha256, channels, Corrections(shape)
            )
            self._of[key] = record
        return record

    def journals(self) -> set[Path]:
        """Paths of the journals of this session."""
        records = [*self._of.values(), *self._waiting.values()]
        return {saved.path for record in records if (saved := record.saved()) is not None}

    def replace(self, key: Hashable, record: CorrectionsRecord) -> None:
        """Replace the corrections of an image."""
        self._of[key] = record

    def put_aside(self, key: Hashable) -> None:
        """Keep the corrections of a removed image until the same values are segmented again."""
        record = self._of.pop(key, None)
        if record is not None and record.corrections.revision:
            if (other := self._waiting.get(record.content)) is not None:
                other.close()
            self._waiting[record.content] = record

    def close(self) -> None:
        """Write everything to the disk."""
        for record in [*self._of.values(), *self._waiting.values()]:
            record.close()
