"""Try attacks in forks of one process that has loaded the package, and count what came of each."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .kinds import Attack, Kind

GIBIBYTE = 1 << 30
SECONDS, MEMORY = 30.0, 3 * GIBIBYTE
# Above what is counted, so that it can be measured; the machine stays safe.
_LIMIT = 6 * GIBIBYTE
# Of exceptions that nobody caught, and of those that a batch survived.
_UNFORESEEN = ("Traceback (most recent call last)", "was not foreseen")
OUTCOMES = ("refused", "read", "traceback", "over 3 GiB", "over 30 s")


@dataclass(frozen=True)
class Tried:
    """What came of one attack; its seconds are those of a processor."""

    attack: Attack
    outcomes: tuple[str, ...]
    said: str
    seconds: float
    n_bytes: int


def load() -> None:
    """Import what the forks use. No tensor is touched: threads of torch do not survive a fork."""
    os.environ["NAPARI_CELLSEG_OPENVINO"] = "0"
    import dask.array  # noqa: F401
    import torch
    import zarr  # noqa: F401

    from napari_cellseg.batch import run  # noqa: F401
    from napari_cellseg.cli import main  # noqa: F401
    from napari_cellseg.evaluation import evaluate  # noqa: F401
    from napari_cellseg.network import predict  # noqa: F401
    from napari_cellseg.network.exchange import adopting, import_model  # noqa: F401

    torch.set_num_threads(1)


class Ended(NamedTuple):
    """How a fork ended.

    Attributes
    ----------
    status : int
        What it returned; 99 after an exception, negative after a signal.
    seconds : float
    worked : float
        Seconds of a processor, which do not depend on what else runs.
    n_bytes : int
        The most memory that it had in RAM.
    """

    status: int
    seconds: float
    worked: float
    n_bytes: int


def in_fork(work: Callable[[], int], words: Path, until: float = 4 * SECONDS) -> Ended:
    """Run a function in a fork whose words go into a file; kill it after some seconds."""
    began = time.monotonic()
    child = os.fork()
    if not child:
        status = 99
        try:
            handle = os.open(words, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            for stream in (1, 2):
                os.dup2(handle, stream)
            # Not closed with the object: a fork may fork again.
            sys.stdout, sys.stderr = (os.fdopen(i, "w", errors="replace", closefd=False) for i in (1, 2))
            held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (held + _LIMIT,) * 2)
            status = work()
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 2
        except BaseException:  # noqa: BLE001 - it is what is looked for
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status & 0xFF)
    killed = False
    while True:
        done, code, used = os.wait4(child, os.WNOHANG)
        if done:
            status, worked = os.waitstatus_to_exitcode(code), used.ru_utime + used.ru_stime
            return Ended(status, time.monotonic() - began, worked, used.ru_maxrss * 1024)
        if not killed and time.monotonic() - began > until:
            os.kill(child, 9)
            killed = True
        time.sleep(0.005)


def run(argv: list[str]) -> int:
    """Run a command, or read the image or journal that it names."""
    from napari_cellseg.cli import main
    from napari_cellseg.corrections.recovery import read_journal
    from napari_cellseg.imaging import CellsegError, read_image

    if argv[0] not in ("read", "journal"):
        return main(["--debug", *argv])
    try:
        if argv[0] == "journal":
            read_journal(Path(argv[1]))
        else:
            read_image(argv[1]).plane()
    except CellsegError as error:
        print(error)
        return 1
    return 0


def attempts(kind: Kind, n: int, seed: int, folder: Path, model: Path) -> Iterator[Tried]:
    """Try `n` inputs of a kind; the same ones for the same seed."""
    inputs = folder / "inputs"
    inputs.mkdir(parents=True)
    os.environ["NAPARI_CELLSEG_HOME"] = str(folder / "home")
    for attack in kind(inputs, random.Random(f"{kind.__name__} {seed}"), n):
        out, words = folder / "out", folder / "words.txt"
        argv = [word.replace("OUT", str(out)).replace("MODEL", str(model)) for word in attack.words]
        status, _, seconds, n_bytes = in_fork(lambda argv=argv: run(argv), words)  # type: ignore[misc]
        said = words.read_text(errors="replace")
        found = ["read" if status == 0 else "refused"]
        if status not in (0, 1, 2) or any(mark in said for mark in _UNFORESEEN):
            found = ["traceback"]
        found += ["over 3 GiB"] if n_bytes > MEMORY else []
        found += ["over 30 s"] if seconds > SECONDS else []
        yield Tried(attack, tuple(found), said, seconds, n_bytes)
        for place in (out, folder / "home"):
            shutil.rmtree(place, ignore_errors=True)


def small_model(folder: Path) -> Path:
    """Make a model in a fork."""

    def make() -> int:
        from tests.models import make_model

        make_model(folder / "small")
        return 0

    in_fork(make, folder / "words.txt")
    return folder / "small"


def count(kinds: dict[str, Kind], n: int, seed: int, report: Callable[[Tried], None]) -> dict[str, Counter[str]]:
    """Try `n` inputs of every kind; report what is not as it should be, and return how many came to what."""
    load()
    counts: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory(prefix="attacks-") as scratch:
        model = small_model(Path(scratch))
        for name, kind in kinds.items():
            counts[name] = Counter()
            for tried in attempts(kind, n, seed, Path(scratch) / name, model):
                counts[name].update(("inputs", *tried.outcomes))
                if not {*tried.outcomes} <= {"read", "refused"}:
                    report(tried)
            shutil.rmtree(Path(scratch) / name)
    return counts
