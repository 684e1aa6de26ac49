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
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_cellseg.gui.shared.layout import leave_wheel


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
