"""The manual edits of one image's cells, step by step; nothing else ever changes them.

Every pixel that the user decided on is *claimed*: it belongs to an edited cell, or was erased from one. No slider,
prediction or model is known here, so none can alter a claim. One edit is one `Patch` and one undo step.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Mapping
from typing import Protocol
from weakref import WeakSet

import numpy as np

from ..imaging.regions import Region, is_empty, plain_region, union, whole
from .run_lengths import Cell, Patch, Runs
from .tallies import Tallies
from .tiles import Tiles

ERASED = "erased"
_Step = tuple[Patch, Patch]  # (reverting patch, applied patch)


class Watcher(Protocol):
    """Receives every change, while the lock is held."""

    def on_claims(self, region: Region, claims: np.ndarray, footprint: np.ndarray) -> None:
        """Called when a region has changed, with its claims and footprint before the change."""


class Corrections:
    """Claims, cells and reviewed marks of one image, with undo and redo. Safe to use from several threads.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) in pixels.

    Attributes
    ----------
    revision : int
        Rises with every apply, undo and redo.
    author : str
        Whose they are: the id of these corrections among all others of the image, of other windows and of before.
    known : dict of str to int
        What of others was taken over into these: up to which revision, by author.
    lock : threading.RLock
        Held during every change; hold it to read several things of one moment.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = (int(shape[0]), int(shape[1]))
        self.revision = 0
        self.author = secrets.token_hex(6)
        self.known: dict[str, int] = {}
        self.last_region: Region = (slice(0, 0), slice(0, 0))
        self.lock = threading.RLock()
        self.renamed: dict[int, int] = {}
        # Zeros that were never written take no memory.
        self._claims = np.zeros(self.shape, dtype=np.int32)
        self._cores = np.zeros(self.shape, dtype=np.uint16)
        self._marks: np.ndarray | None = None
        self._tiles = Tiles(self.shape)
        self._cells: dict[int, Cell] = {}
        self._tallies = Tallies()
        self._areas: tuple[np.ndarray, np.ndarray] | None = None
        self._reserved: set[int] = set()
        self._top_id = 0
        self._done: list[_Step] = []
        self._undone: list[_Step] = []
        self._watchers: WeakSet[Watcher] = WeakSet()

    @property
    def owned_ids(self) -> np.ndarray:
        """Ids of the edited cells, ascending, int64."""
        with self.lock:
            return np.array(sorted(id_ for id_, cell in self._cells.items() if cell.how != ERASED), dtype=np.int64)

    @property
    def erased_ids(self) -> np.ndarray:
        """Ids of the cells that the user erased completely, ascending, int64."""
        with self.lock:
            return np.array(sorted(id_ for id_, cell in self._cells.items() if cell.how == ERASED), dtype=np.int64)

    @property
    def n_changed(self) -> int:
        """Number of edited cells, without erased ones."""
        with self.lock:
            return sum(cell.how != ERASED for cell in self._cells.values())

    @property
    def n_erased(self) -> int:
        """Number of cells that the user erased."""
        with self.lock:
            return sum(cell.how == ERASED for cell in self._cells.values())

    @property
    def taken_ids(self) -> frozenset[int]:
        """Ids that the cells use now or may use again after undo or redo; automatic cells never get one of them."""
        with self.lock:
            return frozenset(self._reserved)

    @property
    def top_id(self) -> int:
        """Highest id that an edited cell ever had here; 0 if there was none."""
        return self._top_id

    @property
    def made_by(self) -> dict[str, int]:
        """Author and revision, as files name those whose corrections they hold; empty where nothing was corrected."""
        return {self.author: self.revision} if self._cells or self._marks is not None else {}

    @property
    def has_marks(self) -> bool:
        """Whether anything was ever marked as reviewed."""
        return self._marks is not None

    def __contains__(self, id_: object) -> bool:
        """Whether an id belongs to an edited or erased cell."""
        return id_ in self._cells

    def cell(self, id_: int) -> Cell | None:
        """Entry of an edited or erased cell; None for any other."""
        return self._cells.get(id_)

    def how(self, id_: int) -> str:
        """Last edit of a cell, such as "drawn"; empty for a cell that was not edited."""
        cell = self._cells.get(id_)
        return "" if cell is None or cell.how == ERASED else cell.how

    def calls(self) -> dict[int, Mapping[str, bool | str]]:
        """Return of the cells that the user called by hand what they were called, by marker; see `Cell.calls`."""
        with self.lock:
            return {id_: cell.calls for id_, cell in self._cells.items() if cell.calls and cell.how != ERASED}

    def area(self, id_: int) -> int:
        """Pixels of an edited cell; 0 for any other."""
        return self._tallies.area(id_)

    def areas(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids of the edited cells, ascending, and their areas in pixels; both int64."""
        with self.lock:
            if self._areas is None:
                ids = self.owned_ids
                self._areas = ids, np.array([self.area(id_) for id_ in ids.tolist()], dtype=np.int64)
            return self._areas

    def centroid(self, id_: int) -> tuple[float, float]:
        """Centre (Y, X) in pixels of an edited cell; NaN for any other."""
        return self._tallies.centroid(id_)

    def box(self, id_: int) -> Region | None:
        """Region that holds all pixels claimed for a cell or erased from it; may be larger. None if there are none."""
        return self._tallies.box(id_)

    def claims(self, region: Region | None = None) -> np.ndarray:
        """Claims of a region, int32, not to be written to.

        0: free, automatic cells show. Above 0: id of the edited cell. Below 0: erased, minus the id of the cell
        that it was erased from.
        """
        view = self._claims[plain_region(region, self.shape)]
        view.flags.writeable = False
        return view

    def marks(self, region: Region | None = None) -> np.ndarray:
        """Reviewed marks of a region, uint8: 1 where the user marked it."""
        part = plain_region(region, self.shape)
        if self._marks is None:
            return np.zeros(self._claims[part].shape, dtype=np.uint8)
        return self._marks[part].copy()

    def footprint(self, region: Region) -> np.ndarray:
        """Where a correction lies, bool: claimed, or in the core of an automatic cell that one came from."""
        return (self._claims[region] != 0) | (self._cores[region] > 0)

    def claimed_tiles(self, region: Region | None = None) -> Iterable[Region]:
        """Parts of a region outside which nothing is claimed."""
        return self._tiles.touched(plain_region(region, self.shape))

    def watch(self, watcher: Watcher) -> None:
        """Call a watcher at every change from now on, for as long as it exists."""
        self._watchers.add(watcher)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to redo."""
        return bool(self._undone)

    @property
    def undo_name(self) -> str:
        """Name of the step that `undo` reverts."""
        return self._done[-1][1].name if self._done else ""

    @property
    def redo_name(self) -> str:
        """Name of the step that `redo` repeats."""
        return self._undone[-1][1].name if self._undone else ""

    def apply(self, patch: Patch) -> Region:
        """Apply an edit as one undo step; return the region that it touched."""
        with self.lock:
            self._done.append((self._as_now(patch), patch))
            self._undone.clear()
            self.renamed = dict(patch.renamed or {})
            self.known |= patch.known
            return self._set(patch)

    def undo(self) -> Region | None:
        """Revert the last step; return the region that it touched, or None if there is no step."""
        return self._step(self._done, self._undone, 0)

    def redo(self) -> Region | None:
        """Repeat the step that was reverted; return the region that it touched, or None if there is no step."""
        return self._step(self._undone, self._done, 1)

    def _step(self, source: list[_Step], target: list[_Step], place: int) -> Region | None:
        with self.lock:
            if not source:
                return None
            target.append(source.pop())
            self.renamed = {}
            return self._set(target[-1][place])

    def snapshot(self) -> Patch:
        """Return everything as one patch that turns an empty `Corrections` into this one, without history."""
        with self.lock:
            claimed = union(*self.claimed_tiles())
            marked = whole(self.shape)
            return Patch(
                "recover",
                Runs.from_array(claimed, self._claims[claimed]),
                dict(self._cells),
                None if self._marks is None else Runs.from_array(marked, self._marks),
            )

    def forget_history(self) -> None:
        """Clear the undo and redo steps."""
        with self.lock:
            self._done.clear()
            self._undone.clear()

    def _as_now(self, patch: Patch) -> Patch:
        """Return the patch that restores what `patch` is about to change."""
        claims, marks = patch.claims, patch.marks
        return Patch(
            patch.name,
            None if claims is None else Runs.from_array(claims.region, self._claims[claims.region]),
            {id_: self._cells.get(id_) for id_ in patch.cells},
            None if marks is None else Runs.from_array(marks.region, self.marks(marks.region)),
        )

    def _set(self, patch: Patch) -> Region:
        before = [self._cells[id_] for id_ in patch.cells if id_ in self._cells]
        after = [cell for cell in patch.cells.values() if cell is not None]
        cores = [core.region for cell in (*before, *after) for core in cell.cores]
        region = union(None if patch.claims is None else patch.claims.region, *cores)
        old_claims, old_footprint = self._claims[region].copy(), self.footprint(region)
        for cells, change in ((before, -1), (after, 1)):
            for cell in cells:
                for core in cell.cores:
                    # uint16 arithmetic wraps, so that adding the largest number takes one away.
                    self._cores[core.region] += core.mask().astype(np.uint16) * np.uint16(change % (1 << 16))
        if patch.claims is not None and not is_empty(patch.claims.region):
            self._write(patch.claims)
        for id_, entry in patch.cells.items():
            self._reserved.add(id_)
            self._top_id = max(self._top_id, id_)
            if entry is None:
                self._cells.pop(id_, None)
            else:
                self._cells[id_] = entry
        if patch.marks is not None:
            if self._marks is None:
                self._marks = np.zeros(self.shape, dtype=np.uint8)
            self._marks[patch.marks.region] = patch.marks.array()
        self.revision += 1
        self._areas = None
        for watcher in list(self._watchers):
            watcher.on_claims(region, old_claims, old_footprint)
        self.last_region = union(region, None if patch.marks is None else patch.marks.region)
        return self.last_region

    def _write(self, claims: Runs) -> None:
        target, new = self._claims[claims.region], claims.array()
        rows, columns = np.nonzero(target != new)
        if not len(rows):
            return
        top, left = claims.region[0].start, claims.region[1].start
        self._tallies.count(target[rows, columns], rows + top, columns + left, -1)
        self._tallies.count(new[rows, columns], rows + top, columns + left, 1)
        target[rows, columns] = new[rows, columns]
        self._tiles.touch(rows + top, columns + left)
