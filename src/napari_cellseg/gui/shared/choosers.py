"""Lists to choose from, and controls that the mouse wheel changes only where it is meant for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from qtpy.QtCore import QEvent, QObject, QSignalBlocker, Qt
from qtpy.QtGui import QPaintEvent, QWheelEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QSlider,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolTip,
    QWidget,
)

NARROWEST = 70
WIDEST_LIST, LIST_MARGIN = 640, 24
# The room beside the text that napari's own lists have is needed for the text.
NARROW_LIST = "QComboBox { padding: 3px 0 3px 6px; } QComboBox::drop-down { width: 18px; }"


class Chooser(QComboBox):
    """List to choose from that never widens the panel: a long entry is elided in the middle, and whole in the list."""

    def __init__(self, parent: QWidget | None = None, **properties: object) -> None:
        super().__init__(parent, **properties)
        shrinkable(self)
        self.setStyleSheet(NARROW_LIST)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint as Qt does, with the middle of a long entry left out rather than its end."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        style, combo = self.style(), QStyle.ComplexControl.CC_ComboBox
        painter.drawComplexControl(combo, option)
        room = style.subControlRect(combo, option, QStyle.SubControl.SC_ComboBoxEditField, self).width() - 4
        option.currentText = self.fontMetrics().elidedText(option.currentText, Qt.TextElideMode.ElideMiddle, room)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def event(self, event: QEvent) -> bool:
        """Show the whole entry in the tooltip."""
        if event.type() == QEvent.Type.ToolTip and self.currentText():
            QToolTip.showText(event.globalPos(), f"{self.currentText()}\n\n{self.toolTip()}", self)
            return True
        return bool(super().event(event))

    def showPopup(self) -> None:
        """Show the list wide enough for its entries."""
        view = self.view()
        view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        view.setMinimumWidth(min(view.sizeHintForColumn(0) + LIST_MARGIN, WIDEST_LIST))
        super().showPopup()


def chooser(
    name: str, tooltip: str, entries: Iterable[tuple[str, object]] = (), slot: Callable[..., object] | None = None
) -> QComboBox:
    """Return a narrow list to choose from.

    Parameters
    ----------
    name, tooltip : str
    entries : iterable of (str, object)
        The text of each entry, and its data.
    slot : callable, optional
        Called with the number of the entry that the user has chosen.
    """
    made = Chooser(objectName=name)
    made.setToolTip(tooltip)
    for text, data in entries:
        made.addItem(text, data)
    if slot is not None:
        made.activated.connect(slot)
    return made


def fill(box: QComboBox, entries: Sequence[tuple[str, object]], chosen: object, otherwise: int = -1) -> None:
    """List entries where they are not listed already, and choose one by its data, or by its place for other data."""
    with QSignalBlocker(box):
        if list(entries) != [(box.itemText(i), box.itemData(i)) for i in range(box.count())]:
            box.clear()
            for text, data in entries:
                box.addItem(text, data)
        index = next((i for i, (_, data) in enumerate(entries) if data == chosen), otherwise)
        if box.currentIndex() != index:
            box.setCurrentIndex(index)


def shrinkable(box: QComboBox) -> None:
    """Let a chooser be narrower than its longest entry, so that a long file name does not widen the panel.

    The mouse wheel changes it only after it was clicked.
    """
    leave_wheel(box)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(4)
    box.setMinimumWidth(NARROWEST)


class _WheelGuard(QObject):
    """Keeps the mouse wheel from controls without the focus, and from entries of a chooser that open something."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Leave the wheel to the scroll area where it must not act."""
        if isinstance(event, QWheelEvent) and isinstance(watched, QWidget):
            up = event.angleDelta().y() > 0
            opens = isinstance(watched, QComboBox) and _next_entry(watched, up).endswith("…")
            if opens or not watched.hasFocus():
                event.ignore()
                return True
        return super().eventFilter(watched, event)


def leave_wheel(*controls: QWidget) -> None:
    """Let the wheel scroll the panel over controls without the focus: a scroll must not change a value."""
    for control in controls:
        if control.findChild(_WheelGuard, options=Qt.FindChildOption.FindDirectChildrenOnly) is None:
            control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            control.installEventFilter(_WheelGuard(control))


def guard_wheel(panel: QWidget) -> None:
    """Do so for all controls of a panel."""
    for kind in (QComboBox, QAbstractSpinBox, QSlider):
        leave_wheel(*panel.findChildren(kind))


def _next_entry(box: QComboBox, up: bool) -> str:
    """Return the text of the entry that a turn of the wheel would choose; one that opens something ends with "…"."""
    step, index = (-1 if up else 1), box.currentIndex()
    while 0 <= (index := index + step) < box.count():
        if box.model().flags(box.model().index(index, box.modelColumn())) & Qt.ItemFlag.ItemIsEnabled:
            return box.itemText(index)
    return ""
