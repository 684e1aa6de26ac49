"""Small things that every section lays out alike."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QLabel

LABEL_WIDTH = 50
NARROWEST = 70


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
