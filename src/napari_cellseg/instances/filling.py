"""Fill a label image from basins and levels, in blocks and on several threads."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

_BLOCK_PIXELS = 1 << 18  # a block of basins, levels and result fits in a core's cache
_N_THREADS = max(1, min(4, os.cpu_count() or 1))


def fill(
    out: np.ndarray, basins: np.ndarray, levels: np.ndarray, cutoff: np.uint8, lookup: np.ndarray | None = None
) -> None:
    """Set `out` to the basin, or to its entry in `lookup`, where the level is reached; 0 elsewhere."""
    height, width = out.shape
    rows = max(1, _BLOCK_PIXELS // max(width, 1))
    blocks = [slice(start, start + rows) for start in range(0, height, rows)]
    n_threads = _N_THREADS if len(blocks) >= 4 else 1

    def work(first: int) -> None:
        for block in blocks[first::n_threads]:
            source = basins[block]
            if lookup is not None:
                # mode="clip" saves numpy a buffer of the result; every basin is a valid index.
                source = np.take(lookup, source, out=out[block], mode="clip")
            np.multiply(source, levels[block] >= cutoff, out=out[block])

    # Keyed by process: threads of a pool do not survive a fork.
    futures = [_threads(os.getpid()).submit(work, first) for first in range(1, n_threads)]
    work(0)
    for future in futures:
        future.result()


def array_for_labels(shape: tuple[int, ...], dtype: np.dtype, out: np.ndarray | None) -> np.ndarray:
    """Return `out`, or a new array where there is none.

    Raises
    ------
    ValueError
        When `out` has another shape or type.
    """
    if out is None:
        return np.empty(shape, dtype=dtype)
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"out is {out.dtype} {out.shape} but the labels are {dtype} {shape}; give a matching array.")
    return out


@cache
def _threads(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, _N_THREADS - 1), thread_name_prefix=f"cellseg-labels-{process}")
