"""The report on the agreement of automatic counts with manual ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..evaluation.agreement.agreement import Agreement, band
from ..imaging.write.write import write_json
from ..results.origin import check_origin
from .diagrams import Curve, Points, points_frame, points_svg
from .html import Html, facts, paragraph, section, table, write_page
from .svg import HEIGHT, WIDTH, Frame

AGREEMENT_FILE = "agreement.json"
REPORT_FILE = "agreement.html"


def write_agreement(out: Path, agreement: Agreement, overwrite: bool = False) -> Path:
    """Write ``agreement.json`` and ``agreement.html`` into a folder; return the latter.

    Raises
    ------
    OutputError
        There are files of these names that this package did not write (unless `overwrite`), or the system refused to
        write.
    """
    for name in () if overwrite else (AGREEMENT_FILE, REPORT_FILE):
        check_origin(out / name)
    write_json(out / AGREEMENT_FILE, agreement.to_dict())
    low, high = agreement.limits
    return write_page(
        out / REPORT_FILE,
        "Manual and automatic counts",
        paragraph(agreement.sentence()),
        *(paragraph(text) for text in (agreement.left_out, agreement.too_few) if text),
        facts(
            [
                ("images", agreement.n),
                ("bias, cells", f"{agreement.bias:+.1f}"),
                ("95 % limits of agreement, cells", f"{low:+.1f} to {high:+.1f}"),
                *(
                    [("between observers, cells", f"{agreement.between_people:.1f}")]
                    if agreement.between_people
                    else []
                ),
            ]
        ),
        section("Difference by count (Bland & Altman)", agreement_svg(agreement)),
        section("A new count", *_examples(agreement)),
        section("Images", _images(agreement)),
        overwrite=overwrite,
    )


def agreement_svg(agreement: Agreement, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Html:
    """Draw the differences over the means, with bias and limits as they grow with the count."""
    points, curves = _drawn(agreement)
    return points_svg(
        points,
        "mean of both counts",
        "automatic − manual",
        {"": agreement.images},
        curves,
        frame=agreement_frame(agreement, size),
    )


def agreement_frame(agreement: Agreement, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Frame:
    """Return the axes of that diagram: means to the right, differences upwards."""
    return points_frame(*_drawn(agreement), size)


def _drawn(agreement: Agreement) -> tuple[Points, list[Curve]]:
    means, low, middle, high = band(agreement)
    points = {"": ((agreement.people + agreement.automatic) / 2, agreement.differences)}
    return points, [(means, low, "lower limit"), (means, middle, "bias"), (means, high, "upper limit")]


def _examples(agreement: Agreement) -> list[Html]:
    if agreement.too_few:
        return [paragraph(agreement.too_few)]
    typical = sorted(
        {round(float(q)) for q in (agreement.automatic.min(), *_quartiles(agreement), agreement.automatic.max())}
    )
    found = [agreement.interval(count) for count in typical]
    rows = [(i.count, f"{i.low} to {i.high}", f"{i.best:.1f}") for i in found if i is not None]
    return [
        table(("automatic count", "manual count, 95 %", "most likely"), rows),
        paragraph("Holds for images like these.", quiet=True),
    ]


def _quartiles(agreement: Agreement) -> list[float]:
    return [float(q) for q in np.percentile(agreement.automatic, [25, 50, 75])]


def _images(agreement: Agreement) -> Html:
    order = np.argsort(-np.abs(agreement.differences), kind="stable")
    columns = (agreement.people, agreement.automatic, agreement.differences)
    rows = [(agreement.images[i], *(float(column[i]) for column in columns)) for i in order]
    return table(("image", "manual", "automatic", "difference"), rows)
