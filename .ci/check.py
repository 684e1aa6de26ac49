"""Run every step that checks the project, also after one failed, and end with one line for each: result and time.

python check.py [options of pytest]
"""

from __future__ import annotations

import subprocess
import sys
import time

PYTEST = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "worksteal", "--durations=10"]
WITHOUT_QT = ["-p", "no:napari", "-p", "no:pytest-qt", "-p", "tests.without_qt", "-m", "not window and not slow"]
STEPS = {
    "style": ["ruff", "check"],
    "types": ["mypy"],
    "import contracts": ["lint-imports", "--no-cache"],
    "plugin manifest": ["npe2", "validate", "napari-cellseg"],
    "tests without a window": [*PYTEST, *WITHOUT_QT],
    "tests in a window": [*PYTEST, "-m", "window or slow"],
}


def main(options: list[str]) -> int:
    """Run the steps; the exit status is 1 if any failed."""
    failed, lines = False, []
    for name, words in STEPS.items():
        print(f"--- {name}", flush=True)
        begun = time.monotonic()
        status = subprocess.call([*words, *(options if words[: len(PYTEST)] == PYTEST else ())])
        failed |= status != 0
        lines.append(f"{name:24} {'ok' if status == 0 else 'FAILED':8} {time.monotonic() - begun:7.0f} s")
    print("", *lines, sep="\n", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
