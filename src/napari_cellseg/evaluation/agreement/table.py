"""Read manual counts from a table that the user wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ...imaging.errors import CellsegError
from ...imaging.read.values.user_table import read_user_table
from ...results.combine import REGIONS_FILE
from ...results.counts import COUNTS_FILE
from ...results.rows import BatchRow
from .agreement import Agreement, agreement_of
from .of_batch import left_out_in_words

_PEOPLE = ("people", "person_count", "manual", "true", "count_true")
_AUTOMATIC = ("ours", "count")
_THOUSANDS = r"[1-9]\d{0,2}([.,])\d{3}(\1\d{3})*"
_Key = tuple[str, str, str]  # image, page and region
# Columns of counts.csv that hold for all regions of an image.
_OF_IMAGE = ("error", "recipe", "corrected")


def read_agreement(path: str | Path, counts: str | Path | None = None, of: str = "") -> Agreement:
    """Read manual counts, and automatic ones.

    Parameters
    ----------
    path : path
        CSV with the columns ``image``, ``people`` and ``ours``; one row per image, or one per image and person. With
        a column ``page`` each page of an image counts by itself, and with a column ``region`` each region. A dot or a
        comma is a decimal sign, but before three digits a comma parts thousands where commas part the columns; where
        they do not, the other numbers of the column decide (``1.200`` is 1200 beside ``1,5``, and 1.2 beside ``1.5``).
    counts : path, optional
        The ``counts.csv`` of a batch: automatic counts are taken from there, by the image's name, and its page where
        `path` has a column for it; those of regions from the ``regions.csv`` beside it. Images that were corrected
        there, or failed, are skipped.
    of : str
        Which cells were counted, such as ``GFP_pos``, ``GFP_pos_RFP_neg`` or ``class_round``: automatic ones are those
        of the column ``n_GFP_pos``, and so are manual ones where `path` has it. Empty for all cells.

    Raises
    ------
    CellsegError
        If a file cannot be read, a column, an image or a number is missing, a number can be read in two ways, or the
        batch has several counts of an image, or counts of several recipes.
    """
    given = _read(path)
    own = (f"n_{of}",) if of else ()
    people = given.column((*own, *_PEOPLE))
    if counts is None:
        automatic = given.column(_AUTOMATIC)
        rows = ((_title(given.key(row)), row) for row in given.rows)
        return agreement_of([(title, given.number(row, people), given.number(row, automatic)) for title, row in rows])
    found, skipped = _counts_of(_regions_of(Path(counts), given) if given.by_region else _read(counts), given, own)
    pairs = [(given.key(row), given.number(row, people)) for row in given.rows if given.key(row) in found]
    if len(found) < 2 and skipped:
        raise CellsegError(f"{counts} leaves {len(found)} image(s) of {path} to compare. {skipped} Take other images.")
    return replace(agreement_of([(_title(key), n, found[key]) for key, n in pairs]), left_out=skipped)


@dataclass(frozen=True)
class _Table:
    path: str | Path
    rows: list[dict[str, str]]
    decimal_signs: dict[str, set[str]]  # of each column
    by_page: bool
    by_region: bool

    def key(self, row: Mapping[str, str]) -> _Key:
        page, region = (
            row.get(name, "") if by else "" for name, by in (("page", self.by_page), ("region", self.by_region))
        )
        return row["image"], page, region

    def column(self, names: tuple[str, ...]) -> str:
        for name in names:
            if name in self.rows[0]:
                return name
        others = f" (or {', '.join(names[1:])})" if len(names) > 1 else ""
        raise CellsegError(
            f"The table {self.path} has the columns {', '.join(self.rows[0])}; it needs one named {names[0]}{others}."
        )

    def number(self, row: Mapping[str, str], column: str) -> float:
        text = row[column]
        decimal_signs = self.decimal_signs[column]
        if found := re.fullmatch(_THOUSANDS, text):
            whole, *parts = text.split(found[1])
            if len(parts) == 1 and not decimal_signs:
                raise CellsegError(
                    f"{self.path} has '{text}' as the count of {row['image']}, which may be {whole}{parts[0]} or a "
                    f"little more than {whole}. Write it without a sign for thousands, or with fewer decimals."
                )
            if found[1] not in decimal_signs:
                text = text.replace(found[1], "")
        try:
            return float(text.replace(",", "."))
        except ValueError:
            raise CellsegError(
                f"{self.path} has '{text}' as the count of {row['image']}; give a number, or remove the image."
            ) from None


def _read(path: str | Path) -> _Table:
    rows, delimiter = read_user_table(path)
    if not rows or "image" not in rows[0]:
        columns = ", ".join(rows[0]) if rows else "no row"
        raise CellsegError(f"The table {path} has {columns}; it needs a column image, and a row for each image.")
    # A program that separates columns by commas has another decimal sign.
    signs = {name: {"."} if delimiter == "," else _decimal_signs(row[name] for row in rows) for name in rows[0]}
    return _Table(path, rows, signs, "page" in rows[0], "region" in rows[0])


def _regions_of(counts: Path, people: _Table) -> _Table:
    """Return the rows of the regions beside a table of counts, with its columns about their images."""
    folder = counts.parent if counts.suffix else counts
    regions, images = _read(folder / REGIONS_FILE), _read(folder / COUNTS_FILE)
    about = {(row["image"], row.get("page", "")): row for row in images.rows}
    rows = []
    for row in regions.rows:
        of = about.get((row["image"], row.get("page", "")), {})
        rows.append({**row, **{name: of.get(name, "") for name in _OF_IMAGE}})
    # An image that failed has no regions, but is counted by people as others are.
    failed = {people.key({**row, "region": ""}): row["error"] for row in images.rows if row.get("error")}
    empty = dict.fromkeys(regions.rows[0], "")
    for row in people.rows:
        if error := failed.get(people.key({**row, "region": ""})):
            rows.append({**empty, **row, **dict.fromkeys(_OF_IMAGE, ""), "error": error})
    return replace(regions, rows=rows)


def _decimal_signs(texts: Iterable[str]) -> set[str]:
    """Return the decimal signs of the numbers in which they cannot separate thousands."""
    found = (re.fullmatch(r"\d*([.,])\d+", text) for text in texts if not re.fullmatch(_THOUSANDS, text))
    return {number[1] for number in found if number}


def _title(key: _Key) -> str:
    return " ".join(part for part in key if part)


def _counts_of(automatic: _Table, people: _Table, own: tuple[str, ...]) -> tuple[dict[_Key, float], str]:
    """Return the automatic counts of manually counted images, and a sentence on the skipped ones."""
    column = automatic.column(own or _AUTOMATIC)
    rows: dict[_Key, list[BatchRow]] = {people.key(row): [] for row in people.rows}
    for line in automatic.rows:
        key = people.key(line)
        if key in rows:
            rows[key].append(_batch_row(automatic, line, column))
    for key, found in rows.items():
        if len(found) > 1:
            raise _several(automatic, people, key, found)
    only = {key: found[0] for key, found in rows.items() if found}
    # Cells of an image that lacks a marker's channel are counted, and not called.
    uncalled = [row for row in only.values() if own and not row.error and row.count is None]
    absent = sorted(
        _title(key) for key in rows if key not in only or not (own or only[key].error or only[key].count is not None)
    )
    if absent:
        raise CellsegError(
            f"{automatic.path} has no count for {len(absent)} image(s) of {people.path}, such as {absent[0]}. "
            "Segment them too, or name them alike."
        )
    counted = {key: row for key, row in only.items() if row.has_result and row.count is not None}
    by_model = {key: row for key, row in counted.items() if not row.corrected}
    recipes = {row.recipe for row in by_model.values()}
    if len(recipes) > 1:
        raise CellsegError(
            f"{automatic.path} has counts of {len(recipes)} recipes (models or settings) for these images, and each "
            "agrees with people in its own way. Segment all of them again with one recipe, or remove the others."
        )
    skipped = left_out_in_words(
        {
            "corrected manually": len(counted) - len(by_model),
            "that failed": sum(bool(row.error) for row in only.values()),
            "whose cells were not called": len(uncalled),
        }
    )
    return {key: float(row.count or 0) for key, row in by_model.items()}, skipped


def _batch_row(table: _Table, line: Mapping[str, str], column: str) -> BatchRow:
    error, count = line.get("error", ""), None
    if line[column]:
        count = table.number(line, column)
        if not count.is_integer():
            raise CellsegError(f"{table.path} has {count:g} cells in {line['image']}; a batch counts whole ones.")
    return BatchRow(
        line["image"],
        line.get("page", ""),
        "failed" if error else "done",
        count=None if count is None else int(count),
        error=error,
        recipe=line.get("recipe", ""),
        corrected=line.get("corrected") == "yes",
    )


def _several(automatic: _Table, people: _Table, key: _Key, found: list[BatchRow]) -> CellsegError:
    pages = [row.page for row in found]
    if not people.by_page and len(set(pages)) > 1:
        return CellsegError(
            f"{automatic.path} has {len(found)} counts of {key[0]}, one for each page (such as {pages[0]}). Give "
            f"{people.path} a column page, and a row for each page that was counted."
        )
    return CellsegError(
        f"{automatic.path} has {len(found)} counts of {_title(key)}, and it is unknown which of them is meant. Keep "
        "one of these rows, or segment images of one name into folders of their own."
    )
