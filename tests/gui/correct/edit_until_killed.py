"""A napari that corrects an image by mouse and keys until it is killed: ``python edit_until_killed.py IMAGE OUT``."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np


def main(image: str, out: str) -> None:
    import napari
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    from napari_cellseg.gui.correct.correct_widget import CorrectWidget
    from napari_cellseg.gui.menus.demo import press_segment, wait
    from napari_cellseg.gui.segment.segment_widget import SegmentWidget
    from napari_cellseg.gui.viewer.opening import add_image
    from napari_cellseg.imaging.read.read import read_image
    from tests.gui.pointing import activate, canvas_of, drag, move_to, point_of, press_key

    bot = SimpleNamespace(wait=wait, keyClick=QTest.keyClick)
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1366, 768)
    activate(viewer, bot)
    segment, correct = SegmentWidget(viewer), CorrectWidget(viewer)
    viewer.window.add_dock_widget(segment)
    viewer.window.add_dock_widget(correct)
    add_image(viewer, read_image(image))
    assert press_segment(segment).kind == "idle", segment.session.state
    viewer.reset_view()
    wait(200)
    session = segment.session
    labels, view = segment.bench.layers[session.chosen].labels, session.view_of(session.chosen)
    ids = view.ids()
    for n, id_ in enumerate(ids[:12]):
        rows, columns = np.nonzero(view.labels() == id_)
        middle = len(rows) // 2
        move_to(viewer, bot, labels, (rows[middle], columns[middle]))
        press_key(viewer, bot, Qt.Key.Key_D if n % 3 == 0 else Qt.Key.Key_A)
    segment.cells_section.threshold.setValue(0.8)
    labels.mode, labels.brush_size = "paint", 6
    drag(viewer, bot, labels, [(3, 3), (3, 20), (12, 20)])
    press_key(viewer, bot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    drag(viewer, bot, labels, [(3, 3), (3, 12)])
    corrections = session.cells.corrected.corrections
    np.save(out, corrections.claims())
    wait(1000)
    # In the middle of the next stroke the parent kills this process.
    print("editing", corrections.n_changed, corrections.n_erased, flush=True)
    canvas = canvas_of(viewer)
    QTest.mousePress(
        canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, point_of(viewer, labels, (3, 3))
    )
    while True:
        for x in (30, 60, 90):
            QTest.mouseMove(canvas, point_of(viewer, labels, (3, x)))
            wait(10)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))
    main(*sys.argv[1:])
