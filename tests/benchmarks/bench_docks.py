"""One tick of the threshold slider in the real window: with the Segment dock alone, and with all five docks open."""

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

from tests.benchmarks.harness import Row, median

SIZE, N_CELLS = 1024, 600
N_TICKS = 60
GOAL_RATIO = 1.2


def run() -> list[Row]:
    """Measure in a process of its own, with settings of its own."""
    from napari_cellseg.gui.menus.display import has_screen, virtual_display

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if not has_screen():
            stack.enter_context(virtual_display())
        places = {"NAPARI_CONFIG": str(Path(folder, "settings.yaml")), "NAPARI_CELLSEG_HOME": folder}
        done = subprocess.run(
            [sys.executable, "-m", __name__], env={**os.environ, **places}, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"the window ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    what = f"slider tick at {SIZE} x {SIZE}, {found['n_cells']:,} cells, all five docks beside Segment alone"
    rows = []
    for kind, words in (("work", f"{what}, without paint"), ("all", "the same with paint and what follows it")):
        five, alone = found["five"][kind], found["alone"][kind]
        figure = f"{five / alone:.2f} times ({1e3 * five:.2f} ms beside {1e3 * alone:.2f})"
        rows.append(Row(words, figure, f"{GOAL_RATIO} times", five / alone <= GOAL_RATIO))
    return rows


def measure() -> dict[str, Any]:
    """Move the threshold in two windows in turns, and time what the main thread does at each step."""
    import napari
    from qtpy.QtCore import QEventLoop, QTimer
    from qtpy.QtWidgets import QApplication

    from napari_cellseg.gui.batch.batch_widget import BatchWidget
    from napari_cellseg.gui.check.check_widget import AgreementWidget
    from napari_cellseg.gui.correct.correct_widget import CorrectWidget
    from napari_cellseg.gui.segment.segment_widget import SegmentWidget
    from napari_cellseg.gui.train.train_widget import TrainWidget
    from napari_cellseg.gui.viewer.dock import open_dock
    from tests.benchmarks.bench_window import show_large_result

    def wait(milliseconds: int) -> None:
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    sessions, viewers, n_cells = {}, [], 0
    for name, kinds in (
        ("alone", (SegmentWidget,)),
        ("five", (SegmentWidget, CorrectWidget, TrainWidget, BatchWidget, AgreementWidget)),
    ):
        viewer = napari.Viewer(show=True)
        viewer.window.resize(1366, 768)
        docks = [kind(viewer) for kind in kinds]
        for dock in docks:
            viewer.window.add_dock_widget(dock, name=dock.objectName())
            wait(100)
        n_cells = show_large_result(viewer, docks[0], SIZE, N_CELLS)
        open_dock(viewer, "segment")
        sessions[name] = docks[0].session
        viewers.append(viewer)
    wait(4000)
    seconds: dict[str, dict[str, list[float]]] = {name: {"work": [], "all": []} for name in sessions}
    for i in range(N_TICKS):
        for name, session in sessions.items():
            # The time of this process alone: another one may be busy too.
            start = time.process_time()
            session.set_threshold(0.3 + 0.4 * i / N_TICKS)
            seconds[name]["work"].append(time.process_time() - start)
            QApplication.processEvents()
            seconds[name]["all"].append(time.process_time() - start)
    for viewer in viewers:
        viewer.close()
    medians = {name: {kind: median(values) for kind, values in kinds.items()} for name, kinds in seconds.items()}
    return {**medians, "n_cells": n_cells}


if __name__ == "__main__":
    json.dump(measure(), sys.stdout)
    sys.stdout.flush()
