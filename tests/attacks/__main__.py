"""``python -m tests.attacks``: try hostile inputs of every kind, and print counts."""

from __future__ import annotations

import argparse
import sys
import time

from .kinds import KINDS
from .runner import OUTCOMES, Tried, count


def _report(tried: Tried) -> None:
    print(
        f"! {', '.join(tried.outcomes)}: {tried.attack.name[:150]!r} ({tried.seconds:.1f} s, {tried.n_bytes >> 20} MB)"
    )
    print("\n".join(f"    {line[:200]}" for line in tried.said.strip().splitlines()[-12:]), flush=True)


def main() -> int:
    """Return 1 if any input had a traceback, or took too much memory or time."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"default: all of {', '.join(KINDS)}")
    parser.add_argument("-n", type=int, default=100, help="inputs of each kind (default 100)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    unknown = set(args.kinds) - set(KINDS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    began = time.monotonic()
    counts = count({name: KINDS[name] for name in args.kinds or KINDS}, args.n, args.seed, _report)
    columns = ("inputs", *OUTCOMES)
    print(f"{'kind':14}" + "".join(f"{column:>12}" for column in columns))
    for name, found in counts.items():
        print(f"{name:14}" + "".join(f"{found[column]:12}" for column in columns))
    print(f"{time.monotonic() - began:.0f} s, seed {args.seed}")
    return int(any(found[bad] for found in counts.values() for bad in OUTCOMES[2:]))


if __name__ == "__main__":
    sys.exit(main())
