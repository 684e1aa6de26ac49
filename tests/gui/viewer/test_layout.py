"""What the panels have in common."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QSlider,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from napari_cellseg.gui.shared.choosers import leave_wheel
from napari_cellseg.gui.viewer.dock import DOCKS, TABS, open_dock

from ..conftest import draw_discs, press_segment
from ..fitting import clipped, fits

LONG = "a rather long name of an image/from_the_microscope_20261130_well_B07_site_3_of_sixty_four.ome.tif"


def turn_wheel(control: QWidget, turn: int = 120) -> None:
    """Turn the mouse wheel by a notch over a control."""
    place = QPointF(control.rect().center())
    event = QWheelEvent(
        place, QPointF(control.mapToGlobal(place.toPoint())), QPoint(0, 0), QPoint(0, turn),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(control, event)


@pytest.mark.parametrize("kind", [QDoubleSpinBox, QComboBox, QSlider])
def test_the_wheel_changes_only_what_was_clicked(kind: type[QWidget], qtbot: QtBot) -> None:
    panel, control, other = QWidget(), kind(), QDoubleSpinBox()
    if isinstance(control, QComboBox):
        control.addItems(["a", "b", "c"])
    column = QVBoxLayout(panel)
    for widget in (control, other):
        column.addWidget(widget)
    leave_wheel(control)
    gc.collect()
    qtbot.addWidget(panel)
    with qtbot.waitExposed(panel):
        panel.show()
    panel.activateWindow()
    qtbot.waitUntil(panel.isActiveWindow)
    other.setFocus()

    def value() -> float:
        return control.currentIndex() if isinstance(control, QComboBox) else control.value()

    if isinstance(control, QComboBox):
        control.setCurrentIndex(1)
    else:
        control.setValue(20)
    before = value()
    turn_wheel(control)
    assert value() == before and not control.hasFocus()
    control.setFocus()
    qtbot.waitUntil(control.hasFocus)
    turn_wheel(control)
    assert value() != before


def test_the_wheel_opens_nothing(qtbot: QtBot) -> None:
    box = QComboBox()
    box.addItems(["a", "b"])
    box.insertSeparator(2)
    box.addItem("from a file …")
    leave_wheel(box)
    qtbot.addWidget(box)
    with qtbot.waitExposed(box):
        box.show()
    box.activateWindow()
    box.setFocus()
    qtbot.waitUntil(box.hasFocus)
    opened: list[int] = []
    box.activated.connect(opened.append)
    for _ in range(4):
        turn_wheel(box, -120)
    assert box.currentText() == "b" and opened == [1]


def test_the_wheel_over_a_dock_changes_nothing(widget: Any, viewer: Any, qtbot: QtBot) -> None:
    viewer.add_image(np.zeros((2, 64, 64), np.float32), axis_labels=("c", "y", "x"))
    widget.model_section.unfold.click()
    asked = widget.session.recipe_asked()
    controls = [c for kind in (QComboBox, QAbstractSpinBox, QSlider) for c in widget.findChildren(kind)]
    assert {"diameter", "model", "channel", "device", "percentile_high"} <= {c.objectName() for c in controls}
    widget.run_section.segment.setFocus()
    for control in controls:
        for turn in (120, -120):
            turn_wheel(control, turn)
        assert not control.hasFocus(), control.objectName()
    assert widget.session.recipe_asked() == asked and QApplication.activeModalWidget() is None
    model = widget.model_section.model
    model.setFocus()
    turn_wheel(model, -120)
    assert widget.session.recipe_asked() == asked and QApplication.activeModalWidget() is None


def places(widget: Any) -> list[QPoint]:
    """Where what is pressed and dragged most often stands in the window."""
    controls = (widget.run_section.segment, widget.cells_section.threshold, widget.cells_section.min_size)
    return [control.mapTo(widget, QPoint()) for control in (*controls, widget.result_section.save)]


def test_messages_move_nothing_and_show_what_has_room(widget: Any, viewer: Any, network: Any, qtbot: QtBot) -> None:
    viewer.add_image(draw_discs(), name="discs")
    qtbot.wait(200)
    before, message = places(widget), widget.run_section.message
    press_segment(widget, qtbot)
    for text in ("", "Short.", f"{LONG} cannot be read. " + "Copy it again, or choose another one. " * 6):
        widget.session.note(text)
        qtbot.wait(30)
        assert places(widget) == before and message.text() == text
    assert QLabel.text(message).endswith("…") and "a rather long name" in QLabel.text(message)
    assert message.toolTip() == text and message.heightForWidth(message.width()) <= message.height()
    fits(widget.scroll, widget.result_section, whole=True)


def test_all_docks_and_the_table_fit_a_small_screen_with_long_names(
    segmented: Any, viewer: Any, plugin: None, qtbot: QtBot
) -> None:
    main = viewer.window._qt_window
    viewer.layers[0].name = LONG
    docks = {name: open_dock(viewer, name) for name in DOCKS}
    for name, dock in docks.items():
        open_dock(viewer, name)
        qtbot.wait(100)
        assert not clipped(dock), name
        assert dock.scroll.widget().minimumSizeHint().width() <= dock.scroll.viewport().width(), name
    bars = [bar for bar in main.findChildren(QTabBar) if bar.count() == len(TABS)]
    assert [[bar.tabText(i) for i in range(bar.count())] for bar in bars] == [list(TABS.values())]
    assert not clipped(main.centralWidget()) and bars[0].width() >= bars[0].sizeHint().width()
    open_dock(viewer, "segment")
    height = segmented.scroll.viewport().height()
    qtbot.mouseClick(segmented.result_section.table, Qt.MouseButton.LeftButton)
    qtbot.wait(100)
    assert segmented.scroll.viewport().height() == height and (main.width(), main.height()) == (1366, 768)
    fits(segmented.scroll, segmented.result_section, whole=True)


def test_docks_behind_others_cost_a_drag_nothing_and_are_right_once_they_are_seen(
    segmented: Any, viewer: Any, plugin: None, qtbot: QtBot
) -> None:
    batch, check = open_dock(viewer, "batch"), open_dock(viewer, "agreement")
    qtbot.waitUntil(lambda: check.in_view and not batch.in_view)
    assert "threshold 0.30" in batch.recipe_section.words.text()
    segmented.session.set_threshold(0.65)
    qtbot.waitUntil(lambda: "threshold 0.65" in check.settings.text(), timeout=5000)
    assert "threshold 0.30" in batch.recipe_section.words.text(), "it was not worked out: nobody sees it"
    assert batch.recipe_section.recipe().threshold == 0.65, "what would be run is right all the same"

    def click_tab(text: str) -> None:
        bars = viewer.window._qt_window.findChildren(QTabBar)
        bar, tab = next((bar, i) for bar in bars for i in range(bar.count()) if bar.tabText(i) == text)
        qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=bar.tabRect(tab).center())

    click_tab(TABS["batch"])
    qtbot.waitUntil(lambda: "threshold 0.65" in batch.recipe_section.words.text(), timeout=5000)
    assert batch.in_view and not check.in_view
    segmented.session.set_threshold(0.4)
    qtbot.waitUntil(lambda: "threshold 0.40" in batch.recipe_section.words.text(), timeout=5000)
    click_tab(TABS["agreement"])
    qtbot.waitUntil(lambda: "threshold 0.40" in check.settings.text(), timeout=5000)
