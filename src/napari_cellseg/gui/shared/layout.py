"""Small parts that all sections share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qtpy.QtCore import QModelIndex, Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

WIDTH = 340
LABEL_WIDTH = 58
CELL_FILES = "Cells (*.tif *.tiff *.png *.zip *.roi *.geojson *.json *.npy);;All files (*)"
RECIPE_FILTER = "Recipe (*.json);;All files (*)"
SMALL = "QPushButton { padding: 4px 3px; }"
HEADING = "font-weight: bold; margin-top: 4px;"


def label(text: str) -> QLabel:
    """Return a label as wide as those above and below it, so that the controls line up."""
    widget = QLabel(text)
    widget.setMinimumWidth(LABEL_WIDTH)
    return widget


class _NamesDelegate(QStyledItemDelegate):
    """Leaves out the middle of a long name: files of a plate differ at their ends."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        super().initStyleOption(option, index)
        option.textElideMode = Qt.TextElideMode.ElideMiddle


def elide_names(view: QAbstractItemView, column: int) -> None:
    """Let a column of a list or table hold names: where one has no room its middle is left out."""
    view.setItemDelegateForColumn(column, _NamesDelegate(view))


def sentence(name: str, text: str = "", selectable: bool = False) -> QLabel:
    """Return a text that breaks into lines."""
    made = QLabel(text, objectName=name)
    made.setWordWrap(True)
    if selectable:
        made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return made


def one_line(name: str, bold: bool = False) -> QElidingLabel:
    """Return a text that never widens the panel: where it has no room its middle is left out."""
    made = QElidingLabel(objectName=name)
    if bold:
        font = made.font()
        font.setBold(True)
        made.setFont(font)
    made.setElideMode(Qt.TextElideMode.ElideMiddle)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return made


def heading(text: str) -> QLabel:
    """Return the title of a part of a panel."""
    widget = QLabel(text)
    widget.setStyleSheet(HEADING)
    return widget


def button(
    name: str,
    text: str,
    tooltip: str,
    slot: Callable[..., object] | None = None,
    *,
    checkable: bool = False,
    style: str = "",
) -> QPushButton:
    """Return a button; `slot` is called when it is clicked. Enter in a text beside it does not press it."""
    made = QPushButton(text, objectName=name, toolTip=tooltip, checkable=checkable, styleSheet=style)
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
    made = button(name, text, tooltip, slot, checkable=checkable, style=SMALL)
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


def in_column(
    *parts: QWidget | QLayout,
    into: QWidget | None = None,
    spacing: int = 4,
    left: int = 0,
    margins: tuple[int, int, int, int] | None = None,
) -> QWidget:
    """Put parts below each other into a widget, by default a new one, and return it.

    The margins (left, top, right, bottom) are those of a frame; without them only that at the left can differ from 0.
    """
    inside = QWidget() if into is None else into
    made = QVBoxLayout(inside)
    made.setContentsMargins(*(margins or (left, 0, 0, 0)))
    made.setSpacing(spacing)
    for part in parts:
        if isinstance(part, QLayout):
            made.addLayout(part)
        else:
            made.addWidget(part)
    return inside


def in_grid(into: QWidget, *, spacing: int | None = None, vertical: int | None = None) -> QGridLayout:
    """Return an empty grid that fills a widget; its second column takes the room that the others leave."""
    made = QGridLayout(into)
    made.setContentsMargins(0, 0, 0, 0)
    if spacing is not None:
        made.setSpacing(spacing)
    if vertical is not None:
        made.setVerticalSpacing(vertical)
    made.setColumnStretch(1, 1)
    return made


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

    What stands `below` is always in sight, and what comes or goes there moves nothing in the column.
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
