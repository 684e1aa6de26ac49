"""The report of a batch: a contact sheet, the counts, what stands out and what failed, in one HTML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from ..evaluation.outliers import LEAST, StandOut, stand_out
from ..evaluation.plates import Plates, plates_of
from ..imaging.read.values.json_file import values_if_any
from ..results.equal_values import with_equal_noted
from ..results.rows import BatchRow
from .html import Html, facts, figure, gallery, paragraph, section, table, tag, write_page
from .plate_diagrams import condition_parts, plate_parts
from .svg import histogram_svg

REPORT_FILE = "report.html"
# Each has some ten kilobytes: a page with more of them is slow to open.
MOST_PICTURES = 600
_MOST_LINES = 200


def write_report(rows: Sequence[BatchRow], out: Path, overwrite: bool = False, plates: Plates | None = None) -> Path:
    """Write ``report.html`` into a folder of results.

    It holds all that it shows and loads nothing, so that it can be passed on; only a click on a picture, which opens
    the overlay where there is one, needs the folder.

    Parameters
    ----------
    rows : sequence of BatchRow
        In the order in which images are listed.
    out : Path
        The folder of results; thumbnails and ``recipe.json`` are read from there, and may be missing.
    plates : Plates, optional
        With the conditions of its wells; by default the wells alone, where images are of wells.
    overwrite : bool
        Also replace a page that this package did not write.

    Returns
    -------
    Path

    Raises
    ------
    OutputError
        There is a page of that name that this package did not write, or the system refused to write.
    """
    rows = with_equal_noted(rows)
    odd, plates = stand_out(rows), plates_of(rows) if plates is None else plates
    done = [row for row in rows if row.has_result]
    return write_page(
        out / REPORT_FILE,
        f"{_n(len({row.stem or row.image for row in rows}), 'image')} in {out.absolute().name}",
        _overview(rows, done),
        section("Failed", _failures(rows)),
        section("Plate", *plate_parts(plates)),
        section("Conditions", *condition_parts(plates)),
        section("Wells", _sentences(plates.notes)),
        section("Worth a look", *_worth_a_look(odd, done, out)),
        section("Distribution", *_distributions(done)),
        section("Contact sheet", *_contact_sheet(done, odd, out)),
        section("Notes", _notes(rows)),
        section("How it was made", *_provenance(done, out)),
        overwrite=overwrite,
    )


def _overview(rows: Sequence[BatchRow], done: Sequence[BatchRow]) -> Html:
    counts = np.array([row.count for row in done if row.count is not None])
    states = Counter(row.state for row in rows)
    corrected = sum(row.corrected for row in done)
    doubts = [row.doubt for row in done if row.doubt is not None]
    pairs: list[tuple[str, object]] = [("with a result", f"{len(done):,}")]
    if counts.size:
        pairs += [
            ("cells in all", f"{int(counts.sum()):,}"),
            ("cells per image (median)", f"{float(np.median(counts)):,g}"),
            ("fewest and most", f"{counts.min():,} – {counts.max():,}"),
        ]
    if doubts:
        pairs.append(("mean doubt per cell", f"{float(np.mean(doubts)):.0%}"))
    if corrected:
        pairs.append(("corrected manually", f"{corrected:,}"))
    if states["failed"]:
        pairs.append(("failed", tag("span", f"{states['failed']:,}", class_="alarm")))
    if undone := states["waiting"] + states["running"]:
        pairs.append(("not done yet", f"{undone:,}"))
    return facts(pairs)


def _sentences(notes: Sequence[str]) -> Html | None:
    return Html("".join(paragraph(note) for note in notes)) if notes else None


def _failures(rows: Sequence[BatchRow]) -> Html | None:
    failed = [row for row in rows if row.state == "failed"]
    if not failed:
        return None
    return Html(table(("image", "why"), ((row.title, row.error) for row in failed[:_MOST_LINES])) + _more(failed))


def _worth_a_look(odd: Sequence[StandOut], done: Sequence[BatchRow], out: Path) -> Iterable[Html]:
    if len(done) < LEAST:
        if done:
            yield paragraph(f"With fewer than {LEAST} images it is unknown which of them stand out.", quiet=True)
        return
    if not odd:
        yield paragraph("No image stands out by its count, the size of its cells or the doubt about them.")
        return
    yield paragraph("Far from the median of all images, by more than chance makes of an image with so few cells:")
    yield gallery(_figure(one.row, out, one.reason) for one in odd[:_MOST_LINES])
    yield _more(odd)


def _distributions(done: Sequence[BatchRow]) -> Iterable[Html]:
    counts = [row.count for row in done if row.count is not None]
    if not counts:
        return
    middle = float(np.median(counts))
    yield histogram_svg(counts, "cells per image", mark=(middle, f"median {middle:,g}"))
    known = [row for row in done if row.median_area_px]
    if not known:
        return
    areas, unit = [float(row.median_area_px or 0) for row in known], "px"
    if all(row.pixel_area_um2 for row in known):
        areas, unit = [a * float(row.pixel_area_um2 or 0) for a, row in zip(areas, known, strict=True)], "µm²"
    middle = float(np.median(areas))
    yield histogram_svg(areas, f"median area of the cells of an image ({unit})", mark=(middle, f"median {middle:,.4g}"))


def _contact_sheet(done: Sequence[BatchRow], odd: Sequence[StandOut], out: Path) -> Iterable[Html]:
    if not done:
        return
    flagged = {one.row.key: one.reason for one in odd}
    shown = _chosen(done, set(flagged))
    if len(shown) < len(done):
        yield paragraph(
            f"{len(shown):,} of {len(done):,} images: all that stand out (up to {MOST_PICTURES}), and others at equal "
            "steps. counts.csv lists every image.",
            quiet=True,
        )
    yield gallery(_figure(row, out, flagged.get(row.key, "")) for row in shown)


def _chosen(done: Sequence[BatchRow], flagged: Collection[tuple[str, str]]) -> list[BatchRow]:
    """Return the rows that have room on the sheet, in their order."""
    if len(done) <= MOST_PICTURES:
        return list(done)
    first = [i for i, row in enumerate(done) if row.key in flagged][:MOST_PICTURES]
    taken = set(first)
    rest = [i for i in range(len(done)) if i not in taken]
    steps = np.linspace(0, len(rest) - 1, MOST_PICTURES - len(first)).round().astype(int)
    return [done[i] for i in sorted({*first, *(rest[step] for step in steps.tolist())})]


def _figure(row: BatchRow, out: Path, reason: str) -> Html:
    caption: list[object] = [tag("b", row.title), Html("<br>"), _n(row.count or 0, "cell")]
    if row.corrected:
        caption.append(", corrected manually")
    if reason:
        caption += [Html("<br>"), tag("span", reason, class_="alarm")]
    overlay = row.files.get("overlay")
    href = None if overlay is None else quote(overlay.encode("utf-8", "surrogateescape"))
    name = f"{row.title} with the outlines of {_n(row.count or 0, 'cell')}"
    return figure(_picture(row, out), *caption, alt=name, href=href, flagged=bool(reason))


def _picture(row: BatchRow, out: Path) -> bytes | None:
    path = row.file(out, "thumbnail")
    try:
        return None if path is None else path.read_bytes()
    except OSError:  # a report without one picture is better than none
        return None


def _notes(rows: Sequence[BatchRow]) -> Html | None:
    notes: dict[str, list[str]] = {}
    for row in rows:
        for note in row.notes:
            notes.setdefault(note, []).append(row.title)
    if not notes:
        return None
    lines = [(note, names[0] if len(names) == 1 else f"{len(names):,} images") for note, names in notes.items()]
    return Html(table(("note", "where"), lines[:_MOST_LINES]) + _more(lines))


def _provenance(done: Sequence[BatchRow], out: Path) -> Iterable[Html]:
    used = Counter((row.model, row.threshold, row.model_sha256, row.recipe) for row in done)
    sizes: dict[str, set[int]] = {}
    for row in done:
        sizes.setdefault(row.recipe, set()).update(() if row.min_size is None else (row.min_size,))
    if used:
        rows = [
            (Path(model).name, threshold, _range(sizes[recipe]), sha256[:12], recipe[:12], n)
            for (model, threshold, sha256, recipe), n in used.most_common(_MOST_LINES)
        ]
        header = ("model", "threshold", "smallest (px)", "weights (SHA-256)", "recipe (SHA-256)", "images")
        yield table(header, rows)
    about = _read_recipe(out)
    if about.get("recipe"):
        pairs = [(name, _plain(value)) for name, value in about["recipe"].items() if value is not None]
        yield table(("setting", "value"), pairs, "The recipe of the last run, recipe.json")
    if about.get("versions"):
        yield paragraph(", ".join(f"{name} {number}" for name, number in about["versions"].items()), quiet=True)


def _range(sizes: set[int]) -> str:
    """Return the smallest sizes of the images, which differ where they fit the cells."""
    ends = sorted({min(sizes), max(sizes)}) if sizes else []
    return " to ".join(map(str, ends))


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _read_recipe(out: Path) -> dict[str, Any]:
    about = values_if_any(out / "recipe.json")
    return {name: value for name, value in about.items() if isinstance(value, dict)}


def _more(listed: Sequence[object]) -> Html:
    rest = len(listed) - _MOST_LINES
    return paragraph(f"And {rest:,} more: see counts.csv.", quiet=True) if rest > 0 else Html("")


def _n(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
