"""The table of counts: one row per image, complete on the disk after every image."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.errors import OutputError
from ..imaging.writing import write_table
from .recipe import Recipe

COUNTS_FILE = "counts.csv"
CELLS_FILE = "cells.csv"
COLUMNS = ("image", "count", "median_area_px", "threshold", "min_size", "model", "labels", "error")


@dataclass(frozen=True, eq=False)
class FileResult:
    """What became of one image: a count and a label file, or an error in plain words.

    Parameters
    ----------
    image : str
        How the image is called in the table.
    count : int or None
    median_area_px : float or None
    labels : Path or None
        The label file; None after an error.
    error : str
        Empty where all went well.
    notes : tuple of str
        What the person should know about how it was computed.
    """

    image: str
    count: int | None
    median_area_px: float | None
    labels: Path | None
    error: str = ""
    notes: tuple[str, ...] = ()


class CountsTable:
    """``counts.csv`` of a folder: rows of other images that are there already stay, a repeated image is replaced.

    Parameters
    ----------
    folder : Path
        Where the table lies.

    Raises
    ------
    OutputError
        If the file there is not such a table, or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / COUNTS_FILE
        self.rows = self._read()

    def put(self, result: FileResult, recipe: Recipe, target: Path) -> None:
        """Add an image's row and write the table.

        Parameters
        ----------
        result : FileResult
        recipe : Recipe
            The settings that made it.
        target : Path
            Where its labels are, or would have been; it tells images of equal name apart.
        """
        name = target.relative_to(self.folder).as_posix()
        row = {
            "image": result.image,
            "count": result.count,
            "median_area_px": result.median_area_px,
            "threshold": recipe.threshold,
            "min_size": recipe.min_size,
            "model": recipe.model,
            "labels": "" if result.labels is None else name,
            "error": result.error,
        }
        same = [i for i, old in enumerate(self.rows) if old["image"] == result.image and old["labels"] in ("", name)]
        if same:
            self.rows[same[0]] = row
        else:
            self.rows.append(row)
        self.write()

    def write(self) -> None:
        """Write the table, whole or not at all."""
        write_table(self.path, {name: [row[name] for row in self.rows] for name in COLUMNS})

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        try:
            with open(self.path, newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                rows: list[dict[str, Any]] = list(reader)
                names = tuple(reader.fieldnames or ())
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise OutputError(f"{self.path} cannot be read ({error}). Rename it, or choose another folder.") from error
        if names != COLUMNS:
            raise OutputError(
                f"{self.path} has the columns {', '.join(names) or 'none'}, not those of a table of counts. "
                "Rename it, or choose another folder."
            )
        return rows


def write_cells(tables: Sequence[tuple[str, Mapping[str, np.ndarray]]], path: Path) -> None:
    """Write one row per cell of all images; a column that some image lacks is empty there."""
    names = list(dict.fromkeys(column for _, table in tables for column in table))
    columns: dict[str, list[Any]] = {"image": [], **{name: [] for name in names}}
    for image, table in tables:
        n_cells = len(table["index"])
        columns["image"] += [image] * n_cells
        for name in names:
            columns[name] += list(table[name]) if name in table else [""] * n_cells
    write_table(path, columns)
