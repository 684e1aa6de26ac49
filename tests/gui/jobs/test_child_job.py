"""The child process: everything it says arrives, and it ends whatever becomes of us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cellseg.gui.jobs.child_process import MANY_EVENTS, ChildProcess
from napari_cellseg.network.versions import read_version
from napari_cellseg.training.data.training_set import TrainingSet
from tests.models import make_model

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals are of POSIX")


def run(program: str, *words: str) -> ChildProcess:
    child = ChildProcess([sys.executable, "-c", program, *words])
    child.start()
    return child


def taken(child: ChildProcess) -> list[dict[str, Any]]:
    assert child.wait(60)
    events = []
    while some := child.take():
        events += some
    return events


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def test_reports_arrive_in_order_and_other_lines_are_kept_apart() -> None:
    child = run(
        "import json, sys\nprint('hello')\nprint('[1, 2]')\n"
        "for i in range(500): print(json.dumps({'event': 'step', 'step': i, 'text': 'µm ×'}))\n"
        "print('trouble', file=sys.stderr)"
    )
    events = taken(child)
    assert [event["step"] for event in events] == list(range(500)) and events[0]["text"] == "µm ×"
    assert child.returncode == 0
    assert set(child.last_lines.splitlines()) == {"hello", "[1, 2]", "trouble"}


def test_a_flood_drops_steps_but_not_what_it_ended_with() -> None:
    events = taken(
        run('for i in range(20_000): print(\'{"event": "step"}\')\nprint(\'{"event": "done", "version": 3}\')')
    )
    assert len(events) <= MANY_EVENTS + 1 and events[-1] == {"event": "done", "version": 3}


def test_output_that_is_not_text_does_no_harm() -> None:
    child = run(
        "import os; os.write(1, b'\\xff\\xfe{\\n'); os.write(1, b'{\"event\": \"note\"}\\n'); os.write(2, b'\\xff')"
    )
    assert taken(child) == [{"event": "note"}]


def test_a_program_that_is_not_there_is_said_so() -> None:
    child = ChildProcess(["/nowhere/python", "-c", "pass"])
    child.start()
    assert child.wait(60) and child.returncode is None
    assert "could not be started" in child.last_lines


def test_stop_is_the_end_of_its_input() -> None:
    child = run("import sys\nprint('{}', flush=True)\nsys.stdin.read()\nprint('{\"event\": \"done\"}')")
    until(child.take)
    assert not child.ended
    child.stop()
    assert taken(child) == [{"event": "done"}] and child.returncode == 0


def test_stop_and_kill_before_it_was_started_hold() -> None:
    for end in ("stop", "kill"):
        child = ChildProcess([sys.executable, "-c", "import sys; sys.stdin.read()"])
        getattr(child, end)()
        child.start()
        assert child.wait(60)


def test_kill_ends_one_that_does_not_listen() -> None:
    child = run("import time\nprint('{}', flush=True)\nwhile True: time.sleep(1)")
    until(child.take)
    child.stop()
    time.sleep(0.2)
    assert not child.ended
    child.kill()
    assert child.wait(60) and child.returncode != 0


PARENT = """
import signal, sys, time
# Where the tests run in the background of a shell, it is ignored from the start.
signal.signal(signal.SIGINT, signal.default_int_handler)
from napari_cellseg.gui.jobs.child_process import ChildProcess
child = ChildProcess([sys.executable, "-c", sys.argv[1], sys.argv[2]])
child.start()
while not child.take():
    time.sleep(0.02)
print("ready", flush=True)
time.sleep(600)
"""
CHILD = """
import pathlib, sys
print('{}', flush=True)
sys.stdin.read()
pathlib.Path(sys.argv[1]).write_text('kept')
"""


@POSIX
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_finishes_when_we_are_killed(tmp_path: Path, how: int) -> None:
    mark = tmp_path / "mark.txt"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD, str(mark)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdout.readline().strip() == "ready"
    os.kill(parent.pid, how)
    parent.wait(60)
    until(lambda: mark.is_file() and mark.read_text() == "kept")


TRAINING = """
import sys, time
from napari_cellseg.gui.jobs.child_process import ChildProcess, own_program
child = ChildProcess(own_program(*sys.argv[1:]))
child.start()
looks = 0
while looks < 2:
    looks += sum(event["event"] == "validation" for event in child.take())
    time.sleep(0.02)
print(child.pid, flush=True)
time.sleep(600)
"""


@POSIX
def test_a_training_whose_napari_is_killed_leaves_a_usable_version(tmp_path: Path) -> None:
    parent = make_model(tmp_path / "tiny", in_channels=3)
    weights = parent.weights.read_bytes()
    opened = TrainingSet.open(tmp_path / "set", create=True)
    labels = np.kron(np.arange(1, 37).reshape(6, 6), np.pad(np.ones((10, 10), np.int32), 3))
    for seed in range(3):
        noise = np.random.default_rng(seed).random(labels.shape, dtype=np.float32) * 0.2
        opened.add(f"image {seed}", (labels > 0) * 0.7 + noise, labels)
    out = tmp_path / "new"
    words = ["finetune", str(opened.path), "--parent", str(parent.path), "--out", str(out), "--minutes", "30"]
    words += ["--batch-size", "2", "--crop", "32", "--validate-every", "3", "--checkpoint-seconds", "0"]
    words += ["--report", "jsonl", "--stop-on-eof"]
    napari = subprocess.Popen([sys.executable, "-c", TRAINING, *words], stdout=subprocess.PIPE, text=True)
    assert napari.stdout is not None
    pid = int(napari.stdout.readline())
    os.kill(napari.pid, signal.SIGKILL)
    napari.wait(60)
    # Nobody is left to wait for it, so it is gone when the system knows it no more.
    until(lambda: not _alive(pid))
    assert read_version(out).parent == "tiny" and parent.weights.read_bytes() == weights


def _alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    if status.exists():
        return status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


@POSIX
def test_ctrl_c_in_the_terminal_is_not_meant_for_it() -> None:
    child = run("import sys\nprint('{}', flush=True)\nsys.stdin.read()")
    until(child.take)
    assert os.getpgid(child.pid or 0) != os.getpgid(0)
    child.stop()
    assert child.wait(60)
