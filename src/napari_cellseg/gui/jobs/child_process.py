"""A child process that reports what it does, one JSON object per line. Needs no Qt."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ...imaging.read.values.json_types import parse_json

KEPT_LINES = 60
# A flood of reports must not fill the memory: from here on steps are dropped, never the last report.
MANY_EVENTS = 2_000
NICENESS = 5


def own_program(*words: str) -> list[str]:
    """Return the words that start the package's command line with the running Python."""
    # -P: a user's file in the current folder that is named like a module must not be imported.
    return [sys.executable, "-P", "-m", "napari_cellseg.cli", *words]


class ChildProcess:
    """Runs a program; background threads start it and read its output, so that no call here waits.

    The program's standard input is a pipe that only this process holds. When this process closes it, ends, crashes or
    is killed, the program reads its end, which is the sign to finish.

    Parameters
    ----------
    words : sequence of str
        Program and arguments.
    environment : mapping of str to str, optional
        Variables that differ from those of this process.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._words = list(words)
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", **(environment or {})}
        self._lock = threading.Lock()
        self._events: deque[dict[str, Any]] = deque()
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._process: subprocess.Popen[str] | None = None
        self._stopped = self._killed = False
        self._ended = threading.Event()
        self.returncode: int | None = None
        # Daemons: napari ends without waiting for them, and the program then reads the end of its input.
        self._thread = threading.Thread(target=self._run, name="napari-cellseg child", daemon=True)

    def start(self) -> None:
        """Start the program."""
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether the program has ended and all its output was read."""
        return self._ended.is_set()

    @property
    def pid(self) -> int | None:
        """Its process id; None until it was started."""
        return None if self._process is None else self._process.pid

    @property
    def last_lines(self) -> str:
        """The last lines that it wrote apart from its reports: warnings, or the error that ended it."""
        with self._lock:
            return "\n".join(self._lines)

    def ending(self) -> str:
        """Return why a program may have ended without reporting that it is done."""
        code = self.returncode
        if code is None or code > 0:
            lines = [line for line in self.last_lines.splitlines() if line.strip()]
            return lines[-1].strip() if lines else f"status {code}"
        return f"it was killed, signal {-code}" if code < 0 else "it reported no end"

    def take(self, at_most: int = 200) -> list[dict[str, Any]]:
        """Return the next reports, oldest first."""
        with self._lock:
            return [self._events.popleft() for _ in range(min(at_most, len(self._events)))]

    def stop(self) -> None:
        """Ask it to finish, by the end of its input."""
        with self._lock:
            self._stopped = True
        self._close_input()

    def kill(self) -> None:
        """End it now."""
        with self._lock:
            self._stopped = self._killed = True
            process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                process.kill()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended; for tests and for programs without a window."""
        return self._ended.wait(seconds)

    def _run(self) -> None:
        try:
            process = self._open()
        except (OSError, ValueError) as error:
            with self._lock:
                self._lines.append(f"{Path(self._words[0]).name} could not be started: {error}")
            self._ended.set()
            return
        with self._lock:
            self._process = process
            stopped, killed = self._stopped, self._killed
        if stopped:
            self._close_input()
        if killed:
            self.kill()
        listener = threading.Thread(target=self._listen, args=(process.stderr,), daemon=True)
        listener.start()
        assert process.stdout is not None
        for line in process.stdout:
            self._receive(line)
        self.returncode = process.wait()
        listener.join(timeout=2)
        self._close_input()
        self._ended.set()

    def _open(self) -> subprocess.Popen[str]:
        options: dict[str, Any] = {}
        if sys.platform == "win32":
            options["creationflags"] = subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS
        else:
            # Ctrl+C in the terminal is meant for napari; the program then reads the end of its input.
            options["start_new_session"] = True
        process = subprocess.Popen(
            self._words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
            text=True,
            encoding="utf-8",
            errors="replace",
            **options,
        )
        if sys.platform != "win32":
            # The window comes first where cores are few.
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
        return process

    def _listen(self, stream: IO[str]) -> None:
        for line in stream:
            with self._lock:
                self._lines.append(line.rstrip())

    def _receive(self, line: str) -> None:
        try:
            event = parse_json(line)
        except ValueError:
            event = None
        with self._lock:
            if not isinstance(event, dict):
                self._lines.append(line.rstrip())
            elif event.get("event") != "step" or len(self._events) < MANY_EVENTS:
                self._events.append(event)

    def _close_input(self) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                process.stdin.close()
