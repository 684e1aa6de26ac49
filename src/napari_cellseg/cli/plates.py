"""The command ``wells``: wells and conditions of a folder of results."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..imaging.errors import CellsegError
from .common import add_overwrite_option


def add_wells(commands: Any) -> None:
    sub = commands.add_parser("wells", help="sum up a folder of results by wells, and by conditions")
    sub.add_argument("out", metavar="RESULTS", help="folder of results of a batch")
    sub.add_argument(
        "--conditions",
        metavar="CSV",
        help="table with a column well, perhaps plate and replicate, and others with the condition of a well",
    )
    sub.add_argument(
        "--html", action="store_true", help="also write report.html, with maps of plates and dots per well"
    )
    add_overwrite_option(sub)
    sub.set_defaults(run=run_wells)


def run_wells(args: argparse.Namespace) -> int:
    """``napari-cellseg wells``: write wells.csv and, with conditions, conditions.csv."""
    from ..results.ledger import Ledger

    out = Path(args.out)
    if not Ledger(out).rows():
        raise CellsegError(f"{out} is no folder of results. Give the --out of a batch.")
    write_what_was_found(args, out, tables=True)
    return 0


def write_what_was_found(args: argparse.Namespace, out: Path, tables: bool) -> None:
    """Write the page of a folder of results where it is asked for, and the `tables` of wells; print what is in them."""
    from ..evaluation.plates import CONDITIONS_FILE, measure_in_words, plates_of, write_plates
    from ..imaging.write.csv_style import style_of
    from ..reports.batch_report import write_report
    from ..results.counts import COUNTS_FILE, in_order
    from ..results.ledger import Ledger

    rows, overwrite = in_order(Ledger(out).rows()), bool(args.overwrite)
    plates = plates_of(rows, args.conditions)
    if tables:
        if not plates.wells:
            raise CellsegError(
                f"No image in {out} is of a well: a well is in the name of a file (A01, B2, r01c01, W0001), or in a "
                "plate in OME-Zarr."
            )
        written = write_plates(plates, out, style_of(out / COUNTS_FILE), overwrite)
        for note in plates.notes:
            print(note, file=sys.stderr)
        print(f"{len(plates.wells)} wells in {written[0]}")
        for condition in plates.conditions:
            figures = ", ".join(
                f"{condition.summary(measure)[0]:,.4g} {measure_in_words(measure)}"
                for measure in plates.measures
                if condition.values(measure).size
            )
            print(f"{condition.name}: {len(condition.wells)} wells, mean {figures}; see {CONDITIONS_FILE}")
    if args.html:
        write_report(rows, out, overwrite, plates)
