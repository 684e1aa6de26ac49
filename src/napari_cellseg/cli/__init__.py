"""The command line: the same functions as the window, without one."""

from __future__ import annotations

import argparse
import io
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, TextIO

from .. import __version__
from ..imaging.errors import CellsegError
from .evaluating import add_calibrate, add_evaluate
from .exchanging import add_export, add_models
from .finetune import add_finetune
from .plain_stream import PlainStream
from .plates import add_wells
from .searching import add_compare_runs, add_search
from .segmenting import add_segment
from .sorting import add_agreement, add_kinds
from .training import add_train
from .using import add_demo, add_doctor


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status (0 done, 1 something failed, 2 wrong usage)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file name that this terminal cannot show must not stop the run.
            stream.reconfigure(errors="backslashreplace")
    with redirect_stdout(_plain(sys.stdout)), redirect_stderr(_plain(sys.stderr)):
        return _main(list(sys.argv[1:] if argv is None else argv))


def _plain(stream: TextIO) -> Any:
    return PlainStream(stream)


def _main(words: list[str]) -> int:
    args = build_parser().parse_args(words)
    args.command = shlex.join(["napari-cellseg", *words])
    # It reports every oddity of a damaged file by itself; the error that follows reports it once.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    # Pillow's warning about large pictures; it refuses those that are too large.
    warnings.filterwarnings("ignore", "Image size .* exceeds limit")
    try:
        if getattr(args, "out", None) == "":
            raise CellsegError("--out is empty. Name where the results are to go, or give . for this folder.")
        status: int = args.run(args)
    except CellsegError as error:
        print(f"napari-cellseg: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of the output has closed it; the exit must not try to write the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("napari-cellseg: stopped; what was finished is kept.", file=sys.stderr)
        return 130
    except MemoryError:
        print(
            "napari-cellseg: there is not enough memory. Close other programs, or give smaller images.", file=sys.stderr
        )
        return 1
    except Exception as error:
        if args.debug:
            raise
        reason = str(error).strip() or "no words"
        print(
            f"napari-cellseg: failed in a way that was not foreseen ({type(error).__name__}: {reason}). Run "
            "'napari-cellseg --debug ...' to see where, and please report it.",
            file=sys.stderr,
        )
        return 1
    return status


def build_parser() -> argparse.ArgumentParser:
    """Describe all commands and options."""
    parser = argparse.ArgumentParser(prog="napari-cellseg", description="Segment and count cells in images.")
    parser.add_argument("--version", action="version", version=f"napari-cellseg {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where an error that was not foreseen comes from")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_segment(commands)
    add_demo(commands)
    add_doctor(commands)
    add_models(commands)
    add_export(commands)
    add_train(commands)
    add_search(commands)
    add_compare_runs(commands)
    add_finetune(commands)
    add_evaluate(commands)
    add_calibrate(commands)
    add_kinds(commands)
    add_agreement(commands)
    add_wells(commands)
    return parser
