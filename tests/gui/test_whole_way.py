"""The whole way as a person goes it: segment, fix ten cells, review, add, fine-tune, take over, undo, reopen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cellseg.gui.correct.correct_widget import CorrectWidget
from napari_cellseg.gui.menus.samples import sample_path
from napari_cellseg.gui.segment.segment_widget import SegmentWidget
from napari_cellseg.gui.train.train_widget import TrainWidget
from napari_cellseg.gui.viewer.doubting import Doubting
from napari_cellseg.gui.viewer.opening import add_image
from napari_cellseg.imaging.read.read import read_image

from .conftest import layers_of, settled
from .pointing import activate, drag, labels_now, move_to, press_key

LEFT = Qt.MouseButton.LeftButton
CONTROL = Qt.KeyboardModifier.ControlModifier
PATIENCE = 300_000
SHORT = {"steps": 4, "batch_size": 1, "crop": 64, "validate_every": 2}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def opened(viewer: Any, qtbot: Any) -> tuple[SegmentWidget, CorrectWidget, TrainWidget]:
    """The three widgets beside each other as tabs, and the histology sample."""
    viewer.window.resize(1366, 768)
    activate(viewer, qtbot)
    widgets = SegmentWidget(viewer), CorrectWidget(viewer), TrainWidget(viewer)
    for name, widget in zip(("Segment", "Correct", "Train"), widgets, strict=True):
        viewer.window.add_dock_widget(widget, name=name)
    add_image(viewer, read_image(sample_path("histology")))
    viewer.reset_view()
    qtbot.wait(100)
    return widgets


def front(widget: Any, qtbot: Any) -> None:
    widget.parent().raise_()
    qtbot.waitUntil(widget.isVisible)
    qtbot.wait(50)


def press(button: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: button.isVisible() and button.isEnabled(), timeout=30_000)
    qtbot.mouseClick(button, LEFT)


def inside(labels: np.ndarray, id_: int) -> tuple[int, int]:
    """A pixel well inside a cell."""
    from scipy.ndimage import distance_transform_edt

    place = np.unravel_index(np.argmax(distance_transform_edt(np.pad(labels == id_, 1))[1:-1, 1:-1]), labels.shape)
    return int(place[0]), int(place[1])


@pytest.mark.cold
def test_the_whole_way(make_napari_viewer: Callable[..., Any], home: Path, qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    segment, correct, train = opened(viewer, qtbot)
    session = segment.session
    front(segment, qtbot)
    press(segment.run_section.segment, qtbot)
    qtbot.waitUntil(lambda: session.cells is not None and session.running is None, timeout=PATIENCE)
    n_before = session.cells.count()
    assert n_before > 30

    # Fix ten cells: four erased, four accepted, one drawn, one shaved.
    front(correct, qtbot)
    layer, found = layers_of(segment).labels, labels_now(correct)
    areas = np.bincount(found.ravel())
    areas[0] = 0
    largest = [int(id_) for id_ in np.argsort(-areas)[:9]]
    for id_, key in zip(largest[:8], [Qt.Key.Key_D, Qt.Key.Key_A] * 4, strict=True):
        move_to(viewer, qtbot, layer, inside(found, id_))
        press_key(viewer, qtbot, key)
    assert (session.cells.n_changed, session.cells.n_erased) == (4, 4)
    free = inside(np.where(found == 0, 1, 0), 1)
    press(correct.tools_section.new_cell, qtbot)
    layer.brush_size = 8
    drag(viewer, qtbot, layer, [free, (free[0], free[1] + 6)])
    layer.mode = "erase"
    layer.brush_size = 3
    drag(viewer, qtbot, layer, [inside(found, largest[8])] * 2)
    layer.mode = "pan_zoom"
    assert (session.cells.n_changed, session.cells.n_erased) == (6, 4)
    assert session.cells.count() == n_before - 4 + 1

    # Review two more, and vouch for the whole image.
    qtbot.waitUntil(lambda: correct.bench.part(Doubting).doubt_of(session.chosen) is not None, timeout=30_000)
    press(correct.review_section.next, qtbot)
    for _ in range(2):
        press_key(viewer, qtbot, Qt.Key.Key_Y)
    assert session.cells.n_changed == 8
    claims = session.cells.corrected.corrections.claims().copy()
    press(correct.area_section.whole, qtbot)
    assert session.cells.corrected.reviewed_area(session.cells.threshold, session.cells.min_size).all()
    press(correct.keep_section.add, qtbot)
    qtbot.waitUntil(lambda: "Added" in correct.tools_section.message.text(), timeout=30_000)

    # Fine-tune, and take the new model over, worse or not.
    front(train, qtbot)
    for name, value in SHORT.items():
        train.expert_section.form[name].value = value
    qtbot.waitUntil(lambda: "1 image" in train.set_section.fold.title.text(), timeout=30_000)
    press(train.start_section.start, qtbot)
    qtbot.waitUntil(lambda: not train.job.running, timeout=PATIENCE)
    outcome = train.job.outcome
    assert not outcome.failed and outcome.comparison is not None, train.start_section.message.text()
    made = outcome.version
    assert made.parent == "cells"
    worse = train.guard_section.worse
    press(train.guard_section.use, qtbot)
    if worse:
        press(train.question.yes, qtbot)
    qtbot.waitUntil(
        lambda: session.running is None and session.cells.segmented.model.name == made.name, timeout=PATIENCE
    )
    assert session.cells.segmented.model.sha256 == made.sha256

    # What was done by hand is as it was: after the new model, after the sliders, after undo and redo.
    def as_left(expected: np.ndarray) -> None:
        shown = layers_of(segment).labels.data
        assert np.array_equal(shown[expected > 0], expected[expected > 0]) and not shown[expected < 0].any()

    as_left(claims)
    front(segment, qtbot)
    for threshold in (0.2, 0.8, 0.5):
        segment.cells_section.threshold.setValue(threshold)
        settled(segment, qtbot)
        as_left(claims)
    front(correct, qtbot)
    viewer.layers.selection.active = layers_of(segment).labels
    # The mark, the two reviewed cells and the shaved cell are taken back; three of them are done again.
    for _ in range(4):
        press_key(viewer, qtbot, Qt.Key.Key_Z, CONTROL)
    assert session.cells.n_changed == 5
    fewer = session.cells.corrected.corrections.claims().copy()
    as_left(fewer)
    for _ in range(3):
        press_key(viewer, qtbot, Qt.Key.Key_Z, CONTROL | Qt.KeyboardModifier.ShiftModifier)
    assert session.cells.n_changed == 8 and np.array_equal(session.cells.corrected.corrections.claims(), claims)
    shown = layers_of(segment).labels.data.copy()
    assert np.array_equal(shown, labels_now(correct))
    viewer.close()
    qtbot.wait(100)

    # Another day.
    viewer = make_napari_viewer(show=True)
    segment, correct, train = opened(viewer, qtbot)
    qtbot.waitUntil(lambda: not correct.banner.isHidden(), timeout=30_000)
    assert "Recover 12 corrections from" in correct.banner.text.text()
    front(correct, qtbot)
    press(correct.banner.yes, qtbot)
    session = segment.session
    qtbot.waitUntil(lambda: session.cells is not None and session.running is None, timeout=PATIENCE)
    assert np.array_equal(session.cells.corrected.corrections.claims(), claims)
    as_left(claims)
