"""Lines of text: what they say can be copied."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLabel, QVBoxLayout, QWidget

from napari_cellseg.gui.shared.message import Message


def test_it_is_selected_with_the_mouse_and_copied(qtbot: Any) -> None:
    window = QWidget()
    layout, other = QVBoxLayout(window), QLabel("12 cells")
    message = Message("The file a.tif cannot be read.", rows=2)
    layout.addWidget(other)
    layout.addWidget(message)
    qtbot.addWidget(window)
    window.resize(300, 160)
    window.show()
    qtbot.waitExposed(window)
    qtbot.wait(50)
    selectable = Qt.TextInteractionFlag.TextSelectableByMouse
    assert not message.textInteractionFlags() & selectable, "Qt draws selectable texts again whenever others change"
    left, no_key = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QTest.mouseMove(message, QPoint(5, 8))
    qtbot.waitUntil(lambda: bool(message.textInteractionFlags() & selectable), timeout=2000)
    qtbot.wait(50)
    QTest.mouseDClick(message, left, no_key, QPoint(5, 8))
    QTest.mouseMove(other, QPoint(5, 5))
    qtbot.wait(50)
    assert message.selectedText() == "The", "what is selected stays"
    QTest.keyClick(message, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text() == "The"
