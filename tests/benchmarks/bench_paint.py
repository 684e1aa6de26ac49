"""Painting by mouse in the real window: the cells layer beside a Labels layer of napari's own, alternating."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

from tests.benchmarks.bench_window import SIZE, in_window, show_large_result
from tests.benchmarks.harness import Row, median

N_STROKES, N_MOVES = 6, 60
GOAL_RATIO = 1.3
GAP = 0.1


def run() -> list[Row]:
    """Paint in a process of its own, as a user does."""
    found = in_window(__name__)
    ours, theirs = found["ours"], found["napari"]
    mine, own = (median(one["strokes"]) for one in (ours, theirs))
    return [
        Row(
            f"a brush stroke of {N_MOVES} moves at {SIZE} x {SIZE}, {found['n_cells']:,} cells, in the cells layer",
            f"{mine:.2f} s ({mine / own:.2f} times napari's own layer, {own:.2f} s)",
            f"{GOAL_RATIO} times",
            mine / own <= GOAL_RATIO,
        ),
        Row(
            "the same: longest step, steps over 100 ms in all strokes",
            f"{1e3 * max(ours['steps']):.0f} ms, {_gaps(ours)} (napari's own: {1e3 * max(theirs['steps']):.0f} ms, "
            f"{_gaps(theirs)})",
        ),
    ]


def _gaps(found: dict[str, Any]) -> int:
    return sum(step > GAP for step in found["steps"])


def measure() -> dict[str, Any]:
    """Open napari with the docks, show a large result, and paint in it and in a layer of napari's own."""
    import napari
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    from napari_cellseg.gui.correct.correct_widget import CorrectWidget
    from napari_cellseg.gui.menus.demo import wait
    from napari_cellseg.gui.segment.segment_widget import SegmentWidget

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1366, 768)
    segment = SegmentWidget(viewer)
    viewer.window.add_dock_widget(segment, name="Segment and count cells", tabify=True)
    viewer.window.add_dock_widget(CorrectWidget(viewer), name="Correct cells", tabify=True)
    n_cells = show_large_result(viewer, segment)
    ours = segment.bench.layers[segment.session.chosen].labels
    theirs = viewer.add_labels(np.array(ours.data), name="napari's own")
    canvas = viewer.window._qt_viewer.canvas.native
    left, no_key = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    found: dict[str, Any] = {"n_cells": n_cells}
    for kind in ("ours", "napari"):
        found[kind] = {"strokes": [], "steps": []}
    wait(2500)
    for stroke in range(2 * N_STROKES):
        kind, layer = (("ours", ours), ("napari", theirs))[stroke % 2]
        for other in (ours, theirs):
            other.visible = other is layer
        viewer.layers.selection.active = layer
        layer.mode, layer.brush_size, layer.selected_label = "paint", 20, int(layer.data.max()) + 1
        wait(1500)
        before = layer.data.copy()
        width, height = canvas.width(), canvas.height()
        top = round(height * (0.25 + 0.5 * (stroke // 2) / N_STROKES))
        place = QPoint(width // 4, top)
        QTest.mouseMove(canvas, place)
        wait(100)
        started = time.perf_counter()
        steps = [_step(lambda place=place: QTest.mousePress(canvas, left, no_key, place), wait)]
        for i in range(N_MOVES):
            place = QPoint(width // 4 + round(width / 2 * i / N_MOVES), top + round(20 * np.sin(i / 6)))
            steps.append(_step(lambda place=place: QTest.mouseMove(canvas, place), wait))
        steps.append(_step(lambda place=place: QTest.mouseRelease(canvas, left, no_key, place), wait))
        # What follows a stroke, such as the journal, the counts and the doubts, counts too.
        steps += [_step(lambda: None, wait) for _ in range(20)]
        if np.array_equal(before, layer.data):
            raise RuntimeError(f"the stroke painted nothing in {layer.name}")
        found[kind]["strokes"].append(time.perf_counter() - started)
        found[kind]["steps"] += steps
    viewer.close()
    return found


def _step(do: Any, wait: Any) -> float:
    """Seconds that one event took, with what it starts in the event loop."""
    start = time.perf_counter()
    do()
    wait(1)
    return time.perf_counter() - start


if __name__ == "__main__":
    json.dump(measure(), sys.stdout)
    sys.stdout.flush()
