"""Small things that every section lays out alike."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QComboBox, QFrame, QLabel, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

WIDTH = 340
LABEL_WIDTH = 50
NARROWEST = 70
RECIPE_FILTER = "Recipe (*.json);;All files (*)"
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


class _WheelGuard(QObject):
    """Keeps the mouse wheel from controls that nobody clicked."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Leave the wheel to the scroll area unless the control was clicked."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)


def leave_wheel(*controls: QWidget) -> None:
    """Let the wheel scroll the panel over controls that were not clicked: a scroll must not change a value."""
    for control in controls:
        control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        control.installEventFilter(_WheelGuard(control))


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


def scrolled(widget: QWidget, column: QVBoxLayout) -> QScrollArea:
    """Fill a dock widget with a column of parts, which can be scrolled up and down where the window is too low."""
    column.setContentsMargins(8, 6, 8, 6)
    column.addStretch(1)
    inside = QWidget()
    inside.setLayout(column)
    scroll = QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setWidget(inside)
    outer = QVBoxLayout(widget)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.addWidget(scroll)
    widget.setMinimumWidth(WIDTH)
    inside.setMinimumWidth(0)
    return scroll
