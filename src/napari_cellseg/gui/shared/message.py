"""A line of text in the colour of good or bad news."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from qtpy.QtCore import QEvent, QRect, Qt
from qtpy.QtGui import QEnterEvent, QFontMetrics, QResizeEvent, QShowEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from ...imaging.errors import CellsegError
from .colors import Colors

WRAPPED = Qt.TextFlag.TextWordWrap
# The share of a row that one word may take: the words about a file matter as much as its name.
LONGEST_WORD = 0.6


class Message(QLabel):
    """Some sentences, faint, or as a warning; never wider than its place.

    Parameters
    ----------
    text : str
        Good news.
    objectName : str
    rows : int, optional
        It takes so many rows with any text, so that it moves nothing; the end of a longer text is only in the
        tooltip.
    hides : bool
        Whether there is no line at all while there is no text.
    parent : QWidget, optional
    """

    def __init__(
        self,
        text: str = "",
        objectName: str = "",
        rows: int | None = None,
        hides: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent, objectName=objectName)
        self._rows, self._hides = rows, hides
        self._colors: Colors | None = None
        self._warns = False
        self.full_text = ""
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.report(text)

    def text(self) -> str:
        """Return the whole text, though not all of it may have room."""
        return self.full_text

    def report(self, text: str, warning: bool = False) -> None:
        """Show a text."""
        self.full_text, self._warns = text, warning
        self._fit()
        if self._hides:
            self.setVisible(bool(text))
        self._paint()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self._paint()

    def enterEvent(self, event: QEnterEvent) -> None:
        """Let the text be selected while the mouse is on it; Qt draws such a text again when others change."""
        super().enterEvent(event)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def leaveEvent(self, event: QEvent) -> None:
        """Keep what is selected, to be copied."""
        super().leaveEvent(event)
        if not self.hasSelectedText():
            self.setTextInteractionFlags(Qt.TextInteractionFlag.LinksAccessibleByMouse)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show what has room now."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the size of the font."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._fit()

    def _fit(self) -> None:
        metrics, width = self.fontMetrics(), self.contentsRect().width()
        shown = fitted(self.full_text, metrics, width, self._rows) if self.isVisible() else self.full_text
        # Qt lays an equal text out again.
        if shown != super().text():
            super().setText(shown)
        self.setToolTip(self.full_text if shown != self.full_text else "")
        if self._rows is not None:
            self.setFixedHeight(self._rows * metrics.lineSpacing() + 2)

    def showEvent(self, event: QShowEvent) -> None:
        """Show what has room."""
        super().showEvent(event)
        self._fit()

    def _paint(self) -> None:
        if self._colors is not None:
            color = self._colors.warning if self._warns else self._colors.faint
            style = f"color: {color.name()}; padding: 0; margin: 0;"
            # Qt reads an equal one again.
            if style != self.styleSheet():
                self.setStyleSheet(style)


def fitted(text: str, metrics: QFontMetrics, width: int, rows: int | None = None) -> str:
    """Return as much of a text as has room, with the middle of a long word, such as a file name, left out.

    Parameters
    ----------
    text : str
    metrics : QFontMetrics
    width : int
        Of a row, in pixels.
    rows : int, optional
        Rows that there are; by default there is no end of them.

    Returns
    -------
    str
    """
    longest = round(LONGEST_WORD * width)
    words = [
        word if word.isspace() else metrics.elidedText(word, Qt.TextElideMode.ElideMiddle, longest)
        for word in re.split(r"(\s+)", text)
    ]

    def fits(n: int) -> bool:
        shown = "".join(words[:n]).rstrip() + " …" * (n < len(words))
        height = metrics.boundingRect(QRect(0, 0, width, 1 << 16), WRAPPED, shown).height()
        return rows is None or round(height / metrics.lineSpacing()) <= rows

    if fits(len(words)):
        return "".join(words)
    n = bisect_left(range(1, len(words)), True, key=lambda n: not fits(n))
    return "".join(words[:n]).rstrip() + " …"


@contextmanager
def errors_to(report: Callable[[str, bool], object]) -> Iterator[None]:
    """Report an expected error that ends the work inside, and go on after it.

    Parameters
    ----------
    report : callable
        Shows a sentence; its second argument is whether it is bad news.
    """
    try:
        yield
    except (CellsegError, OSError) as error:
        report(str(error) or type(error).__name__, True)
