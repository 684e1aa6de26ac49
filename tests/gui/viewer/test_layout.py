"""What the panels have in common."""

from __future__ import annotations

import gc

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QComboBox, QDoubleSpinBox, QSlider, QVBoxLayout, QWidget

from napari_cellseg.gui.shared.layout import leave_wheel


def turn_wheel(control: QWidget) -> None:
    """Turn the mouse wheel by a notch over a control."""
    place = QPointF(control.rect().center())
    event = QWheelEvent(
        place, QPointF(control.mapToGlobal(place.toPoint())), QPoint(0, 0), QPoint(0, 120),
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
