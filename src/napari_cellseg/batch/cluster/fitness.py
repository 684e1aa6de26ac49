"""Whether the machines of a Dask cluster can run this package at all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from ...imaging.errors import CellsegError

# Between two looks for new workers.
_CHECK_SECONDS = 3.0


class Fitness:
    """Checks that the scheduler and every worker, also one that comes later, have this package.

    Without it a task dies while it is unpacked, in ways that depend on Dask's version, or waits for ever.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._known: set[str] = set()
        self._next = -math.inf

    def check(self) -> None:
        """Check workers that are new, at most every few seconds.

        Raises
        ------
        CellsegError
            One of them lacks the package, or a part of it.
        """
        if time.monotonic() < self._next or self._client.status != "running":
            return
        try:
            if not self._known and self._next < 0 and (reason := self._client.run_on_scheduler(check_of_package())):
                raise unfit("The scheduler", str(reason))
            new = set(self._client.nthreads()) - self._known
            reasons = self._client.run(check_of_package(), workers=list(new), on_error="return") if new else {}
        except (OSError, TimeoutError, RuntimeError, ValueError):
            # A worker went away, or the scheduler did: that is noticed elsewhere.
            return
        finally:
            self._next = time.monotonic() + _CHECK_SECONDS
        self._known |= reasons.keys()
        for address, reason in reasons.items():
            # An error of another kind is one of the connection: the worker's tasks go to others.
            if isinstance(reason, str) and reason:
                raise unfit(f"The worker {address}", reason)

    def judge(self, probe: Any) -> None:
        """Check what :func:`check_of_package` found as a task of its own.

        Raises
        ------
        CellsegError
            The worker that ran it lacks the package, or a part of it.
        """
        try:
            reason = probe.result() if probe.status == "finished" else ""
        except (OSError, TimeoutError, RuntimeError):
            return
        if reason:
            raise unfit("The worker that came first", reason)


def check_of_package() -> Callable[[], str]:
    """Return a function that returns what is missing where it runs; it can be sent to where this package is not."""

    # One inside of another goes by value: only then it need not be found there.
    def missing() -> str:
        import importlib

        try:
            importlib.import_module("napari_cellseg.batch.cluster.worker")
        except Exception as error:  # noqa: BLE001 - a package that is there may fail in any way
            return f"{type(error).__name__}: {error}"
        return ""

    return missing


def unfit(who: str, reason: str) -> CellsegError:
    """Return the error of a machine that cannot run this package."""
    return CellsegError(
        f"{who} of the cluster cannot run napari-cellseg ({reason}). Install it there, in the version of this machine: "
        'pip install "napari-cellseg[cluster]".'
    )
