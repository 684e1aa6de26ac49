"""Programs as processes of their own that begin with their imports done: forked from one that did them.

Most of a short run of the command line is the import of torch and scikit-learn. `python -m tests.warm SOCKET` imports
them once, and forks for each ``python -SE client.py SOCKET MODULE words``: the copy has the standard streams, folder
and environment of that client, is asked to end as it is, ends with its exit status, and is killed with it. Linux only.
"""

from __future__ import annotations

import importlib
import marshal
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

PRELOADED = (
    "napari_cellseg.cli.training",
    "torch._dynamo",
    "sklearn.metrics",
    "sklearn.cluster",
    "zarr",
    "ome_zarr_models.v04.image_label",
    "napari_cellseg.network.predict",
    "napari_cellseg.training.fit.trainer",
    "napari_cellseg.evaluation.make_version",
    "napari_cellseg.blocks.segment_mosaic",
    "distributed",
)
CLI = "napari_cellseg.cli"
# Takes the words of the command line, or of another `module`, and returns those that start it as a program.
Program = Callable[..., list[str]]
AT_MOST = 1 << 20


def cold(*words: str, module: str = CLI) -> list[str]:
    """Return the words that start a module as a program with its imports to do."""
    return [sys.executable, "-P", "-m", module, *words]


# Without -S and -E the start of Python itself is most of what is left. The streams go as they are.
CLIENT = """
import marshal, os, signal, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
said = marshal.dumps((sys.argv[2:], os.getcwd(), dict(os.environ)))
socket.send_fds(line, [len(said).to_bytes(4, "big") + said], [0, 1, 2])
pid = int.from_bytes(line.recv(4), "big")
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: os.kill(pid, number))
status = line.recv(1)
if not status:
    os.kill(os.getpid(), signal.SIGKILL)
os._exit(status[0])
"""


class Warm:
    """Holds the process that is forked; it ends with this one, or by `close`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="warm-")
        self._client = Path(self._folder.name, "client.py")
        self._client.write_text(CLIENT)
        self._socket = Path(self._folder.name, "socket")
        command = [sys.executable, "-m", __name__, str(self._socket)]
        folder = Path(__file__).parents[1]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=folder)

    def program(self, *words: str, module: str = CLI) -> list[str]:
        """Return the words that start a module as a program: with its imports to do, as long as none are done here."""
        if not self._socket.exists():
            return cold(*words, module=module)
        return [sys.executable, "-S", "-E", str(self._client), str(self._socket), module, *words]

    def close(self) -> None:
        """End the process, and with it its copies that still run."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(20)
        self._folder.cleanup()


def serve(path: str) -> None:
    """Fork for each client, until standard input ends."""
    for name in PRELOADED:
        with suppress(ModuleNotFoundError):
            importlib.import_module(name)
    assert threading.active_count() == 1, "threads are not forked"
    listening = socket.socket(socket.AF_UNIX)
    # There under its name only once it listens.
    listening.bind(f"{path}.new")
    listening.listen(64)
    os.rename(f"{path}.new", path)
    while True:
        ready, _, _ = select.select([listening, 0], [], [])
        # Those that ended are waited for, so that their processor time is in that of the tests.
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if 0 in ready:
            return
        line, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            run(line)
        line.close()


def run(line: socket.socket) -> None:
    """Be the command line of one client, in this process, and end."""
    status = 1
    try:
        (module, *words), folder, environment = receive(line)
        os.setsid()
        os.nice(5)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        line.send(os.getpid().to_bytes(4, "big"))
        threading.Thread(target=end_with, args=(line,), daemon=True).start()
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(fd, mode, encoding="utf-8", errors="replace", buffering=1) for fd, mode in enumerate("rww")
        )
        sys.argv = [module, *words]
        status = status_of(module)
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
            line.send(bytes([status]))
        os._exit(status)


def receive(line: socket.socket) -> Any:
    """Take over a client's streams, and return its words, folder and environment."""
    said, streams, _, _ = socket.recv_fds(line, AT_MOST, 3)
    while len(said) < 4 or len(said) < 4 + int.from_bytes(said[:4], "big"):
        said += line.recv(AT_MOST)
    for stream, fd in zip(streams, (0, 1, 2), strict=True):
        os.dup2(stream, fd)
        os.close(stream)
    return marshal.loads(said[4:])


def status_of(module: str) -> int:
    """Run a module as a program, and return its exit status."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=False)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as Python itself ends
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        return 1
    return 0


def end_with(line: socket.socket) -> None:
    """Be killed as soon as the client is no more."""
    line.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    serve(sys.argv[1])
