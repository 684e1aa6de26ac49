"""Small parts that all sections share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from qtpy.QtCore import QEvent, QModelIndex, QObject, Qt, QUrl
from qtpy.QtGui import QDesktopServices, QPaintEvent, QWheelEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSlider,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionComboBox,
    QStyleOptionViewItem,
    QStylePainter,
    QToolTip,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

WIDTH = 340
LABEL_WIDTH = 58
NARROWEST = 70
WIDEST_LIST, LIST_MARGIN = 640, 24
CELL_FILES = "Cells (*.tif *.tiff *.png *.zip *.roi *.geojson *.json *.npy);;All files (*)"
RECIPE_FILTER = "Recipe (*.json);;All files (*)"
SMALL = "QPushButton { padding: 4px 3px; }"
# The room beside the text that napari's own lists have is needed for the text.
NARROW_LIST = "QComboBox { padding: 3px 0 3px 6px; } QComboBox::drop-down { width: 18px; }"
HEADING = "font-weight: bold; margin-top: 4px;"


def label(text: str) -> QLabel:
    """Return a label as wide as those above and below it, so that the controls line up."""
    widget = QLabel(text)
    widget.setMinimumWidth(LABEL_WIDTH)
    return widget


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


class _NamesDelegate(QStyledItemDelegate):
    """Leaves out the middle of a long name: files of a plate differ at their ends."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        super().initStyleOption(option, index)
        option.textElideMode = Qt.TextElideMode.ElideMiddle


def elide_names(view: QAbstractItemView, column: int) -> None:
    """Let a column of a list or table hold names: where one has no room its middle is left out."""
    view.setItemDelegateForColumn(column, _NamesDelegate(view))


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
    """Text of the entry that a turn of the wheel would choose; an entry that opens something ends with "…"."""
    step, index = (-1 if up else 1), box.currentIndex()
    while 0 <= (index := index + step) < box.count():
        if box.model().flags(box.model().index(index, box.modelColumn())) & Qt.ItemFlag.ItemIsEnabled:
            return box.itemText(index)
    return ""


def sentence(name: str, text: str = "", selectable: bool = False) -> QLabel:
    """Return a text that breaks into lines."""
    made = QLabel(text, objectName=name)
    made.setWordWrap(True)
    if selectable:
        made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return made


def one_line(name: str) -> QElidingLabel:
    """Return a text that never widens the panel: where it has no room its middle is left out."""
    made = QElidingLabel(objectName=name)
    made.setElideMode(Qt.TextElideMode.ElideMiddle)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return made


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


def heading(text: str) -> QLabel:
    """Return the title of a part of a panel."""
    widget = QLabel(text)
    widget.setStyleSheet(HEADING)
    return widget


def button(name: str, text: str, tooltip: str, slot: Callable[..., object] | None = None) -> QPushButton:
    """Return a button; `slot` is called when it is clicked. Enter in a text beside it does not press it."""
    made = QPushButton(text, objectName=name)
    made.setToolTip(tooltip)
    made.setAutoDefault(False)
    if slot is not None:
        made.clicked.connect(slot)
    return made


def tick(name: str, text: str, tooltip: str, slot: Callable[..., object] | None = None, on: bool = False) -> QCheckBox:
    """Return a box to tick; `slot` is called with its state when that changes, not for the first one."""
    made = QCheckBox(text, objectName=name)
    made.setToolTip(tooltip)
    made.setChecked(on)
    if slot is not None:
        made.toggled.connect(slot)
    return made


def small_button(
    name: str, text: str, tooltip: str, checkable: bool = False, slot: Callable[..., object] | None = None
) -> QPushButton:
    """Return a button that shares a row with others and never widens the panel."""
    made = button(name, text, tooltip, slot)
    made.setCheckable(checkable)
    made.setStyleSheet(SMALL)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return made


def in_row(*parts: QWidget | tuple[QWidget, int] | None, spacing: int = 4) -> QHBoxLayout:
    """Return a row; a part may come with its share of the room, and None takes the room that is left."""
    made = QHBoxLayout()
    made.setContentsMargins(0, 0, 0, 0)
    made.setSpacing(spacing)
    for part in parts:
        if part is None:
            made.addStretch(1)
        else:
            made.addWidget(*(part if isinstance(part, tuple) else (part,)))
    return made


def in_column(*parts: QWidget | QLayout, into: QWidget | None = None, spacing: int = 4, left: int = 0) -> QWidget:
    """Put parts below each other into a widget, by default a new one, and return it."""
    inside = QWidget() if into is None else into
    made = QVBoxLayout(inside)
    made.setContentsMargins(left, 0, 0, 0)
    made.setSpacing(spacing)
    for part in parts:
        if isinstance(part, QLayout):
            made.addLayout(part)
        else:
            made.addWidget(part)
    return inside


def show_file(path: Path) -> bool:
    """Open a file or folder with the program that the system has for it; return whether there is one."""
    return bool(QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))))


def separator() -> QFrame:
    """Return a line between two parts of a panel."""
    made = QFrame()
    made.setFrameShape(QFrame.Shape.HLine)
    return made


def scrolled(widget: QWidget, column: QVBoxLayout, below: Sequence[QWidget] = ()) -> QScrollArea:
    """Fill a dock widget with a column of parts, which can be scrolled up and down where the window is too low.

    What stands `below` is always in sight, and whatever comes or goes there moves nothing in the column.
    """
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
    outer.setSpacing(0)
    outer.addWidget(scroll, 1)
    if below:
        foot = in_column(*below, spacing=3)
        foot.layout().setContentsMargins(8, 2, 8, 4)
        outer.addWidget(foot)
    widget.setMinimumWidth(WIDTH)
    inside.setMinimumWidth(0)
    return scroll
