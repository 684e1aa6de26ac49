"""The commands ``search`` and ``compare-runs``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.errors import CellsegError
from .common import bar_of
from .dataset_options import add_dataset_options, dataset_values
from .reporting import StopWish
from .train_options import add_train_options, train_params
from .training import TrainText, add_data_choices, read_parts

if TYPE_CHECKING:
    from ..training.search import Trial


def add_search(commands: Any) -> None:
    sub = commands.add_parser("search", help="try a few settings of a training over a budget of minutes, and rank them")
    add_dataset_options(sub)
    sub.add_argument("--trials", type=int, default=6, metavar="N", help="settings to try; default: 6")
    sub.add_argument("--parent", metavar="MODEL", help="start from this model's weights")
    add_data_choices(sub)
    sub.add_argument("--kind-weight", action="append", default=[], metavar="KIND=W", help="how often a kind is drawn")
    add_train_options(sub)
    sub.set_defaults(run=run_search, minutes=20.0, resume=False)


def run_search(args: argparse.Namespace) -> int:
    """``napari-cellseg search``: train a few times, print a ranked table, leave search.json."""
    from ..network.versions import load_model
    from ..training.events import Note, TrainProgress
    from ..training.search import SEARCH_FILE, Trial, iter_search, rounds_of

    params = train_params(args)
    parent = load_model(args.parent) if args.parent else None
    data = {**dataset_values(args), "size": args.size, "fit": args.fit or "crop"}
    training, validation, _ = read_parts(args, data, params.seed, TrainText())
    if not args.trials > 0:
        raise CellsegError(f"{args.trials} trials were asked for; it must be at least 1.")
    wish = StopWish(on_eof=False)
    steps = iter_search(
        training, validation, args.out, params, parent, minutes=args.minutes, n_trials=args.trials, stop=wish.given
    )
    n_total = sum(rounds_of(args.trials))
    try:
        with bar_of(1000 * n_total, "per mille") as bar:
            n_done = 0
            while True:
                try:
                    event = next(steps)
                except StopIteration as stop:
                    ranked: list[Trial] = stop.value
                    break
                if isinstance(event, TrainProgress):
                    bar.update(round(1000 * (n_done + event.done)) - bar.n)
                elif isinstance(event, Note):
                    bar.write(event.text)
                elif isinstance(event, Trial):
                    n_done += 1
                    bar.write(f"{n_done} of {n_total}: {trial_line(event)}")
    finally:
        wish.forget()
    print("\nbest first:")
    for trial in ranked:
        print(trial_line(trial))
    print(f"ranking in {Path(args.out) / SEARCH_FILE}; the best version in {Path(args.out) / ranked[0].folder}"
          if ranked else "no trial came to its end")  # fmt: skip
    return 0


def trial_line(trial: Trial) -> str:
    """Return a trial as one line."""
    changed = [
        f"{name.replace('_', ' ')} {'x ' if isinstance(value, float) else ''}{value}"
        for name, value in trial.settings.items()
        if value not in (1.0, "as asked")
    ]
    figures = trial.problem or f"F1 {trial.f1:.3f}, IoU {trial.iou:.3f}"
    return f"settings {trial.number}, {trial.minutes:.1f} min: {figures}; {', '.join(changed) or 'as asked'}"


def add_compare_runs(commands: Any) -> None:
    sub = commands.add_parser("compare-runs", help="put trainings side by side: figures, settings, curves")
    sub.add_argument("runs", nargs="+", metavar="DIR", help="folders that a training has left")
    sub.add_argument("--curves", metavar="PNG", help="draw their validation curves into one picture")
    sub.set_defaults(run=run_compare_runs)


def run_compare_runs(args: argparse.Namespace) -> int:
    """``napari-cellseg compare-runs``: print a table."""
    from ..training.comparing import run_table, summarize_run
    from ..training.curves import write_curves

    runs = [summarize_run(folder) for folder in args.runs]
    print("\n".join(run_table(runs)))
    if args.curves:
        path = Path(args.curves).with_suffix(".png")
        names = [run.name for run in runs]
        # Folders elsewhere may have the same name.
        shown = [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names, 1)]
        write_curves(path, {n: r.history for n, r in zip(shown, runs, strict=True) if r.history is not None})
        print(f"curves in {path}")
    return 0
