"""Run every ``bench_*.py`` beside this file and print one table: ``python tests/benchmarks/run.py [name ...]``.

Ends with status 1 when a goal is missed. Names choose modules, for example ``live`` for ``bench_live.py``.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from harness import Row, format_table  # noqa: E402 - the folder is put on the path first


def main(names: Sequence[str] = ()) -> int:
    """Run the benchmarks of these names, or all; return 0 when every goal is reached."""
    modules = [f"bench_{name}" for name in names] or sorted(path.stem for path in HERE.glob("bench_*.py"))
    rows: list[Row] = []
    for module in modules:
        rows += importlib.import_module(module).run()
    sys.stdout.write(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}\n\n")
    sys.stdout.write(format_table(rows) + "\n")
    return int(any(row.reached is False for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
