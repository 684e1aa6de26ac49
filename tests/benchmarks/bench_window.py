"""The real window: how long a drag blocks it, how long the widget takes to open, what importing costs."""

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

from tests.benchmarks.harness import Row, draw_maps, median

SIZE, N_CELLS = 4096, 5000
N_MOVES = 120
GOAL_BLOCKED, GOAL_OPEN, GOAL_IMPORT = 0.050, 0.5, 0.1
_IMPORT = "import time; t = time.perf_counter(); import napari_cellseg; print(time.perf_counter() - t)"
_LAZY = "import napari_cellseg.cli, napari_cellseg.session, sys; print('torch' in sys.modules)"


def run() -> list[Row]:
    """Measure each thing in a process of its own, as a person meets it."""
    environment = dict(os.environ)
    imports = sorted(float(_python("-c", _IMPORT, environment)) for _ in range(5))
    torch = _python("-c", _LAZY, environment).strip() == "True"
    window = in_window(__name__)
    imported = imports[len(imports) // 2]
    blocked, opened = window["blocked_p95"], window["opened"]
    return [
        Row(
            f"window blocked by one step of a drag at {SIZE} x {SIZE}, {window['n_cells']:,} cells, p95 without paint",
            f"{1e3 * blocked:.1f} ms (median {1e3 * window['blocked_median']:.1f}, "
            f"worst {1e3 * window['blocked_max']:.1f})",
            f"{1e3 * GOAL_BLOCKED:.0f} ms",
            blocked <= GOAL_BLOCKED,
        ),
        Row("the same with paint", f"{1e3 * window['painted_p95']:.1f} ms on {window['renderer']}"),
        Row("from the mouse going up to all labels finished", f"{1e3 * window['released']:.1f} ms"),
        Row("opening the Segment widget, with its imports", f"{opened:.2f} s", f"{GOAL_OPEN} s", opened <= GOAL_OPEN),
        Row("import napari_cellseg", f"{imported:.3f} s", f"{GOAL_IMPORT} s", imported <= GOAL_IMPORT),
        Row("torch is loaded by cli and session", "yes" if torch else "no", "no", not torch),
    ]


def in_window(module: str) -> dict[str, Any]:
    """Run a module in a process with a screen and settings of its own; return what it prints as JSON."""
    from napari_cellseg.gui.menus.display import has_screen, virtual_display

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if not has_screen():
            stack.enter_context(virtual_display())
        environment = {**os.environ, "NAPARI_CONFIG": str(Path(folder, "settings.yaml"))}
        found: dict[str, Any] = json.loads(_python("-m", module, environment).splitlines()[-1])
    return found


def _python(flag: str, what: str, environment: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, flag, what], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{flag} {what[:60]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def measure_window() -> dict[str, Any]:
    """Open napari with the widget, show a large result, drag the threshold with the mouse."""
    import napari
    from qtpy.QtCore import QEventLoop, QPoint, Qt, QTimer
    from qtpy.QtTest import QTest

    def wait(milliseconds: int) -> None:
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1366, 768)
    wait(500)
    start = time.perf_counter()
    from napari_cellseg.gui.segment.segment_widget import SegmentWidget

    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment and count cells")
    widget.repaint()
    opened = time.perf_counter() - start
    if "torch" in sys.modules:
        raise RuntimeError("opening the widget loaded torch")
    n_cells = show_large_result(viewer, widget)
    wait(1500)
    steps = _Steps(widget.bench)
    slider = widget.cells_section.threshold.slider
    left, no_key, y = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, slider.height() // 2
    QTest.mousePress(slider, left, no_key, QPoint(slider.width() // 2, y))
    for i in range(N_MOVES):
        x = round(slider.width() * (0.5 + 0.35 * np.sin(i / 9)))
        steps.time(lambda x=x: QTest.mouseMove(slider, QPoint(x, y)))
        steps.painting(lambda: wait(1))
    start = time.perf_counter()
    QTest.mouseRelease(slider, left, no_key, QPoint(x, y))
    released = time.perf_counter() - start
    cells, labels = widget.session.cells, widget.bench.layers[widget.session.chosen].labels
    if len(np.unique(labels.data)) - 1 != cells.count():
        raise RuntimeError("after the drag the labels do not hold the counted cells")
    wait(2500)
    renderer = _renderer()
    viewer.close()
    return {
        "blocked_p95": float(np.percentile(steps.blocked, 95)),
        "blocked_median": median(steps.blocked),
        "blocked_max": max(steps.blocked),
        "painted_p95": float(np.percentile(steps.painted, 95)),
        "released": released,
        "opened": opened,
        "n_cells": n_cells,
        "renderer": renderer,
    }


class _Steps:
    """Seconds that the window's thread was busy in one go: mouse events, and updates that a timer starts."""

    def __init__(self, bench: Any) -> None:
        self.blocked: list[float] = []
        self.painted: list[float] = []
        self._inside = False
        for layers in bench.layers.values():
            layers.show_live = self._timed(layers.show_live)

    def time(self, step: Any) -> None:
        """Time one mouse event with all that happens inside it."""
        self._inside = True
        start = time.perf_counter()
        step()
        self.blocked.append(time.perf_counter() - start)
        self._inside = False

    def painting(self, wait: Any) -> None:
        """Time the event loop until it has nothing left to do, paint included."""
        start = time.perf_counter()
        wait()
        self.painted.append(time.perf_counter() - start)

    def _timed(self, show: Any) -> Any:
        def timed(*args: Any) -> None:
            start = time.perf_counter()
            show(*args)
            if not self._inside:
                self.blocked.append(time.perf_counter() - start)

        return timed


def show_large_result(viewer: Any, widget: Any, size: int = SIZE, n_cells: int = N_CELLS) -> int:
    """Put the maps of many cells through the session as if a network had given them."""
    from napari_cellseg.imaging.from_array import as_image
    from napari_cellseg.imaging.normalize import NormalizerParams
    from napari_cellseg.instances.live import Instances
    from napari_cellseg.instances.params import SplitParams
    from napari_cellseg.instances.prediction import Prediction
    from napari_cellseg.network.config import UNetConfig
    from napari_cellseg.network.versions import ModelVersion
    from napari_cellseg.segmentation.answer import Answer
    from napari_cellseg.segmentation.recipe import Recipe
    from napari_cellseg.segmentation.segmented import Segmented

    maps = draw_maps(size, n_cells)
    picture = (maps.probability * 255).astype(np.uint8)
    layer = viewer.add_image(picture, name="large")
    image = as_image(picture, name="large")
    model = ModelVersion("drawn", Path(), UNetConfig(), NormalizerParams(), SplitParams(), 0.5, 20, "0" * 64)
    prediction = Prediction(maps.probability, maps.distance, model="drawn", device="CPU (float32)")
    instances = Instances.from_prediction(prediction)
    segmented = Segmented(image, picture, prediction, instances, model, Recipe("drawn"))
    request = widget.session.request(layer.unique_id, image, Recipe("drawn"))
    widget.bench.take(request, Answer(segmented, segmented.result()))
    return int(widget.session.cells.count())


def _renderer() -> str:
    from vispy.gloo import gl

    name = gl.glGetParameter(gl.GL_RENDERER)
    return str(name).split("(")[0].strip() or "unknown"


if __name__ == "__main__":
    json.dump(measure_window(), sys.stdout)
    sys.stdout.flush()
