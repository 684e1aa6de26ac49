"""Run-length coded regions of an image: small in memory and in a file, however large the region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..imaging.regions import Region, shape_of


@dataclass(frozen=True, eq=False)
class Runs:
    """Values of a region, as runs of equal ones in raster order.

    Attributes
    ----------
    region : tuple of slice
        (rows, columns) with plain starts and stops.
    values : numpy.ndarray
        int32, one per run.
    lengths : numpy.ndarray
        int64, pixels of each run, 1 or more; they add up to the region's area.
    """

    region: Region
    values: np.ndarray
    lengths: np.ndarray

    @classmethod
    def from_array(cls, region: Region, array: np.ndarray) -> Runs:
        """Encode an array of the region's shape."""
        (values,), lengths = run_values(array)
        return cls(region, values.astype(np.int32), lengths)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (Y, X) of the region."""
        return shape_of(self.region)

    def array(self) -> np.ndarray:
        """Values of the region, int32."""
        return np.repeat(self.values, self.lengths).reshape(self.shape)

    def mask(self) -> np.ndarray:
        """Where the values are not 0, bool."""
        return np.repeat(self.values != 0, self.lengths).reshape(self.shape)

    def to_list(self) -> list[int]:
        """Return numbers that JSON can hold: top, left, height, width, then value and length of every run."""
        rows, columns = self.region
        height, width = self.shape
        pairs = np.stack([self.values.astype(np.int64), self.lengths], axis=1)
        return [rows.start, columns.start, height, width, *pairs.reshape(-1).tolist()]

    @classmethod
    def from_list(cls, numbers: list[int], shape: tuple[int, int]) -> Runs:
        """Rebuild from `to_list`, for an image of this shape.

        Raises
        ------
        ValueError
            The numbers do not make a region within the image.
        """
        if len(numbers) < 4 or len(numbers) % 2 or not all(type(number) is int for number in numbers):
            raise ValueError("a run-length coded region is an even count of whole numbers")
        top, left, height, width = numbers[:4]
        if min(top, left, height, width) < 0 or top + height > shape[0] or left + width > shape[1]:
            raise ValueError(f"a region of {height} x {width} at {top}, {left} lies outside an image of {shape}")
        pairs = np.array(numbers[4:], dtype=np.int64).reshape(-1, 2)
        values, lengths = pairs[:, 0], pairs[:, 1]
        if (lengths < 1).any() or (lengths > height * width).any() or int(lengths.sum()) != height * width:
            raise ValueError(f"runs of {int(lengths.sum())} pixels do not fill a region of {height} x {width}")
        if np.abs(values).max(initial=0) > np.iinfo(np.int32).max:
            raise ValueError("an id is larger than 2,147,483,647")
        return cls((slice(top, top + height), slice(left, left + width)), values.astype(np.int32), lengths)


# Among the calls of a cell its class has this name, which no marker can have.
CLASS = ":class"


@dataclass(frozen=True, eq=False)
class Cell:
    """Record of an edited cell, besides its pixels.

    Attributes
    ----------
    how : str
        Last edit, such as "drawn" or "merged"; "erased" for a cell that was removed.
    cores : tuple of Runs
        Cores (not 0) of the automatic cells that it came from: no automatic cell is shown there.
    calls : mapping of str to bool or str
        By which markers the user called it positive (True) or negative, whatever is measured; under `CLASS` the name
        of the class that the user gave it.
    """

    how: str
    cores: tuple[Runs, ...] = ()
    calls: Mapping[str, bool | str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return values that JSON can hold."""
        calls = {"calls": dict(self.calls)} if self.calls else {}
        return {"how": self.how, "cores": [core.to_list() for core in self.cores], **calls}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], shape: tuple[int, int]) -> Cell:
        """Rebuild from `to_dict`; ValueError, KeyError or TypeError for anything else."""
        calls = dict(values.get("calls", {}))
        kinds = {name: str if name == CLASS else bool for name in calls}
        if not all(isinstance(name, str) and isinstance(call, kinds[name]) for name, call in calls.items()):
            raise ValueError("a call is neither true nor false, or a class has no name")
        return cls(str(values["how"]), tuple(Runs.from_list(core, shape) for core in values["cores"]), calls)


@dataclass(frozen=True, eq=False)
class Patch:
    """One edit, one undo step: the state of a region after it.

    Attributes
    ----------
    name : str
        Name of the edit, such as "merge".
    claims : Runs, optional
        Claims of a region after the edit; None if they do not change.
    cells : mapping of int to Cell or None
        Cells whose entry changes, and the new entry; None: automatic again.
    marks : Runs, optional
        Reviewed marks of a region after the edit; None if they do not change.
    renamed : mapping of int to int
        Painted ids that already belonged to another cell, and the ids that replace them.
    known : mapping of str to int
        Of corrections that were taken over: whose they are, and up to which revision; see `Corrections.known`.
    """

    name: str
    claims: Runs | None
    cells: Mapping[int, Cell | None]
    marks: Runs | None = None
    renamed: Mapping[int, int] | None = None
    known: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return values that JSON can hold."""
        return {
            "name": self.name,
            "claims": None if self.claims is None else self.claims.to_list(),
            "cells": {str(id_): None if cell is None else cell.to_dict() for id_, cell in self.cells.items()},
            "marks": None if self.marks is None else self.marks.to_list(),
            **({"known": dict(self.known)} if self.known else {}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], shape: tuple[int, int]) -> Patch:
        """Rebuild from `to_dict`; ValueError, KeyError, TypeError or AttributeError for anything else."""
        if not all(0 < int(id_) <= np.iinfo(np.int32).max for id_ in values["cells"]):
            raise ValueError("an id is not from 1 to 2,147,483,647")
        cells = {
            int(id_): None if cell is None else Cell.from_dict(cell, shape) for id_, cell in values["cells"].items()
        }
        claims, marks = (
            None if values[name] is None else Runs.from_list(values[name], shape) for name in ("claims", "marks")
        )
        return cls(str(values["name"]), claims, cells, marks, known=known_of(values.get("known")))


def known_of(values: object) -> dict[str, int]:
    """Return revisions by whose corrections they are, as a file holds them; empty for anything else."""
    pairs = values.items() if isinstance(values, dict) else ()
    return {name: number for name, number in pairs if isinstance(name, str) and type(number) is int}


def run_values(*arrays: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Values of each array at the start of every run over which none of them changes, and the runs' lengths."""
    flats = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
    size = flats[0].size
    if not size:
        return [flat[:0] for flat in flats], np.zeros(0, dtype=np.int64)
    changes = np.zeros(size, dtype=bool)
    changes[0] = True
    for flat in flats:
        changes[1:] |= flat[1:] != flat[:-1]
    starts = np.flatnonzero(changes)
    return [flat[starts] for flat in flats], np.diff(np.append(starts, size)).astype(np.int64)


def distinct(labels: np.ndarray) -> list[int]:
    """Ids above 0 that occur in labels, ascending."""
    found = np.unique(run_values(labels)[0][0])
    return found[found > 0].tolist()


def pairs_of(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of values at the same pixel of two arrays, (2, n), and how often each occurs, (n,); both int64."""
    values, lengths = run_values(first, second)
    # Values are below 2 to the power of 31: two of them make one number.
    codes, place = np.unique((values[0].astype(np.int64) << 32) + values[1], return_inverse=True)
    counts = np.bincount(place.reshape(-1), weights=lengths, minlength=len(codes))
    high = (codes + (1 << 31)) >> 32
    return np.stack([high, codes - (high << 32)]), np.rint(counts).astype(np.int64)
