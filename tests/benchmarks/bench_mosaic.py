"""An image larger than memory, block by block: its peak memory, and the time for twice the area.

``python -m tests.benchmarks mosaic``; ``NAPARI_CELLSEG_BENCH_SIDE=20000`` takes images of 20,000 x 20,000 pixels and
of twice that, which takes hours without a GPU. Each is the bundled sample, turned and set side by side, as Zarr. Times
are those of the processor, which other programs do not slow, and of the clock where a GPU does the work.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.io
import zarr

import napari_cellseg
from tests.benchmarks.harness import Row

SIDE = int(os.environ.get("NAPARI_CELLSEG_BENCH_SIDE", "2048"))
SAMPLE = Path(napari_cellseg.__file__).parent / "samples" / "mosaic.png"
CHUNK = 1024
GOAL_MEMORY, GOAL_TIME = 3 << 30, 2.2


def run() -> list[Row]:
    """Return the rows: memory of the larger one, and both as ratios."""
    with tempfile.TemporaryDirectory() as folder:
        # The first says what starting costs: a few tiles.
        start, one, two = (
            _in_a_process(Path(folder), height, width) for height, width in ((512, 512), (SIDE, SIDE), (SIDE, 2 * SIDE))
        )
    ratio = (two["seconds"] - start["seconds"]) / (one["seconds"] - start["seconds"])
    per_area = 1e6 * (two["seconds"] - start["seconds"]) / (2 * SIDE * SIDE)
    sizes = f"{SIDE:,} x {2 * SIDE:,} pixels, {two['count']:,} cells"
    return [
        Row(
            f"{sizes}: peak memory",
            f"{two['bytes'] / 2**30:.2f} GiB",
            f"{GOAL_MEMORY / 2**30:.0f} GiB",
            two["bytes"] <= GOAL_MEMORY,
        ),
        Row("peak memory / that of half the area", f"{two['bytes'] / one['bytes']:.2f} x"),
        Row(
            f"time ({per_area:.1f} s per million pixels) / that of half the area",
            f"{ratio:.2f} x",
            f"{GOAL_TIME:g} x",
            ratio <= GOAL_TIME,
        ),
    ]


def _in_a_process(folder: Path, height: int, width: int) -> dict[str, float]:
    path = _write(folder / f"{height}x{width}.zarr", height, width)
    words = [sys.executable, "-m", __name__, str(path), str(folder / f"out {height}x{width}")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{path.name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _write(path: Path, height: int, width: int) -> Path:
    """Write the sample over and over, one chunk at a time."""
    sample = skimage.io.imread(SAMPLE)[:CHUNK, :CHUNK]
    array = zarr.create_array(path, shape=(height, width), chunks=(CHUNK, CHUNK), dtype=sample.dtype, zarr_format=2)
    for i, y in enumerate(range(0, height, CHUNK)):
        for j, x in enumerate(range(0, width, CHUNK)):
            part = np.rot90(sample, i + j)
            array[y : y + CHUNK, x : x + CHUNK] = part[: height - y, : width - x]
    return path


def _measure(path: str, out: str) -> None:
    import resource

    from napari_cellseg.cli import main
    from napari_cellseg.network.devices import resolve_device

    began = time.perf_counter()
    on_gpu = resolve_device().device != "cpu"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = main(["segment", path, "--out", out, "--axes", "YX", "--blocks", "--cells", "--report", "jsonl"])
    if status:
        raise RuntimeError(said.getvalue()[-2000:])
    last = json.loads(said.getvalue().splitlines()[-1])
    unit = 1 if sys.platform == "darwin" else 1024
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = time.perf_counter() - began if on_gpu else used.ru_utime + used.ru_stime
    print(json.dumps({"seconds": seconds, "bytes": used.ru_maxrss * unit, "count": last["n_cells"]}))


if __name__ == "__main__":
    _measure(*sys.argv[1:])
