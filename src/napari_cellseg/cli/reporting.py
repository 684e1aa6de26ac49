"""How a long command reports what it does, in text or as JSON lines, and notices that it should stop."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..imaging.errors import CellsegError
from ..imaging.progress import drain
from ..imaging.write.jsonable import jsonable

if TYPE_CHECKING:
    from ..evaluation.make_version import Made

STEPS_PER_SECOND = 5
TITLES = {"f1": "F1 .5", "ap50": "AP .5", "ap": "AP .5-.9", "count_mape": "count error"}


class StopRequest:
    """Whether the run should end: its input ended, or the system sent a signal.

    Parameters
    ----------
    on_eof : bool
        Whether the end of the input ends the run.
    """

    def __init__(self, on_eof: bool) -> None:
        self._given, self._at_once = threading.Event(), threading.Event()
        if on_eof:
            threading.Thread(target=self._wait_for_eof, daemon=True).start()
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._on_terminate)
            self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._on_interrupt)

    def given(self) -> bool:
        """Whether to stop learning."""
        return self._given.is_set()

    def at_once(self) -> bool:
        """Whether to skip the comparison too."""
        return self._at_once.is_set()

    def give(self) -> None:
        """Stop learning."""
        self._given.set()

    def forget(self) -> None:
        """Restore the signal handlers that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _wait_for_eof(self) -> None:
        # Not sys.stdin: its lock, held here while Python ends, would abort the program.
        try:
            while os.read(0, 4096):
                pass
        except OSError:
            pass
        self.give()

    def _on_terminate(self, *_: object) -> None:
        self._at_once.set()
        self._given.set()

    def _on_interrupt(self, *_: object) -> None:
        if self._given.is_set():
            raise KeyboardInterrupt
        self._given.set()


def add_report_options(sub: argparse.ArgumentParser, on_eof: str) -> None:
    """Add how a long command reports and when it stops; `on_eof`: what it does when its input ends."""
    sub.add_argument("--report", choices=("text", "jsonl"), default="text", help="jsonl: one JSON object per line")
    sub.add_argument("--stop-on-eof", action="store_true", help=f"{on_eof} when the input ends")


class Report(ABC):
    """Where events go."""

    unread = False

    @abstractmethod
    def send(self, event: dict[str, Any]) -> None:
        """Report one event."""


def run_reported(
    args: argparse.Namespace, text: Callable[[], Report], run: Callable[[argparse.Namespace, Report, StopRequest], int]
) -> int:
    """Run a long command with the report that was asked for, errors included; return its exit status.

    Parameters
    ----------
    args : argparse.Namespace
        With ``report`` (``'text'`` or ``'jsonl'``) and ``stop_on_eof``.
    text : callable
        Makes the report in text.
    run : callable
        The command itself.
    """
    report = JsonReport() if args.report == "jsonl" else text()
    stop_request = StopRequest(args.stop_on_eof)
    try:
        return run(args, report, stop_request)
    except CellsegError as error:
        if args.report != "jsonl":
            raise
        report.send({"event": "error", "message": str(error)})
        return 1
    finally:
        stop_request.forget()


def send_all(
    steps: Generator[Any, None, Any],
    report: Report,
    stop_request: StopRequest,
    send: Callable[[Report, Any], None] | None = None,
) -> Any:
    """Drain a generator of events, report them, and return its result.

    Parameters
    ----------
    steps : generator
    report : Report
    stop_request : StopRequest
        Given when the report is not read any more.
    send : callable, optional
        Reports one event; see :func:`send_event`.
    """

    def on_event(event: Any) -> None:
        (send or send_event)(report, event)
        if report.unread:
            stop_request.give()

    return drain(steps, on_event)


def send_made(report: Report, out: Path, made: Made, **more: Any) -> None:
    """Report the end of a training: the version that it made, and whether it can go on."""
    from ..training.runs import CHECKPOINT_FILE

    version = str(out) if made.version is not None else None
    resumable = (out / CHECKPOINT_FILE).is_file()
    early = made.trained.stopped_early
    report.send({"event": "done", "version": version, "stopped_early": early, "resumable": resumable, **more})


def send_event(report: Report, event: Any) -> None:
    """Report an event of a training, or a comparison."""
    from ..evaluation.compare import Comparison
    from ..training.events import event_dict

    if isinstance(event, Comparison):
        report.send({"event": "comparison", **event.to_dict()})
    else:
        report.send(event_dict(event))


class JsonReport(Report):
    """One JSON object per line on the standard output; steps at most five times a second."""

    def __init__(self) -> None:
        self._last_step = -math.inf

    def send(self, event: dict[str, Any]) -> None:
        if event["event"] in ("step", "progress"):
            whole = event.get("total", 1) or math.inf
            if time.monotonic() - self._last_step < 1 / STEPS_PER_SECOND and event["done"] < whole:
                return
            self._last_step = time.monotonic()
        if self.unread:
            return
        try:
            print(json.dumps(jsonable(event), allow_nan=False), flush=True)
        except BrokenPipeError:
            # The reader is gone: what was learned is kept all the same.
            self.unread = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class BarReport(Report):
    """Lines of text, and a progress bar on the terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._shown = ("", "")

    def advance(self, done: int, total: int, unit: str, verb: str = "") -> None:
        """Move the bar; another unit or verb begins another bar."""
        from .common import bar_of

        if self._bar is None or self._shown != (unit, verb):
            self.close()
            self._bar, self._shown = bar_of(total, unit), (unit, verb)
            self._bar.set_description(verb)
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def describe(self, text: str) -> None:
        """Show behind the bar what is being done."""
        if self._bar is not None:
            self._bar.set_postfix_str(text)

    def write(self, *lines: str, file: TextIO | None = None) -> None:
        """Print lines of text above the bar."""
        for line in lines:
            print(line, file=file, flush=True) if self._bar is None else self._bar.write(line, file=file)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None


class TextReport(BarReport):
    """A fine-tune in text."""

    def send(self, event: dict[str, Any]) -> None:
        """Report one event."""
        kind = event["event"]
        lines = {"start": _start_lines, "validation": _look_lines, "comparison": _comparison_lines}
        if kind == "step":
            self.advance(round(1000 * event["done"]), 1000, "per mille")
        elif kind in lines:
            self.write(lines[kind](event))
        elif kind == "note":
            self.write(event["text"])
        elif kind == "done":
            self.close()
            self.write(f"model version in {event['version']}" if event["version"] else "nothing was learned")


def _start_lines(event: dict[str, Any]) -> str:
    held_out = {"images": "images", "crops": "strips of images", "none": "images, the learned ones,"}[event["hold_out"]]
    lines = [
        f"{event['n_images']} images with {event['n_cells']} cells to learn from, {event['n_held_out']} {held_out} "
        f"with {event['n_held_out_cells']} cells to check on; {event['minutes']:g} min on {event['device']}",
        *event["notes"],
    ]
    return "\n".join(lines)


def _look_lines(event: dict[str, Any]) -> str:
    kept = ", kept" if event["best"] else ""
    return (
        f"step {event['step']}: held-out loss {event['validation_loss']:.4f}, F1 of cells {event['f1']:.3f}, "
        f"IoU {event['iou']:.3f}{kept}"
    )


def _comparison_lines(event: dict[str, Any]) -> str:
    from ..instances.metrics import FIGURES_IN_WORDS

    lines = [f"{'':22}{event['old']:>16.16}{event['new']:>16.16}"]
    for part in ("held_out", "general"):
        if not event[part]["n_images"]:
            continue
        for name, title in TITLES.items():
            old, new = (event[part][side][name] for side in ("old", "new"))
            figures = "".join(f"{'' if v is None else f'{v:.3f}':>16}" for v in (old, new))
            lines.append(f"{part.replace('_', ' ') + ' ' + title:22}{figures}")
    return "\n".join([*lines, FIGURES_IN_WORDS, event["in_words"], *event["reasons"]])
