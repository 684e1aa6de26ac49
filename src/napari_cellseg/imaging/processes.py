"""Whether a program that left its number in a file still runs."""

from __future__ import annotations

import psutil

# Clocks of files and of processes are not read at one moment.
_SLACK_SECONDS = 2.0


def is_alive(pid: object, seen: float) -> bool:
    """Whether a process of this machine still runs.

    Parameters
    ----------
    pid : int
        Anything else, as a damaged file may hold, is no process.
    seen : float
        When it was there, in seconds since 1970: one that began later has only got its number.
    """
    if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid < 2**31:
        return False
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= seen + _SLACK_SECONDS
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OSError):
        return True
