"""Small things that every section lays out alike."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QSizePolicy

LABEL_WIDTH = 50
NARROWEST = 70
SMALL = "QPushButton { padding: 4px 3px; }"


def label(text: str) -> QLabel:
    """Return a label as wide as those above and below it, so that the controls line up."""
    widget = QLabel(text)
    widget.setMinimumWidth(LABEL_WIDTH)
    return widget


def shrinkable(box: QComboBox) -> None:
    """Let a chooser be narrower than its longest entry: the panel stays narrow whatever a file is called."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(4)
    box.setMinimumWidth(NARROWEST)


def heading(text: str) -> QLabel:
    """Return the title of a part of a panel."""
    widget = QLabel(text)
    widget.setStyleSheet("font-weight: bold; margin-top: 4px;")
    return widget


def small_button(name: str, text: str, tooltip: str, checkable: bool = False) -> QPushButton:
    """Return a button that shares a row with others and never widens the panel."""
    button = QPushButton(text, objectName=name)
    button.setToolTip(tooltip)
    button.setCheckable(checkable)
    button.setStyleSheet(SMALL)
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return button
