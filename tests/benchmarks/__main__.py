"""Run every ``bench_*.py`` beside this file and print one table: ``python -m tests.benchmarks [name ...]``.

Ends with status 1 when a goal is missed. Names choose modules, for example ``live`` for ``bench_live.py``.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.harness import Row, format_table


def main(names: Sequence[str] = ()) -> int:
    """Run the benchmarks of these names, or all; return 0 when every goal is reached."""
    found = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    unknown = sorted(set(names) - set(found))
    if unknown:
        sys.stderr.write(f"No benchmark named {', '.join(unknown)}; there are {', '.join(found)}.\n")
        return 2
    rows: list[Row] = []
    for name in names or found:
        rows += importlib.import_module(f"tests.benchmarks.bench_{name}").run()
    sys.stdout.write(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}\n\n")
    sys.stdout.write(format_table(rows) + "\n")
    return int(any(row.reached is False for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
