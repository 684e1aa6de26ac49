"""The command ``doctor``."""

from __future__ import annotations

import argparse
from typing import Any


def add_doctor(commands: Any) -> None:
    sub = commands.add_parser(
        "doctor", help="look whether this installation works: versions, devices, readers, models, a test segmentation"
    )
    sub.set_defaults(run=run_doctor)


def run_doctor(args: argparse.Namespace) -> int:
    """``napari-cellseg doctor``: 1 if anything is wrong."""
    from ..evaluation.doctor import examine

    n_wrong = 0
    for finding in examine():
        print(finding, flush=True)
        n_wrong += finding.wrong
    print("\nAll is well." if not n_wrong else f"\n{n_wrong} problem(s), see above.")
    return 1 if n_wrong else 0
