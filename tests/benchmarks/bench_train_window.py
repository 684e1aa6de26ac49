"""How long the window is blocked in one go while a network is trained in the child process."""

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

from tests.benchmarks.harness import Row

SECONDS = 25
GOAL_BLOCKED = 0.050


def run() -> list[Row]:
    """Measure in a process of its own, with a folder of its own for models and training sets."""
    from napari_cellseg.gui.menus.display import has_screen, virtual_display

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if not has_screen():
            stack.enter_context(virtual_display())
        environment = {**os.environ, "NAPARI_CONFIG": str(Path(folder, "settings.yaml"))}
        environment["NAPARI_CELLSEG_HOME"] = folder
        done = subprocess.run(
            [sys.executable, "-m", __name__], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"the window ended with {done.returncode}:\n{done.stderr[-2000:]}")
        figures = json.loads(done.stdout.splitlines()[-1])
    quiet, training = figures["quiet"], figures["training"]
    # Other programs on the machine hold the window up too: as long without training as with it.
    reached = training["ours"] <= GOAL_BLOCKED
    return [
        Row(
            f"window blocked in one go by training for {SECONDS} s, {figures['n_reports']} reports, our own part",
            f"{1e3 * training['ours']:.1f} ms",
            f"{1e3 * GOAL_BLOCKED:.0f} ms",
            reached,
        ),
        Row(
            "the same with everything that Qt, napari and the machine do in between",
            f"p99 {1e3 * training['p99']:.0f} ms, worst {1e3 * training['worst']:.0f} ms "
            f"(without training {1e3 * quiet['p99']:.0f} and {1e3 * quiet['worst']:.0f} ms)",
        ),
        Row("pressing Start, with napari's line in its activity dock", f"{1e3 * figures['start']:.0f} ms"),
        Row("pressing Cancel", f"{1e3 * figures['cancel']:.1f} ms"),
    ]


def measure() -> dict[str, Any]:
    """Open napari with the widget, train with the bundled model, and watch a timer in the window's thread."""
    import napari
    from qtpy.QtCore import QEventLoop, QTimer

    from napari_cellseg.gui.menus.samples import sample_path
    from napari_cellseg.gui.train.train_widget import TrainWidget
    from napari_cellseg.imaging.read.read import read_image
    from napari_cellseg.training.data.training_set import TrainingSet, default_training_set
    from tests.benchmarks.harness import draw_maps

    maps = draw_maps(512, 150)
    opened = TrainingSet.open(default_training_set(), create=True)
    for i in range(3):
        noise = np.random.default_rng(i).random(maps.probability.shape, dtype=np.float32)
        opened.add(f"image {i}", maps.probability + 0.1 * noise, np.asarray(maps.labels))
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1366, 768)
    viewer.add_image(read_image(sample_path("mosaic")).data)
    widget = TrainWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Train on corrected cells")

    def watched(seconds: float) -> list[float]:
        loop, gaps, timer = QEventLoop(), [], QTimer()
        last = time.perf_counter()

        def tick() -> None:
            nonlocal last
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

        timer.timeout.connect(tick)
        timer.start(1)
        QTimer.singleShot(round(1000 * seconds), loop.quit)
        loop.exec()
        timer.stop()
        return gaps

    def summary(gaps: list[float]) -> dict[str, float]:
        return {"p99": float(np.percentile(gaps, 99)), "worst": max(gaps)}

    watched(3)
    quiet = watched(SECONDS)
    ours: list[float] = []
    poll = widget.job.poll

    def timed() -> None:
        start = time.thread_time()
        poll()
        ours.append(time.thread_time() - start)

    widget.job._timer.timeout.disconnect()
    widget.job._timer.timeout.connect(timed)
    start = time.perf_counter()
    widget.start_section.start.click()
    started = time.perf_counter() - start
    if not widget.job.running:
        raise RuntimeError(widget.start_section.message.text())
    end = time.monotonic() + 120
    while widget.job.step < 1 and time.monotonic() < end:
        watched(0.2)
    training = watched(SECONDS)
    n_reports = len(widget.job.history.losses)
    start = time.perf_counter()
    widget.start_section.cancel.click()
    cancelled = time.perf_counter() - start
    child = widget.job.child
    if child is not None:
        child.kill()
    watched(2)
    viewer.close()
    return {
        "quiet": summary(quiet),
        "training": {**summary(training), "ours": max(ours)},
        "n_reports": n_reports,
        "start": started,
        "cancel": cancelled,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()) + "\n")
