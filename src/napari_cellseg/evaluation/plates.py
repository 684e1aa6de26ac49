"""Wells and conditions of a batch. Replicates are wells: cells and fields of one well are not independent."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..imaging.errors import CellsegError
from ..imaging.write.write import write_table
from ..results.counts import in_order
from ..results.origin import check_origin
from ..results.rows import BatchRow
from .conditions_table import NAMING, Conditions, read_conditions

WELLS_FILE, CONDITIONS_FILE = "wells.csv", "conditions.csv"
_IN_PLATE = re.compile(r"/?[A-Za-z]{1,2}/\d{1,2}/\w+$")


@dataclass(frozen=True, eq=False)
class Well:
    """All images of one well.

    Parameters
    ----------
    plate : str
        Folder or plate that its images lie in; empty for those that were given by themselves.
    name : str
        Such as ``A01``.
    rows : tuple of BatchRow
    about : mapping of str to str
        Its columns in the table of conditions.
    """

    plate: str
    name: str
    rows: tuple[BatchRow, ...]
    about: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def counted(self) -> tuple[BatchRow, ...]:
        """Rows that have a count."""
        return tuple(row for row in self.rows if row.has_result and row.count is not None)

    @property
    def count(self) -> int:
        """Cells in all its images."""
        return sum(row.count or 0 for row in self.counted)

    @property
    def area_mm2(self) -> float | None:
        """Area of its images in square millimetres, where sizes of pixels are known."""
        areas = [row.area_mm2 for row in self.counted]
        return None if not areas or None in areas else math.fsum(area for area in areas if area is not None)

    @property
    def condition(self) -> str:
        """Its condition in words: all columns of the table of conditions but plate, well and replicate."""
        return ", ".join(f"{text}" for name, text in self.about.items() if name not in NAMING and text)

    @cached_property
    def measures(self) -> dict[str, float]:
        """The numbers of a well: cells per image, cells per mm², and per cent of positive cells.

        Those that are not known are missing; so is the percentage of a well without cells.
        """
        found: dict[str, float] = {}
        if not self.counted:
            return found
        found["count_per_image"] = self.count / len(self.counted)
        if self.area_mm2:
            found["cells_per_mm2"] = self.count / self.area_mm2
        for name in dict.fromkeys(name for row in self.counted for name in row.positive):
            called = [row for row in self.counted if name in row.positive]
            if n := sum(row.count or 0 for row in called):
                found[f"pct_{name}"] = 100 * sum(row.positive[name] for row in called) / n
        return found


@dataclass(frozen=True, eq=False)
class Condition:
    """The wells of one condition.

    Parameters
    ----------
    name : str
    wells : tuple of Well
    """

    name: str
    wells: tuple[Well, ...]

    def values(self, measure: str) -> np.ndarray:
        """Return one value per well that has it, float64."""
        return np.array([well.measures[measure] for well in self.wells if measure in well.measures], dtype=np.float64)

    def summary(self, measure: str) -> tuple[float, float, float, float]:
        """Return mean, standard deviation and 95 % interval of the mean over wells; NaN where there are too few.

        The interval is Student's, for wells that are independent and about normally distributed.
        """
        values = self.values(measure)
        nan = math.nan
        if not values.size:
            return nan, nan, nan, nan
        mean = float(values.mean())
        if values.size < 2:
            return mean, nan, nan, nan
        from scipy.stats import t

        deviation = float(values.std(ddof=1))
        half = float(t.ppf(0.975, values.size - 1)) * deviation / math.sqrt(values.size)
        return mean, deviation, mean - half, mean + half


@dataclass(frozen=True, eq=False)
class Plates:
    """Wells, conditions, and what the user should know about them.

    Parameters
    ----------
    wells : tuple of Well
        By plate, then by row and column.
    conditions : tuple of Condition
        In the order of the table; empty without one.
    notes : tuple of str
    """

    wells: tuple[Well, ...]
    conditions: tuple[Condition, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what is known of any well."""
        return tuple(dict.fromkeys(name for well in self.wells for name in well.measures))


def measure_in_words(name: str) -> str:
    """Return a measure of `Well.measures` as diagrams name it."""
    known = {"count_per_image": "cells per image", "cells_per_mm2": "cells per mm²"}
    called = name.removeprefix("pct_").replace("_pos", "+").replace("_neg", "−").replace("_", " ")
    return known.get(name, f"% {called}")


def plates_of(rows: Iterable[BatchRow], conditions: str | Path | Conditions | None = None) -> Plates:
    """Collect the wells of a batch, and their conditions.

    Parameters
    ----------
    rows : iterable of BatchRow
        Of a folder of results; those of images that are of no well are left out.
    conditions : path or mapping, optional
        What `read_conditions` returns, or the path of its file: a CSV with a column ``well``, perhaps ``plate`` and
        ``replicate``, and one or more that make up the condition, such as ``condition`` and ``dose``.

    Raises
    ------
    CellsegError
        The table cannot be read, has no wells, names one twice or differently, or none of its wells has an image.
    """
    found: dict[tuple[str, str], list[BatchRow]] = {}
    for row in in_order(rows):
        well, _ = row.well
        if well:
            found.setdefault((_plate_of(row.image), well), []).append(row)
    if isinstance(conditions, (str, Path)):
        about, source = read_conditions(Path(conditions)), str(conditions)
    else:
        about, source = dict(conditions or {}), "the table"
    several = {plate for plate, _ in about} != {""}
    wells, missing = [], []
    for plate, well in sorted(found, key=lambda key: (key[0], _place(key[1]))):
        known = about.get((plate if several else "", well), {})
        if about and not known:
            missing.append(f"{plate}/{well}".lstrip("/"))
        wells.append(Well(plate, well, tuple(found[plate, well]), known))
    if not about:
        return Plates(tuple(wells), (), tuple(_notes(wells)))
    there = {(one.plate if several else "", one.name) for one in wells}
    absent = [f"{plate}/{well}".lstrip("/") for plate, well in about if (plate, well) not in there]
    if not there & set(about):
        raise CellsegError(
            f"None of the {len(about)} wells of {source} has an image: it names {_few(absent)}, and the images are "
            f"of {_few(missing) or 'no well'}. Compare how wells and plates are called."
        )
    notes = [*_notes(wells)]
    if missing:
        notes.append(f"Without a condition, and so in no condition: {_few(missing)}.")
    if absent:
        notes.append(f"In the table of conditions, but without an image: {_few(absent)}.")
    groups: dict[str, list[Well]] = {}
    for one in wells:
        if one.about:
            groups.setdefault(one.condition, []).append(one)
    order = list(dict.fromkeys(Well("", "", (), known).condition for known in about.values()))
    made = sorted((Condition(name, tuple(group)) for name, group in groups.items()), key=lambda c: order.index(c.name))
    if alone := [condition.name for condition in made if len(condition.wells) < 2]:
        notes.append(f"Of one well only, so that nothing is known of how wells differ: {_few(alone)}.")
    return Plates(tuple(wells), tuple(made), tuple(notes))


def write_plates(plates: Plates, out: Path, style: str | None = None, overwrite: bool = False) -> list[Path]:
    """Write ``wells.csv``, and ``conditions.csv`` where there are conditions.

    Parameters
    ----------
    plates : Plates
    out : Path
        The folder of results.
    style : str, optional
        One of `CSV_STYLES`.
    overwrite : bool
        Also replace tables of other programs.

    Raises
    ------
    OutputError
        A table of another program would be replaced, or the system refused to write.
    """
    written = [out / WELLS_FILE, *([out / CONDITIONS_FILE] if plates.conditions else [])]
    if not overwrite:
        for path in written:
            check_origin(path)
    write_table(written[0], _wells_table(plates), style or "comma")
    if plates.conditions:
        write_table(written[1], _conditions_table(plates), style or "comma")
    return written


def _wells_table(plates: Plates) -> dict[str, list[Any]]:
    wells, known = plates.wells, dict.fromkeys(name for well in plates.wells for name in well.about)
    return {
        "plate": [well.plate for well in wells],
        "well": [well.name for well in wells],
        **{name: [well.about.get(name, "") for well in wells] for name in known if name not in ("plate", "well")},
        "n_images": [len(well.counted) for well in wells],
        "n_failed": [len(well.rows) - len(well.counted) for well in wells],
        "count": [well.count for well in wells],
        "area_mm2": [well.area_mm2 for well in wells],
        **{name: [well.measures.get(name) for well in wells] for name in plates.measures},
    }


def _conditions_table(plates: Plates) -> dict[str, list[Any]]:
    made = plates.conditions
    table: dict[str, list[Any]] = {
        "name": [condition.name for condition in made],
        "n_wells": [len(condition.wells) for condition in made],
        "n_images": [sum(len(well.counted) for well in condition.wells) for condition in made],
    }
    for measure in plates.measures:
        columns = zip(*(condition.summary(measure) for condition in made), strict=True)
        for what, values in zip(("mean", "sd", "low95", "high95"), columns, strict=True):
            table[f"{what}_{measure}"] = list(values)
        table[f"n_{measure}"] = [len(condition.values(measure)) for condition in made]
    return table


def _plate_of(image: str) -> str:
    inner = _IN_PLATE.search(image)
    return image[: inner.start()] if inner else PurePosixPath(image).parent.as_posix().removeprefix(".")


def _place(well: str) -> tuple[int, str, int]:
    row, column = re.fullmatch(r"([A-Z]+)(\d+)", well).groups()  # type: ignore[union-attr]
    return len(row), row, int(column)


def _notes(wells: Sequence[Well]) -> list[str]:
    notes = []
    for well in wells:
        fields = [(row.well[1], row.page) for row in well.rows]
        if len(set(fields)) < len(fields):
            place = f"{well.plate}/{well.name}".lstrip("/")
            notes.append(f"{place} has several images of one field: are they of one plate?")
    failed = [well for well in wells if len(well.counted) < len(well.rows)]
    if failed:
        n = sum(len(well.rows) - len(well.counted) for well in failed)
        names = _few([well.name for well in failed])
        notes.append(f"Failed, and not counted: {n} image{'s' if n > 1 else ''} of {names}.")
    return notes


def _few(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
