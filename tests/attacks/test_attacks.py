"""A small part of `python -m tests.attacks` in the normal tests: nothing ends in a traceback, or takes too much."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .kinds import KINDS
from .runner import OUTCOMES

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked and measured")


def test_hostile_inputs_are_refused_in_words_and_in_bounds():
    child = [sys.executable, "-m", "tests.attacks", "-n", "9", "--seed", "1"]
    done = subprocess.run(child, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {words[0]: words[1:] for words in map(str.split, done.stdout.splitlines()) if words and words[0] in KINDS}
    assert counts.keys() == KINDS.keys()
    for n, refused, read, *bad in counts.values():
        assert int(n) == int(refused) + int(read) == 9 and set(bad) == {"0"} and len(bad) == len(OUTCOMES) - 2
