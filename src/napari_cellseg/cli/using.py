"""The commands ``segment``, ``demo`` and ``models``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..imaging.errors import CellsegError
from .common import add_recipe_options, bar_of, recipe_of


def add_segment(commands: Any) -> None:
    sub = commands.add_parser("segment", help="segment images or folders of images")
    sub.add_argument("input", nargs="+", metavar="INPUT", help="image file or folder")
    sub.add_argument("--out", required=True, metavar="DIR", help="folder for labels, counts.csv and recipe.json")
    sub.add_argument("--recipe", metavar="FILE", help="recipe.json of an earlier run; the options below override it")
    add_recipe_options(sub)
    sub.add_argument("--pattern", metavar="GLOB", help="only files of a folder that match, such as '*.tif'")
    sub.add_argument("--no-subfolders", action="store_true", help="do not look in the folders of a folder")
    sub.add_argument("--overwrite", action="store_true", help="also replace label files that a person made")
    sub.add_argument("--cells", action="store_true", help="also write cells.csv, one row per cell")
    sub.set_defaults(run=run_segment)


def run_segment(args: argparse.Namespace) -> int:
    """``napari-cellseg segment``: 1 if any image failed, after doing the others."""
    from ..batch.counts import FileResult
    from ..batch.folder import iter_segment_files
    from ..imaging.reading import find_images

    files = find_images(args.input, pattern=args.pattern, recursive=not args.no_subfolders)
    recipe = recipe_of(args)
    n_failed = n_cells = 0
    with bar_of(len(files), "image") as bar:
        for step in iter_segment_files(files, Path(args.out), recipe, args.cells, args.overwrite):
            if isinstance(step, FileResult):
                bar.update()
                for note in step.notes:
                    bar.write(f"{step.image}: {note}", file=sys.stderr)
                n_cells += step.count or 0
                if step.error:
                    n_failed += 1
                    bar.write(f"{step.image}: {step.error}", file=sys.stderr)
                else:
                    bar.write(f"{step.image}: {step.count} cells")
            else:
                bar.set_postfix_str(f"{step.message} {step.fraction:.0%}" if step.total else step.message)
    print(f"{len(files) - n_failed} of {len(files)} images, {n_cells} cells; results in {args.out}")
    return 1 if n_failed else 0


def add_demo(commands: Any) -> None:
    sub = commands.add_parser("demo", help="open napari on a sample image, segmented by the bundled model")
    sub.add_argument("--out", default="cellseg-demo", metavar="DIR", help="folder for results where there is no screen")
    sub.add_argument("--no-window", action="store_true", help="save a screenshot and results even if there is a screen")
    sub.set_defaults(run=run_demo)


def run_demo(args: argparse.Namespace) -> int:
    """``napari-cellseg demo``: a window where there is a screen, else files from a virtual one."""
    from ..gui.display import has_screen, virtual_display

    out = Path(args.out)
    if has_screen():
        return _open_demo(out, show=not args.no_window)
    with virtual_display():
        return _open_demo(out, show=False)


def _open_demo(out: Path, show: bool) -> int:
    try:
        from ..gui.demo import run_demo as open_window
    except ModuleNotFoundError as error:
        raise CellsegError(
            f'The demo opens a window, and {error.name} is not installed. Run: pip install "napari-cellseg[all]"'
        ) from error
    demo = open_window(out, show=show)
    if demo is None:
        return 0
    print(f"screenshot  {demo.screenshot}\nlabels      {demo.labels}\ncounts      {demo.counts}\n{demo.count} cells")
    return 0


def add_models(commands: Any) -> None:
    sub = commands.add_parser("models", help="list, show or import models")
    sub.add_argument("name", nargs="?", help="show this model in full")
    sub.add_argument("--import", dest="source", metavar="PATH", help="import a model folder or a zip of one")
    sub.set_defaults(run=run_models)


def run_models(args: argparse.Namespace) -> int:
    """``napari-cellseg models``."""
    import json

    from ..network.importing import import_model
    from ..network.versions import list_models, load_model

    if args.source:
        model = import_model(args.source, args.name)
        print(f"imported {model.name} into {model.path}")
        return 0
    if args.name:
        model = load_model(args.name)
        settings = {
            "network": model.config.to_dict(),
            "threshold": model.threshold,
            "min_size": model.min_size,
        }
        details = {**settings, "training": dict(model.training), "metrics": dict(model.metrics)}
        print(f"{model.name}: {model.path}\n{json.dumps(details, indent=1)}")
        return 0
    for model in list_models():
        origin = "bundled" if model.bundled else f"from {model.parent}" if model.parent else "own"
        try:
            figure = f"AP50 {model.metrics['all']['ap_mean']['0.50']:.3f} on validation images"
        except (KeyError, TypeError, ValueError):
            figure = "not evaluated"
        print(f"{model.name}\t{origin}\tthreshold {model.threshold:g}, min_size {model.min_size} px\t{figure}")
    return 0
