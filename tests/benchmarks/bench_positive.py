"""The threshold of a marker in the real window, and the two sliders with the fold open and closed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.bench_window import in_window, show_large_result
from tests.benchmarks.harness import Row, median

SIZE, N_CELLS, N_TICKS = 4096, 10_000, 40
SMALLER, FEWER = 2048, 2000


def run() -> list[Row]:
    """Drag in a process of its own, as a user does."""
    found = in_window(__name__)
    tick, paint = median(found["tick"]), median(found["paint"])
    closed, opened, filtered = (median(found[name]) for name in ("closed", "open", "filtered"))
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
        Row(
            "  with filters by size, shape, brightness and edges set, and the folds of filters and of 9 regions open",
            f"{1e3 * filtered:.1f} ms ({filtered / closed:.2f} times)",
            "1.5 times",
            filtered / closed <= 1.5,
        ),
    ]


def measure() -> dict[str, Any]:
    """Open napari with the widget, show large results, and move sliders."""
    import napari

    from napari_cellseg.gui.menus.demo import wait
    from napari_cellseg.gui.segment.called_layers import CALLED, CalledLayers
    from napari_cellseg.gui.segment.segment_widget import SegmentWidget
    from napari_cellseg.gui.viewer.drawn_regions import RECTANGLE
    from napari_cellseg.instances.filters import NO_FILTERS, Filters, filters_of
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
    found: dict[str, list[float]] = {"open": [], "closed": [], "filtered": []}
    slider = widget.cells_section.threshold
    every = ("area<=2000", "circularity>=0.3", "intensity>=1", "intensity<=1e9", "solidity>=0.5")
    filters = Filters(filters_of(every), "frame:20")
    drawn = widget.regions_section.drawn
    drawn.draw(RECTANGLE)
    places = [(y, x) for y in range(0, SMALLER, 700) for x in range(0, SMALLER, 700)]
    drawn.shapes().add_rectangles(
        [np.array([(y, x), (y, x + 600), (y + 600, x + 600), (y + 600, x)]) for y, x in places]
    )
    for turn in range(9):
        name = ("closed", "open", "filtered")[turn % 3]
        widget.positive_fold.unfold(name == "open")
        widget.filters_fold.unfold(name == "filtered")
        widget.regions_fold.unfold(name == "filtered")
        widget.session.set_filters(filters if name == "filtered" else NO_FILTERS)
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
