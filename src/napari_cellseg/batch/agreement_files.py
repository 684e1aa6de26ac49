"""Counts by people from a table, and the report on how ours agree with them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ..imaging.errors import CellsegError
from ..imaging.writing import write_json
from .agreement import Agreement, agreement_of, band
from .diagrams import points_svg
from .html import Html, facts, paragraph, section, table, write_page

AGREEMENT_FILE = "agreement.json"
REPORT_FILE = "agreement.html"
_PEOPLE = ("people", "person_count", "manual", "true", "count_true")
_OURS = ("ours", "count")


def read_agreement(path: str | Path, counts: str | Path | None = None) -> Agreement:
    """Read counts by people, and ours.

    Parameters
    ----------
    path : path
        CSV with the columns ``image``, ``people`` and ``ours``; one row per image, or one per image and person.
    counts : path, optional
        The ``counts.csv`` of a batch: our counts are taken from there, by the image's name.

    Raises
    ------
    CellsegError
        If a file cannot be read, or a column, an image or a number is missing.
    """
    rows = _rows(path)
    people = _column(rows, path, _PEOPLE)
    if counts is None:
        ours_of, ours = {}, _column(rows, path, _OURS)
    else:
        table_of_ours = _rows(counts)
        column = _column(table_of_ours, counts, _OURS)
        ours_of, ours = {row["image"]: row[column] for row in table_of_ours if row[column]}, ""
        absent = sorted({row["image"] for row in rows} - set(ours_of))
        if absent:
            raise CellsegError(
                f"{counts} has no count for {len(absent)} image(s) of {path}, such as {absent[0]}. "
                "Segment them too, or name them alike."
            )
    return agreement_of([
        (row["image"], _number(row[people], row["image"], path),
         _number(ours_of[row["image"]] if counts else row[ours], row["image"], counts or path))
        for row in rows
    ])  # fmt: skip


def write_agreement(out: Path, agreement: Agreement) -> Path:
    """Write ``agreement.json`` and ``agreement.html`` into a folder; return the latter.

    Raises
    ------
    OutputError
        The system refused to write.
    """
    write_json(out / AGREEMENT_FILE, agreement.to_dict())
    low, high = agreement.limits
    return write_page(
        out / REPORT_FILE,
        "Counts of people and ours",
        paragraph(agreement.sentence()),
        paragraph(agreement.too_few) if agreement.too_few else Html(""),
        facts(
            [
                ("images", agreement.n),
                ("bias, cells", f"{agreement.bias:+.1f}"),
                ("95 % limits of agreement, cells", f"{low:+.1f} to {high:+.1f}"),
                *([("between people, cells", f"{agreement.between_people:.1f}")] if agreement.between_people else []),
            ]
        ),
        section("Difference by count (Bland & Altman)", agreement_svg(agreement)),
        section("A new count", *_examples(agreement)),
        section("Images", _images(agreement)),
    )


def agreement_svg(agreement: Agreement) -> Html:
    """Draw the differences over the means, with bias and limits as they grow with the count."""
    means, low, middle, high = band(agreement)
    points = {"": ((agreement.people + agreement.ours) / 2, agreement.differences)}
    curves = [(means, low, "lower limit"), (means, middle, "bias"), (means, high, "upper limit")]
    names = {"": agreement.images}
    return points_svg(points, "mean of both counts", "ours − people's", names, curves)


def _examples(agreement: Agreement) -> list[Html]:
    if agreement.too_few:
        return [paragraph(agreement.too_few)]
    typical = sorted({round(float(q)) for q in (agreement.ours.min(), *_quartiles(agreement), agreement.ours.max())})
    found = [agreement.interval(count) for count in typical]
    rows = [(i.count, f"{i.low} to {i.high}", f"{i.best:.1f}") for i in found if i is not None]
    return [
        table(("our count", "people's count, 95 %", "most likely"), rows),
        paragraph("Holds for images like these.", quiet=True),
    ]


def _quartiles(agreement: Agreement) -> list[float]:
    return [float(q) for q in np.percentile(agreement.ours, [25, 50, 75])]


def _images(agreement: Agreement) -> Html:
    order = np.argsort(-np.abs(agreement.differences), kind="stable")
    columns = (agreement.people, agreement.ours, agreement.differences)
    rows = [(agreement.images[i], *(float(column[i]) for column in columns)) for i in order]
    return table(("image", "people", "ours", "difference"), rows)


def _rows(path: str | Path) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            sample = file.read(4096)
            file.seek(0)
            # Spreadsheets of some countries write semicolons.
            delimiter = max(",;\t", key=sample.split("\n", 1)[0].count)
            rows = [
                {k: (v or "").strip() for k, v in row.items() if k} for row in csv.DictReader(file, delimiter=delimiter)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CellsegError(f"The table {path} cannot be read ({error}). Save it as CSV in UTF-8.") from error
    if not rows or "image" not in rows[0]:
        columns = ", ".join(rows[0]) if rows else "no row"
        raise CellsegError(f"The table {path} has {columns}; it needs a column image, and a row for each image.")
    return rows


def _column(rows: list[dict[str, str]], path: str | Path, names: tuple[str, ...]) -> str:
    for name in names:
        if name in rows[0]:
            return name
    raise CellsegError(
        f"The table {path} has the columns {', '.join(rows[0])}; it needs one named {names[0]} "
        f"(or {', '.join(names[1:])})."
    )


def _number(text: str, image: str, path: str | Path) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise CellsegError(
            f"{path} has '{text}' as the count of {image}; give a number, or leave the image out."
        ) from None
