"""``python -m tests.attacks``: try hostile inputs of every kind, kill what runs, and print counts."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import kills, state_kinds
from .kinds import KINDS
from .runner import OUTCOMES, Tried, count, load, small_model

assert state_kinds.__doc__, "imported for its kinds"
SOAK = "soak"
KILLS = {f"kills-{kind}": kind for kind in kills.KINDS}


def _report(tried: Tried) -> None:
    print(
        f"! {', '.join(tried.outcomes)}: {tried.attack.name[:150]!r} ({tried.seconds:.1f} s, {tried.n_bytes >> 20} MB)"
    )
    print("\n".join(f"    {line[:200]}" for line in tried.said.strip().splitlines()[-12:]), flush=True)


def _kill(kinds: list[str], n: int, seed: int) -> int:
    """Kill each of some commands `n` times; return how many left other files than one that nobody killed."""
    load()
    tried = equal = 0
    with tempfile.TemporaryDirectory(prefix="attacks-") as scratch:
        model = small_model(Path(scratch))
        for kind in kinds:
            of_kind = kills.report(kills.kills(kind, n, seed, Path(scratch) / "kills", model))
            print(f"{kind:14} kills tried {of_kind[0]}, files equal {of_kind[1]}", flush=True)
            tried, equal = tried + of_kind[0], equal + of_kind[1]
    print(f"kills tried {tried}, files equal {equal}")
    return tried - equal


def _soak(sizes: str) -> int:
    """Run the long session in the real window, on a virtual display where there is no other; it prints its figures."""
    test = Path(__file__).parents[1] / "gui" / "test_soak.py"
    words = [sys.executable, "-m", "pytest", "-q", "-s", "-o", "timeout=0", str(test)]
    return subprocess.run(words, env={**os.environ, "NAPARI_CELLSEG_SOAK": sizes}).returncode


def main() -> int:
    """Return 1 if any input had a traceback, or took too much memory or time, or a kill changed a file."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    names = [*KINDS, *KILLS]
    shown = f"default: all of {', '.join(names)}; {SOAK}, alone: a long session in the real window"
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=shown)
    parser.add_argument("-n", type=int, default=100, help="inputs of each kind (default 100)")
    parser.add_argument("--kills", type=int, default=4, metavar="N", help="kills of each command (default 4)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--soak", default="200,50,500", metavar="N,N,N",
        help="segmentations, switches of the image and strokes of the long session (default 200,50,500)",
    )  # fmt: skip
    args = parser.parse_args()
    if args.kinds == [SOAK]:
        return _soak(args.soak)
    unknown = set(args.kinds) - set(names)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    began, asked = time.monotonic(), args.kinds or names
    counts = count({name: KINDS[name] for name in asked if name in KINDS}, args.n, args.seed, _report)
    if counts:
        columns = ("inputs", *OUTCOMES)
        print(f"{'kind':14}" + "".join(f"{column:>12}" for column in columns))
        for name, found in counts.items():
            print(f"{name:14}" + "".join(f"{found[column]:12}" for column in columns))
    killed = [KILLS[name] for name in asked if name in KILLS]
    changed = _kill(killed, args.kills, args.seed) if killed else 0
    print(f"{time.monotonic() - began:.0f} s, seed {args.seed}")
    return int(changed > 0 or any(found[bad] for found in counts.values() for bad in OUTCOMES[2:]))


if __name__ == "__main__":
    sys.exit(main())
