"""Whether what a widget shows fits into its dock."""

from __future__ import annotations

import itertools
import time

from qtpy.QtCore import QRect
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QLabel, QPushButton, QScrollArea, QTabBar, QWidget
from superqt import QElidingLabel

from napari_cellseg.gui.shared.message import Message


def fits(scroll: QScrollArea, *controls: QWidget, whole: bool = False) -> None:
    """Assert that, once laid out, controls are in sight, nothing is too wide and, if asked, there is no scroll bar."""
    view, column = scroll.viewport(), scroll.widget()

    def cut_off() -> list[str]:
        places = {c.objectName(): QRect(c.mapTo(view, c.rect().topLeft()), c.size()) for c in controls}
        found = [name for name, place in places.items() if not view.rect().contains(place)]
        if column.minimumSizeHint().width() > view.width():
            found.append("all of it is too wide")
        if whole and scroll.verticalScrollBar().isVisible():
            found.append("there is something to scroll")
        return found

    # What was just shown or hidden is laid out first.
    QTest.qWait(20)
    deadline = time.monotonic() + 2
    while cut_off() and time.monotonic() < deadline:
        QTest.qWait(20)
    assert not cut_off(), cut_off()


def clipped(panel: QWidget) -> list[str]:
    """Names of the visible buttons, ticks, labels and tabs of a panel whose text has no room, or that others cover."""
    found = covered(panel)
    for kind in (QAbstractButton, QLabel, QTabBar):
        for control in panel.findChildren(kind):
            if not control.isVisible():
                continue
            metrics = control.fontMetrics()
            if isinstance(control, QTabBar):
                places = [(control.tabText(i), control.tabRect(i)) for i in range(control.count())]
                room = control.rect()
                found += [t for t, r in places if metrics.horizontalAdvance(t) > r.width() or not room.contains(r)]
            elif isinstance(control, (QElidingLabel, Message)) or (isinstance(control, QLabel) and control.wordWrap()):
                continue
            # What a button or a label of several colours needs, Qt knows best: margins, bold and arrows included.
            elif isinstance(control, QPushButton) or "</span>" in control.text():
                needed = control.sizeHint().width()
                found += [f"{control.objectName()}: {control.text()}"] * (needed > control.width())
            elif metrics.boundingRect(QRect(), 0, control.text().replace("&", "")).width() > control.width():
                found.append(f"{control.objectName()}: {control.text()}")
    return found


def covered(panel: QWidget) -> list[str]:
    """Pairs of names of visible parts that a layout puts over each other."""
    found = []
    for parent in (panel, *panel.findChildren(QWidget)):
        items = () if parent.layout() is None else map(parent.layout().itemAt, range(parent.layout().count()))
        parts = [item.widget() for item in items if item.widget() is not None and item.widget().isVisible()]
        for one, other in itertools.combinations(parts, 2):
            if one.geometry().intersects(other.geometry()):
                found.append(f"{one.objectName()} and {other.objectName()} lie over each other")
    return found
