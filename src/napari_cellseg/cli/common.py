"""What several commands share: options of a recipe, progress bars."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Generator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..imaging.errors import CellsegError
from ..imaging.progress import Progress, drain

if TYPE_CHECKING:
    from ..segmentation.options import RunOptions
    from ..segmentation.recipe import Recipe

Result = TypeVar("Result")
# A resumed run goes on as it began; only where its data lie, where it runs and how it reports may have changed.
_WITH_RESUME = {"out", "resume", "device", "report", "stop_on_eof", "command", "run", "debug"}


def add_recipe_options(sub: argparse.ArgumentParser, image: bool = True) -> None:
    from ..segmentation.options import DEVICES, RunOptions
    from ..segmentation.recipe import Recipe

    helps = {f.name: f.metadata["help"] for f in (*fields(Recipe), *fields(RunOptions))}
    sub.add_argument("--model", metavar="NAME_OR_DIR", help=f"{helps['model']}; default: cells")
    sub.add_argument("--threshold", type=float, metavar="T", help=f"{helps['threshold']}; default: the model's")
    sub.add_argument("--min-size", type=int, metavar="N", help=helps["min_size"])
    if image:
        sub.add_argument("--channel", metavar="CHANNEL", help=helps["channel"])
        sub.add_argument("--axes", metavar="AXES", help=helps["axes"])
    sub.add_argument("--device", choices=DEVICES, help=f"{helps['device']}; default: auto")
    sub.add_argument("--diameter", type=float, metavar="PX", help=helps["diameter"])
    if image:
        sub.add_argument("--grow", metavar="LENGTH", help=helps["grow"])
        sub.add_argument("--positive", metavar="MARKER", action="append", help=f"{helps['positive']}; repeatable")
        sub.add_argument("--filters", metavar="FILTER", action="append", help=f"{helps['filters']}; repeatable")
        sub.add_argument("--edges", metavar="RULE", help=f"{helps['edges']}; default: all")
    sub.add_argument("--accurate", action="store_true", default=None, help=helps["accurate"])


def add_overwrite_option(sub: argparse.ArgumentParser) -> None:
    """Add that files of others may be replaced; see `check_places`."""
    tip = "also replace files that napari-cellseg did not write"
    # Not given is None, so that a resumed run can distinguish it.
    sub.add_argument("--overwrite", action="store_true", default=None, help=tip)


def check_places(args: argparse.Namespace, *paths: str | Path) -> None:
    """Raise OutputError where a command would replace files of others; called before it does its work."""
    from ..results.origin import check_origin

    for path in () if args.overwrite else paths:
        check_origin(Path(path))


def recipe_of(args: argparse.Namespace) -> tuple[Recipe, RunOptions]:
    """Return what the options, and a recipe file where one is given, ask for: the recipe, and how it runs."""
    from ..segmentation.options import RunOptions, overridden, read_settings
    from ..segmentation.recipe import Recipe

    base = read_settings(args.recipe) if getattr(args, "recipe", None) else {}
    settings = overridden(base, {f.name: getattr(args, f.name, None) for f in (*fields(Recipe), *fields(RunOptions))})
    return Recipe.from_dict(settings), RunOptions.from_dict(settings)


def option_of(name: str) -> str:
    """Return how the option for a setting is written."""
    return f"--{name.replace('_', '-')}"


def check_resumed(args: argparse.Namespace, may_change: Collection[str]) -> None:
    """Raise CellsegError where a run is to go on otherwise than it began; `may_change` names further options."""
    if not args.out:
        raise CellsegError("Which run is to go on? Give its folder with --out.")
    allowed = _WITH_RESUME | set(may_change)
    changed = [name for name, v in vars(args).items() if name not in allowed and v is not None and v != []]
    if changed:
        options = ", ".join(map(option_of, changed))
        raise CellsegError(f"A resumed run goes on as it began, so {options} can't be given. Omit it.")


def bar_of(total: int, unit: str) -> Any:
    from tqdm import tqdm

    # disable=None shows the bar on a terminal only.
    return tqdm(total=total, unit=unit, disable=None, file=sys.stderr)


def drain_with_bar(verb: str, steps: Generator[Progress, None, Result]) -> Result:
    """Drain a generator with a progress bar on the terminal."""
    with bar_of(0, "image") as bar:
        bar.set_description(verb)

        def show(progress: Progress) -> None:
            bar.total = progress.total
            bar.update(progress.done - bar.n)

        return drain(steps, show)
