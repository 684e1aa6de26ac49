"""A real Dask cluster of processes on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.warm import Program


class Cluster:
    """A scheduler and workers, each a process of its own, started as a person starts them.

    Parameters
    ----------
    folder : Path
        For the scheduler's file and what the processes say.
    settings : dict of str to str
        Environment variables of the processes.
    program : Program
        Starts them; those with settings of their own begin as a person starts them.
    """

    def __init__(self, folder: Path, settings: dict[str, str], program: Program) -> None:
        self._program = program
        self.settings = settings
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.file = folder / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(self.file)
        )
        self._wait(self._is_written, "the scheduler")
        self.address = str(json.loads(self.file.read_text())["address"])

    def add_workers(self, number: int) -> None:
        """Start workers of one thread, and wait until the scheduler knows them."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            wanted = len(client.scheduler_info(n_workers=-1)["workers"]) + number
            for _ in range(number):
                options = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(self._folder))
                self.workers.append(self._start("worker", self.address, *options))
            client.wait_for_workers(wanted, timeout=120)

    def close(self) -> None:
        """End all processes."""
        for process in (*self.workers, self.scheduler):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()

    def _is_written(self) -> bool:
        # Its closing brace comes last.
        return self.file.exists() and self.file.read_text().rstrip().endswith("}")

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **self.settings}
        module = f"distributed.cli.dask_{words[0]}"
        command = [sys.executable, "-m", module] if self.settings else self._program(module=module)
        command += words[1:]
        with open(self._folder / "said.txt", "ab") as said:
            return subprocess.Popen(command, stdout=said, stderr=said, env=environment, cwd=self._folder)

    def _wait(self, ready, what: str) -> None:
        end = time.monotonic() + 60
        while not ready():
            assert time.monotonic() < end, f"{what} did not start: {(self._folder / 'said.txt').read_text()}"
            time.sleep(0.1)


@contextlib.contextmanager
def cluster_of(program: Program, folder: Path, n_workers: int, **settings: str) -> Iterator[Cluster]:
    """A cluster that ends with the block."""
    cluster = Cluster(folder, settings, program)
    try:
        if n_workers:
            cluster.add_workers(n_workers)
        yield cluster
    finally:
        cluster.close()
