"""A long session in the real window: nothing piles up.

A few of each here; ``python -m tests.attacks soak`` does 200 segmentations, 50 switches of the image and 500 strokes.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from qtpy.QtCore import QObject
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_cellseg.gui.correct.correct_widget import CorrectWidget
from tests.models import make_model

from .conftest import draw_discs, press_segment
from .pointing import LEFT, NO_KEY, canvas_of, point_of

# Segmentations, switches of the image, strokes.
SIZES = tuple(map(int, os.environ.get("NAPARI_CELLSEG_SOAK", "8,8,16").split(",")))
MEGABYTE = 1 << 20
# What the first rounds may still build up (caches of fonts, shaders, the network), and what a stroke or a segmentation
# may leave: its line in the journal and its step of undo.
SLACK, PER_STEP = 60 * MEGABYTE, MEGABYTE // 20


def counts(viewer: Any) -> dict[str, int]:
    """Return what must not pile up."""
    for _ in range(3):
        gc.collect()
        QApplication.sendPostedEvents(None, 52)  # QEvent.DeferredDelete
        QApplication.processEvents()
    window = viewer.window._qt_window
    return {
        "layers": len(viewer.layers),
        "widgets": len(QApplication.allWidgets()),
        "objects of Qt": len(window.findChildren(QObject)),
        "threads": threading.active_count(),
        "threads of the system": psutil.Process().num_threads(),
        "open files": psutil.Process().num_fds() if hasattr(psutil.Process, "num_fds") else 0,
    }


def memory() -> int:
    return int(psutil.Process().memory_full_info().uss)


@pytest.fixture
def images(widget: Any, viewer: Any, qtbot: Any, tmp_path: Path) -> list[Any]:
    """Three images that a real network has segmented, with the Correct widget beside them."""
    viewer.window.add_dock_widget(CorrectWidget(viewer), name="Correct and review cells")
    widget.session.choices.choose(device="cpu")
    widget.session.choose_model(str(make_model(tmp_path / "tiny").path))
    layers = [viewer.add_image(draw_discs(16 + 9 * i), name=f"discs {i}") for i in range(3)]
    for layer in layers:
        viewer.layers.selection.active = layer
        press_segment(widget, qtbot, 60_000)
        assert widget.session.cells is not None, widget.session.state
    viewer.reset_view()
    qtbot.wait(200)
    return layers


def paint(widget: Any, viewer: Any, qtbot: Any, number: int) -> None:
    """Draw a cell into a corner, or erase it again."""
    labels = widget.bench.layers[widget.session.chosen].labels
    viewer.layers.selection.active = labels
    labels.brush_size = 5
    labels.mode = "erase" if number % 2 else "paint"
    canvas, (start, end) = canvas_of(viewer), (point_of(viewer, labels, place) for place in ((3, 4), (3, 12)))
    QTest.mouseMove(canvas, start)
    qtbot.wait(5)
    QTest.mousePress(canvas, LEFT, NO_KEY, start)
    for part in (0.3, 0.6, 1.0):
        QTest.mouseMove(canvas, start + (end - start) * part)
        qtbot.wait(5)
    QTest.mouseRelease(canvas, LEFT, NO_KEY, end)
    qtbot.wait(10)


def work(widget: Any, viewer: Any, qtbot: Any, images: list[Any], sizes: tuple[int, ...]) -> None:
    """Switch between images; on each segment again, and draw."""
    segmentations, switches, strokes = sizes
    for turn in range(switches):
        viewer.layers.selection.active = images[turn % len(images)]
        qtbot.wait(30)
        for _ in range(segmentations // switches):
            press_segment(widget, qtbot, 60_000)
            assert widget.session.state.kind == "idle", widget.session.state
        for number in range(strokes // switches // 2 * 2):
            paint(widget, viewer, qtbot, number)
        if turn % 5 == 4:
            now = ", ".join(f"{name} {n}" for name, n in counts(viewer).items())
            print(f"after {turn + 1} of {switches} switches: {memory() / MEGABYTE:.1f} MB, {now}", flush=True)


def test_a_long_session_piles_nothing_up(widget: Any, viewer: Any, qtbot: Any, images: list[Any]) -> None:
    # Each image was drawn on once: tools, undo, journals and threads of a first time are there.
    work(widget, viewer, qtbot, images, (3, 3, 6))
    qtbot.wait(800)
    before, memory_before, began = counts(viewer), memory(), time.monotonic()
    work(widget, viewer, qtbot, images, SIZES)
    qtbot.wait(800)
    after, memory_after = counts(viewer), memory()
    corrections = [widget.session.cells_of(widget.bench.key_of(layer)).corrected.corrections for layer in images]
    print(
        f"{SIZES[0]} segmentations, {SIZES[1]} switches, {SIZES[2]} strokes in {time.monotonic() - began:.0f} s: "
        f"{(memory_after - memory_before) / MEGABYTE:+.1f} MB of {memory_before / MEGABYTE:.0f}, "
        + ", ".join(f"{name} {before[name]} → {after[name]}" for name in before)
    )
    assert sum(one.revision for one in corrections) >= SIZES[2] // 2, "the strokes were taken"
    for name in before:
        # A thread of a pool may come or go, and the file of a journal be open just now.
        spare = 0 if name in ("layers", "widgets", "objects of Qt") else 2
        assert after[name] <= before[name] + spare, f"{name}: {before} → {after}"
    assert memory_after - memory_before < SLACK + PER_STEP * sum(SIZES)
    assert np.array_equal([layer.data.shape for layer in images], [(160, 160)] * 3)
