"""The commands ``demo`` and ``doctor``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..imaging.errors import CellsegError
from .common import add_overwrite_option


def add_demo(commands: Any) -> None:
    sub = commands.add_parser("demo", help="open napari on a sample image, segmented by the bundled model")
    sub.add_argument("--out", default="cellseg-demo", metavar="DIR", help="folder for results where there is no screen")
    sub.add_argument("--no-window", action="store_true", help="save a screenshot and results even if there is a screen")
    add_overwrite_option(sub)
    sub.set_defaults(run=run_demo)


def run_demo(args: argparse.Namespace) -> int:
    """``napari-cellseg demo``: a window where there is a screen, else files from a virtual one."""
    from ..gui.menus.display import has_screen, virtual_display

    out = Path(args.out)
    if has_screen():
        return _open_demo(out, not args.no_window, bool(args.overwrite))
    with virtual_display():
        return _open_demo(out, False, bool(args.overwrite))


def _open_demo(out: Path, show: bool, overwrite: bool) -> int:
    try:
        from ..gui.menus.demo import run_demo as open_window
    except ModuleNotFoundError as error:
        raise CellsegError(
            f'The demo opens a window, and {error.name} is not installed. Run: pip install "napari-cellseg[all]"'
        ) from error
    demo = open_window(out, show=show, overwrite=overwrite)
    if demo is None:
        return 0
    print(f"screenshot  {demo.screenshot}\nlabels      {demo.labels}\ncounts      {demo.counts}\n{demo.count} cells")
    return 0


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
