"""A small part of `python -m tests.attacks` in the normal tests: nothing ends in a traceback, or takes too much."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from . import state_kinds
from .kinds import KINDS
from .runner import OUTCOMES

ROOT = Path(__file__).parents[2]
# Trainings that are killed have tests of their own: tests/training/fit/test_resume.py.
KILLED = ("batch", "blocks")

assert state_kinds.__doc__, "imported for its kinds"
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked and measured")


def attacks(*words: str) -> subprocess.CompletedProcess[str]:
    child = [sys.executable, "-m", "tests.attacks", *words]
    return subprocess.run(child, cwd=ROOT, capture_output=True, text=True, timeout=250)


def test_hostile_inputs_are_refused_in_words_and_in_bounds():
    # The bombs of archives and trainings take as long as the others together, and have tests of their own.
    kinds = sorted(KINDS.keys() - {"archive_bomb", "training"})
    done = attacks(*kinds, "-n", "6", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {words[0]: words[1:] for words in map(str.split, done.stdout.splitlines()) if words and words[0] in KINDS}
    assert sorted(counts) == kinds
    for n, refused, read, *bad in counts.values():
        assert int(n) == int(refused) + int(read) == 6 and set(bad) == {"0"} and len(bad) == len(OUTCOMES) - 2


def test_what_is_killed_and_goes_on_leaves_the_same_files():
    done = attacks(*(f"kills-{kind}" for kind in KILLED), "--kills", "2", "--seed", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kills tried 4, files equal 4" in done.stdout.splitlines()
