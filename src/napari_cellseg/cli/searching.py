"""The commands ``search`` and ``compare-runs``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.errors import CellsegError
from ..imaging.progress import drain
from .common import add_overwrite_option, check_places
from .dataset_options import add_dataset_options, dataset_values
from .reporting import Report, StopRequest, add_report_options, run_reported
from .train_options import add_train_options, train_params
from .training import TrainText, add_data_choices, parent_model, read_parts

if TYPE_CHECKING:
    from ..training.events import Event
    from ..training.params import TrainParams
    from ..training.search import Trial


def add_search(commands: Any) -> None:
    sub = commands.add_parser("search", help="try a few settings of a training over a budget of minutes, and rank them")
    add_dataset_options(sub)
    sub.add_argument("--trials", type=int, default=6, metavar="N", help="settings to try; default: 6")
    sub.add_argument("--parent", metavar="MODEL", help="start from this model's weights")
    add_data_choices(sub)
    sub.add_argument("--kind-weight", action="append", default=[], metavar="KIND=W", help="how often a kind is drawn")
    add_report_options(sub, "stop, and keep the ranking,")
    add_train_options(sub)
    sub.set_defaults(run=run_search, minutes=20.0, resume=False)


def run_search(args: argparse.Namespace) -> int:
    """``napari-cellseg search``: train a few times, report a ranked table, write search.json."""
    return run_reported(args, SearchText, _run)


def _run(args: argparse.Namespace, report: Report, stop_request: StopRequest) -> int:
    from ..training.search import SEARCH_FILE, iter_search

    params = train_params(args)
    parent = parent_model(args, report)
    data = {**dataset_values(args), "size": args.size, "fit": args.fit or "crop"}
    training, validation, _ = read_parts(args, data, params.seed, report)
    if not args.trials > 0:
        raise CellsegError(f"{args.trials} trials were asked for; it must be at least 1.")
    steps = iter_search(
        training,
        validation,
        args.out,
        params,
        parent,
        minutes=args.minutes,
        n_trials=args.trials,
        stop=stop_request.given,
    )
    ranked = drain(steps, _reporter(params, args.trials, report, stop_request))
    report.send(
        {
            "event": "done",
            "ranking": [trial.number for trial in ranked],
            "best": str(Path(args.out) / ranked[0].folder) if ranked else None,
            "file": str(Path(args.out) / SEARCH_FILE),
            "stopped_early": stop_request.given(),
            "lines": [trial_line(trial) for trial in ranked],
        }
    )
    return 0


def _reporter(
    params: TrainParams, n_trials: int, report: Report, stop_request: StopRequest
) -> Callable[[Event | Trial], None]:
    """Return a function that reports an event of a search."""
    from ..imaging.progress import Note
    from ..training.events import TrainProgress
    from ..training.params import rounds_of
    from ..training.search import Trial, ranking, tried_values, vary

    done: list[Trial] = []
    n_total = sum(rounds_of(n_trials))
    report.send({"event": "search", "trials": n_trials, "trainings": n_total})

    def on_event(event: Event | Trial) -> None:
        if isinstance(event, TrainProgress):
            part = round(1000 * (len(done) + event.done))
            report.send({"event": "progress", "done": part, "total": 1000 * n_total})
        elif isinstance(event, Note):
            report.send({"event": "note", "text": event.text})
        elif isinstance(event, Trial):
            done.append(event)
            numbers = {"n_done": len(done), "n_total": n_total, "ranking": [trial.number for trial in ranking(done)]}
            values = {"changes": changes(event), "values": tried_values(vary(params, event.settings))}
            report.send({"event": "trial", **asdict(event), **numbers, **values})
        if report.unread:
            stop_request.give()

    return on_event


class SearchText(TrainText):
    """Lines of text and a progress bar."""

    def send(self, event: dict[str, Any]) -> None:
        """Report one event."""
        kind = event["event"]
        if kind == "search":
            self.advance(0, 1000 * event["trainings"], "per mille")
        elif kind == "progress":
            self.advance(event["done"], event["total"], "per mille")
        elif kind == "trial":
            self.write(f"{event['n_done']} of {event['n_total']}: {_line(event)}")
        elif kind == "done":
            self.close()
            best = f"ranking in {event['file']}; the best version in {event['best']}"
            self.write("", "best first:", *event["lines"], best if event["best"] else "no trial came to its end")
        else:
            super().send(event)


def changes(trial: Trial) -> str:
    """Return what a trial changed, in words."""
    changed = [
        f"{name.replace('_', ' ')} {f'x {value:g}' if isinstance(value, float) else value}"
        for name, value in trial.settings.items()
        if value not in (1.0, "as asked")
    ]
    return ", ".join(changed) or "as asked"


def trial_line(trial: Trial) -> str:
    """Return a trial as one line."""
    return _line({**asdict(trial), "changes": changes(trial)})


def _line(trial: Mapping[str, Any]) -> str:
    figures = trial["problem"] or f"F1 of cells {trial['f1']:.3f}, IoU {trial['iou']:.3f}"
    return f"settings {trial['number']}, {trial['minutes']:.1f} min: {figures}; {trial['changes']}"


def add_compare_runs(commands: Any) -> None:
    sub = commands.add_parser("compare-runs", help="put trainings side by side: figures, settings, curves")
    sub.add_argument("runs", nargs="+", metavar="DIR", help="folders that a training has left")
    sub.add_argument("--curves", metavar="PNG", help="draw their validation curves into one picture")
    add_overwrite_option(sub)
    sub.set_defaults(run=run_compare_runs)


def run_compare_runs(args: argparse.Namespace) -> int:
    """``napari-cellseg compare-runs``: print a table."""
    from ..training.comparing import run_table, summarize_run
    from ..training.curves import write_curves

    path = Path(args.curves).with_suffix(".png") if args.curves else None
    check_places(args, *([path] if path else []))
    runs = [summarize_run(folder) for folder in args.runs]
    print("\n".join(run_table(runs)))
    if path:
        names = [run.name for run in runs]
        # Folders elsewhere may have the same name.
        shown = [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names, 1)]
        write_curves(path, {n: r.history for n, r in zip(shown, runs, strict=True) if r.history is not None})
        print(f"curves in {path}")
    return 0
