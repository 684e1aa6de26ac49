"""Seconds per image against StarDist and Cellpose on this machine, in turns.

The other programs live in an environment of their own, whose Python NAPARI_CELLSEG_RIVALS names::

    python3.11 -m venv rivals
    rivals/bin/pip install torch==2.13.0 stardist tensorflow-cpu
    rivals/bin/pip install --no-deps cellpose==3.1.1.2
    rivals/bin/pip install "numpy<2.1" natsort fastremap fill-voids opencv-python-headless roifile imagecodecs
    NAPARI_CELLSEG_RIVALS=rivals/bin/python python -m tests.benchmarks rivals

Ours is everything from the image to labels and table; theirs is the network alone.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from napari_cellseg import segment
from napari_cellseg.segmentation.segment import open_image
from tests.benchmarks.harness import Row, median, median_ratio, paired

RIVALS = {"stardist": "StarDist", "cellpose": "Cellpose 3"}
SIZE, ROUNDS = 1024, 5
SAMPLE = Path(__file__).parents[2] / "src" / "napari_cellseg" / "samples" / "fluorescence.png"


class Rival:
    """Another program in a process of its own, which predicts once whenever it is told."""

    def __init__(self, python: str, name: str, image: Path) -> None:
        words = [python, str(Path(__file__).with_name("rival_worker.py")), name, str(image)]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        if self._answer() != "ready":
            raise RuntimeError(f"{' '.join(words)} did not start; run it by hand to see why.")

    def run(self) -> None:
        """Let it predict once."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._answer()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word = line.split()[0] if line.split() else ""
            if word in ("ready", "seconds"):
                return word
        return ""


def mosaic(size: int) -> np.ndarray:
    """Mirror the fluorescence sample out to a square, uint8 (size, size)."""
    plane = open_image(SAMPLE).plane()
    pads = [(0, max(0, size - n)) for n in plane.shape]
    tiled: np.ndarray = np.pad(plane, pads, mode="symmetric")[:size, :size]
    return tiled


def run() -> list[Row]:
    """Time ours against each program that is there."""
    python = os.environ.get("NAPARI_CELLSEG_RIVALS")
    image = mosaic(SIZE)
    ways = {
        "as shipped": {},
        "size given": {"diameter": 0.0},
        "accurate": {"accurate": True},
    }
    if python is None:
        return [Row("against StarDist and Cellpose", "not measured: name their Python in NAPARI_CELLSEG_RIVALS")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.npy"
        np.save(path, image)
        rivals = {name: Rival(python, name, path) for name in RIVALS}
        try:
            ours = [lambda more=more: segment(image, **more) for more in ways.values()]
            times = paired([*ours, *(rival.run for rival in rivals.values())], ROUNDS)
        finally:
            for rival in rivals.values():
                rival.close()
    named = dict(zip([*ways, *RIVALS], times, strict=True))
    rows = [Row(f"{SIZE} x {SIZE}: {name}", f"{median(named[name]):.2f} s") for name in [*ways, *RIVALS]]
    for way in ways:
        faster = [min(pair) for pair in zip(*(named[name] for name in RIVALS), strict=True)]
        ratio = median_ratio(faster, named[way])
        goal = {"goal": "2x", "reached": ratio >= 2} if way == "as shipped" else {}
        rows.append(Row(f"{way}, against the faster of both", f"{ratio:.2f}x", **goal))
        spread = statistics.quantiles([a / b for a, b in zip(faster, named[way], strict=True)], n=4)
        rows.append(Row("  middle half of the rounds", f"{spread[0]:.2f}x to {spread[2]:.2f}x"))
    return rows
