"""State of a segmentation block by block on the disk, from which a stopped run is resumed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.read.values.json_file import values_if_any
from ..imaging.read.values.json_types import check_types, parse_json
from ..imaging.write.atomic import atomic_path, make_folder
from ..imaging.write.jsonable import jsonable
from ..imaging.write.write import write_json
from ..imaging.write.zarr_labels import writing
from ..results.ledger import FOLDER

PLACE = f"{FOLDER}/blocks"
_VERSION = 2


@dataclass(frozen=True)
class _Line:
    """A line of ``blocks.jsonl``: areas in pixels of a block's cells, the length of the table with them, and more."""

    areas: list[int]
    bytes: int
    counted: dict[str, Any]
    in_regions: dict[str, list[int]]


class MosaicWork:
    """Folder of one image under way: what holds for all its blocks, and a line for every block that is finished.

    Blocks are finished in their order, and ids are given in theirs: an id above `n_cells` in the labels is of a block
    that was never finished, and means nothing.

    Parameters
    ----------
    out : Path
        Folder of the results.
    stem : str
        The image's.
    key : mapping
        What decides the result: what was begun with another key is thrown away.

    Attributes
    ----------
    begun : dict or None
        What was found out about the whole image, once that is done.
    n_blocks, n_cells : int
        That are finished.
    numbers : dict of str to int
        How many of the cells are positive, and of each class.
    in_regions : dict of str to list of int
        One number per region: its pixels, cells and positive cells.
    about : dict
        Of the last block: `notes` on why something was not counted, and `classes`.

    Raises
    ------
    OutputError
        The system refused to write.
    """

    def __init__(self, out: Path, stem: str, key: Mapping[str, Any]) -> None:
        # The suffix keeps it apart from the folder of other images.
        self.folder = out / PLACE / f"{stem}.work"
        self._key = json.loads(json.dumps({"version": _VERSION, **jsonable(key)}))
        self.begun: dict[str, Any] | None = None
        self._forget()
        state = self._state()
        if state is None or state.get("key") != self._key:
            self.begin_anew()
            return
        self.begun = state["begun"]
        self._recover()
        if self.n_blocks and (not self.labels.exists() or self.cells.stat().st_size < self._n_bytes):
            # The run was killed between publishing the results and deleting this folder.
            self.begin_anew()

    @property
    def labels(self) -> Path:
        """Folder of the labels."""
        return self.folder / "labels.ome.zarr"

    @property
    def tiles(self) -> Path:
        """Folder for the network's maps."""
        return self.folder / "tiles"

    @property
    def cells(self) -> Path:
        """Table of the cells of all finished blocks."""
        return self.folder / "cells.csv"

    @property
    def areas(self) -> np.ndarray:
        """Areas in pixels of all cells so far, int64."""
        return np.array(self._areas, np.int64)

    def begin(self, found: Mapping[str, Any]) -> None:
        """Record what was found out about the whole image."""
        self.begun = json.loads(json.dumps(jsonable(found)))
        write_json(self.folder / "state.json", {"key": self._key, "begun": self.begun})

    def finish_block(self, areas: np.ndarray, rows: str, about: Mapping[str, Any]) -> None:
        """Record that the next block is finished, after its labels were written.

        Parameters
        ----------
        areas : numpy.ndarray
            In pixels, of its cells, whose ids follow those of the blocks before.
        rows : str
            Of the table of cells, each with its end of line.
        about : mapping
            See `measuring.Measured.about`.
        """
        with writing(self.cells):
            _append(self.cells, rows.encode())
            n_bytes = self._n_bytes + len(rows.encode())
            line = {"areas": areas.tolist(), "bytes": n_bytes, **jsonable(about)}
            _append(self.folder / "blocks.jsonl", (json.dumps(line) + "\n").encode())
        self._take(line)

    def overview(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return the overview of the plane, which is filled block by block."""
        try:
            return np.load(self._overview, allow_pickle=False)
        except (OSError, ValueError):
            return np.zeros(shape, dtype)

    def keep_overview(self, overview: np.ndarray) -> None:
        """Save the overview of the plane as far as it is filled."""
        with atomic_path(self._overview) as temporary:
            np.save(temporary, overview, allow_pickle=False)

    @property
    def _overview(self) -> Path:
        return self.folder / "overview.npy"

    def begin_anew(self) -> None:
        """Discard all finished blocks."""
        self.throw_away()
        make_folder(self.folder)
        self.begun = None
        self._forget()

    def _forget(self) -> None:
        self.n_blocks = self.n_cells = self._n_bytes = 0
        self._areas: list[int] = []
        self.numbers: dict[str, int] = {}
        self.in_regions: dict[str, list[int]] = {}
        self.about: Mapping[str, Any] = {}

    def throw_away(self) -> None:
        """Delete everything."""
        with writing(self.folder):
            if self.folder.exists():
                shutil.rmtree(self.folder)

    def _state(self) -> dict[str, Any] | None:
        state = values_if_any(self.folder / "state.json")
        return state if isinstance(state.get("begun"), dict) else None

    def _recover(self) -> None:
        """Read the complete lines, and cut off the rest of the files that no line describes."""
        path = self.folder / "blocks.jsonl"
        if not path.exists():
            path.touch()
        n_bytes = 0
        with path.open("rb") as file:
            for raw in file:
                try:
                    line = parse_json(raw)
                    check_types(_Line, line)
                    whole = raw.endswith(b"\n") and min(line["areas"], default=0) >= 0 <= line["bytes"]
                except (ValueError, KeyError, AttributeError, TypeError):
                    whole = False
                if not whole:
                    break
                self._take(line)
                n_bytes += len(raw)
        with writing(self.folder):
            os.truncate(path, n_bytes)
            self.cells.touch()
            if self.cells.stat().st_size > self._n_bytes:
                os.truncate(self.cells, self._n_bytes)

    def _take(self, line: Mapping[str, Any]) -> None:
        self.n_blocks += 1
        self._areas += line["areas"]
        self.n_cells = len(self._areas)
        self._n_bytes = line["bytes"]
        self.about = line["counted"]
        for name, n in self.about["numbers"].items():
            self.numbers[name] = self.numbers.get(name, 0) + n
        for name, of in line["in_regions"].items():
            before = self.in_regions.get(name, [0] * len(of))
            self.in_regions[name] = [a + b for a, b in zip(before, of, strict=True)]


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
