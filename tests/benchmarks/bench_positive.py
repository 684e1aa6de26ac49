"""The threshold of a marker in the real window, and the two sliders with the fold open and closed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks.bench_window import in_window, show_large_result
from tests.benchmarks.harness import Row, median

SIZE, N_CELLS, N_TICKS = 4096, 10_000, 40
SMALLER, FEWER = 2048, 2000


def run() -> list[Row]:
    """Drag in a process of its own, as a user does."""
    found = in_window(__name__)
    tick, paint = median(found["tick"]), median(found["paint"])
    closed, opened = median(found["closed"]), median(found["open"])
    return [
        Row(
            f"a tick of a marker's threshold, {found['n_cells']:,} cells", f"{1e3 * tick:.1f} ms", "5 ms", tick <= 5e-3
        ),
        Row(f"  drawing the cells that change, {SIZE} x {SIZE}, before the screen is painted", f"{1e3 * paint:.1f} ms"),
        Row(
            f"a tick of the threshold of cells, {SMALLER} x {SMALLER}, with the fold open",
            f"{1e3 * opened:.1f} ms ({opened / closed:.2f} times that with it closed)",
            "1.5 times",
            opened / closed <= 1.5,
        ),
    ]


def measure() -> dict[str, Any]:
    """Open napari with the widget, show large results, and move sliders."""
    import napari

    from napari_cellseg.gui.menus.demo import wait
    from napari_cellseg.gui.segment.called_layers import CALLED, CalledLayers
    from napari_cellseg.gui.segment.segment_widget import SegmentWidget
    from napari_cellseg.segmentation.marker import Marker

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1366, 768)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment and count cells")
    n_cells = show_large_result(viewer, widget, SIZE, N_CELLS)
    layers, section = widget.bench.part(CalledLayers), widget.positive_section
    wait(3000)
    widget.positive_fold.unfold(True)
    widget.session.set_counting([Marker("0", 100.0)], None)
    _until(lambda: layers.shown(CALLED) is not None, wait)
    wait(2000)
    tick, paint = [], []
    low, high = section.histogram.span
    for i in range(N_TICKS):
        tick.append(_seconds(lambda i=i: section.threshold.setValue(low + (high - low) * (0.3 + 0.01 * i))))
        paint.append(_seconds(layers.show))
        layers._later.cancel()
        wait(30)
    widget.positive_fold.unfold(False)
    show_large_result(viewer, widget, SMALLER, FEWER)
    wait(3000)
    found: dict[str, list[float]] = {"open": [], "closed": []}
    slider = widget.cells_section.threshold
    for turn in range(6):
        name = ("closed", "open")[turn % 2]
        widget.positive_fold.unfold(name == "open")
        wait(2500)
        for i in range(10):
            found[name].append(_seconds(lambda i=i: (slider.setValue(0.4 + 0.02 * i), wait(1))))
            wait(40)
    viewer.close()
    return {"n_cells": n_cells, "tick": tick, "paint": paint, **found}


def _seconds(do: Callable[[], object]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def _until(ready: Callable[[], bool], wait: Callable[[int], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError("nothing was drawn")
        wait(50)


if __name__ == "__main__":
    json.dump(measure(), sys.stdout)
    sys.stdout.flush()
