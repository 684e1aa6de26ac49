"""A very large image in the real window: how soon its first cells are there, and what a step of a slider costs.

``python -m tests.benchmarks slide``; ``NAPARI_CELLSEG_BENCH_SIDE=40000`` takes a larger image. Against the same in a
small image, each in a process of its own: neither should depend on the size.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import skimage.io
import zarr

import napari_cellseg
from tests.benchmarks.harness import Row

SMALL = 2048
SIDE = int(os.environ.get("NAPARI_CELLSEG_BENCH_SIDE", "20000"))
CHUNK = 1024
N_MOVES = 60
GOAL_FIRST, GOAL_TICK = 2.0, 1.3
SAMPLE = Path(napari_cellseg.__file__).parent / "samples" / "mosaic.png"


def run() -> list[Row]:
    """Measure a small and a very large image."""
    from napari_cellseg.gui.menus.display import has_screen, virtual_display

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if not has_screen():
            stack.enter_context(virtual_display())
        environment = {**os.environ, "NAPARI_CONFIG": str(Path(folder, "settings.yaml"))}
        small, large = (_measured(_write(Path(folder), side), environment) for side in (SMALL, SIDE))
    tick = large["tick"] / small["tick"]
    size = f"{SIDE:,} x {SIDE:,}"
    return [
        Row(f"opening an OME-Zarr image of {size}", f"{large['open']:.2f} s ({SMALL:,}: {small['open']:.2f} s)"),
        Row(
            f"from pressing Segment (what is visible) to its {large['n_first']:,} cells, for the first time",
            f"{large['first']:.2f} s ({SMALL:,}: {small['first']:.2f} s)",
            f"{GOAL_FIRST:.0f} s",
            large["first"] <= GOAL_FIRST,
        ),
        Row(
            f"the same at the next place ({large['pixels'] / 1e6:.2f} million pixels)",
            f"{large['next']:.2f} s ({SMALL:,}: {small['next']:.2f} s)",
            f"{GOAL_FIRST:.0f} s",
            large["next"] <= GOAL_FIRST,
        ),
        Row(
            f"a step of the slider in {size} against {SMALL:,} x {SMALL:,}, median",
            f"{tick:.2f} x ({1e3 * large['tick']:.1f} ms against {1e3 * small['tick']:.1f} ms)",
            f"{GOAL_TICK} x",
            tick <= GOAL_TICK,
        ),
    ]


def _measured(path: Path, environment: dict[str, str]) -> dict[str, float]:
    words = [sys.executable, "-m", __name__, str(path)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{path.name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _write(folder: Path, side: int) -> Path:
    """Write the sample over and over into an OME-Zarr image with levels of every fourth row and column."""
    sample = skimage.io.imread(SAMPLE)[:CHUNK, :CHUNK]
    path, steps = folder / f"{side}.ome.zarr", [1]
    while side / steps[-1] > CHUNK:
        steps.append(4 * steps[-1])
    group = zarr.open_group(path, mode="w", zarr_format=2)
    for level, step in enumerate(steps):
        shape = (-(-side // step),) * 2
        array = group.create_array(str(level), shape=shape, chunks=(CHUNK // min(step, 4),) * 2, dtype=sample.dtype)
        tile, thin = CHUNK // step or 1, sample[::step, ::step]
        for i, y in enumerate(range(0, shape[0], tile)):
            row = np.concatenate([np.rot90(thin, i + j) for j in range(-(-shape[1] // tile))], axis=1)
            array[y : y + tile] = row[: shape[0] - y, : shape[1]]
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": name, "type": "space"} for name in "yx"],
            "datasets": [
                {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": [float(s)] * 2}]}
                for i, s in enumerate(steps)
            ],
        }
    ]
    return path


def _measure(path: str) -> None:
    import napari
    from qtpy.QtCore import QEventLoop, QPoint, Qt, QTimer
    from qtpy.QtTest import QTest

    from napari_cellseg.gui.segment.segment_widget import SegmentWidget

    def wait(milliseconds: int) -> None:
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    def until(there: Any) -> float:
        while not there():
            if time.perf_counter() - start > 120:
                raise RuntimeError(widget.run_section.message.text())
            wait(5)
        return time.perf_counter() - start

    left, no_key = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1366, 768)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment and count cells")
    wait(1000)
    start = time.perf_counter()
    widget.image_section.open_paths([path])
    found: dict[str, float] = {"open": until(lambda: len(viewer.layers) == 1)}
    layer = viewer.layers[0]
    side = (layer.data[0] if layer.multiscale else layer.data).shape[0]
    widget.session.choices.choose_for(widget.session.chosen, where="visible")
    # As long as a person needs to look and zoom in.
    wait(3000)
    for name, place in (("first", 0.5), ("next", 0.25)):
        viewer.scene.camera.center = (place * side, place * side)
        viewer.scene.camera.zoom = 1.0
        wait(500)
        known = set(widget.session.keys())
        start = time.perf_counter()
        QTest.mouseClick(widget.run_section.segment, left)
        found[name] = until(lambda known=known: _shown(widget, known))
        cells = widget.session.cells
        found[f"n_{name}"], found["pixels"] = cells.count(), cells.segmented.plane.size
    wait(1000)
    slider = widget.cells_section.threshold.slider
    y, took = slider.height() // 2, []
    QTest.mousePress(slider, left, no_key, QPoint(slider.width() // 2, y))
    for i in range(N_MOVES):
        x = round(slider.width() * (0.5 + 0.35 * np.sin(i / 9)))
        start = time.perf_counter()
        QTest.mouseMove(slider, QPoint(x, y))
        wait(0)
        took.append(time.perf_counter() - start)
        wait(20)
    QTest.mouseRelease(slider, left, no_key, QPoint(x, y))
    found["tick"] = float(np.median(took))
    wait(1000)
    viewer.close()
    print(json.dumps(found))


def _shown(widget: Any, known: set[Any]) -> bool:
    """Whether other cells than before are chosen, and their labels drawn."""
    key, cells = widget.session.chosen, widget.session.cells
    layers = widget.bench.layers.get(key)
    return key not in known and cells is not None and layers is not None and bool(np.any(layers.labels.data))


if __name__ == "__main__":
    _measure(sys.argv[1])
