"""Free memory, and a check that raises before more is requested."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from .errors import MemoryTooSmallError

_CGROUP = Path("/sys/fs/cgroup")
_CGROUP_FILES = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
# Smaller requests are not checked: the check costs more than the memory.
_SMALL = 1 << 24


def free_bytes() -> int:
    """Return the bytes that this process may still allocate, by the machine, its container and its own limit."""
    return min(psutil.virtual_memory().available, _left_in_container(), _left_to_process())


def has_room(n_bytes: int) -> bool:
    """Whether this process may take so many bytes more."""
    return n_bytes <= free_bytes()


def check_room(n_bytes: int, title: str, shape: tuple[int, ...] | None = None) -> None:
    """Raise MemoryTooSmallError if more bytes are requested than are free, before anything is allocated.

    Parameters
    ----------
    n_bytes : int
        Bytes about to be allocated.
    title : str
        Name of the image in the message.
    shape : tuple of int, optional
        Shape of the image, for the message.
    """
    if n_bytes < _SMALL:
        return
    free = free_bytes()
    if n_bytes > free:
        size = f"{' x '.join(map(str, shape))} values, " if shape else ""
        raise MemoryTooSmallError(
            f"{title} does not fit into memory: it announces {size}{_words(n_bytes)}, and {_words(free)} are free. "
            "If that is not its size, the file is damaged: copy it again. Otherwise cut it into parts, or use a "
            "machine with more memory."
        )


def _words(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:,.1f} MB"


def _left_in_container() -> int:
    for limit, used in _CGROUP_FILES:
        with contextlib.suppress(OSError, ValueError):
            left = int((_CGROUP / limit).read_text()) - int((_CGROUP / used).read_text())
            return max(0, left + _file_cache((_CGROUP / used).with_name("memory.stat")))
    return 1 << 62


def _file_cache(path: Path) -> int:
    """Bytes that count as used but are freed when they are needed."""
    figures = dict(line.rsplit(None, 1) for line in path.read_text().splitlines())
    return sum(int(figures.get(f"total_{name}", figures.get(name, 0))) for name in ("active_file", "inactive_file"))


def _left_to_process() -> int:
    try:
        import resource
    except ImportError:
        return 1 << 62
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return 1 << 62 if limit == resource.RLIM_INFINITY else max(0, limit - psutil.Process().memory_info().vms)
