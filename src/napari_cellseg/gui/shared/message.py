"""A line of text in the colour of good or bad news."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

from ...imaging.errors import CellsegError
from .colors import Colors


class Message(QLabel):
    """Some sentences, faint, or as a warning.

    Parameters
    ----------
    text : str
        Good news.
    objectName : str
    longest : int, optional
        The end of a longer text is only in the tooltip: what stands below must not move far.
    hides : bool
        Whether there is no line at all while there is no text.
    parent : QWidget, optional
    """

    def __init__(
        self,
        text: str = "",
        objectName: str = "",
        longest: int | None = None,
        hides: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent, objectName=objectName)
        self._longest, self._hides = longest, hides
        self._colors: Colors | None = None
        self._warns = False
        self.full_text = ""
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.report(text)

    def report(self, text: str, warning: bool = False) -> None:
        """Show a text."""
        self.full_text, self._warns = text, warning
        cut = self._longest is not None and len(text) > self._longest
        self.setText(f"{text[: (self._longest or 0) - 2]} …" if cut else text)
        self.setToolTip(text if cut else "")
        if self._hides:
            self.setVisible(bool(text))
        self._paint()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self._paint()

    def _paint(self) -> None:
        if self._colors is not None:
            color = self._colors.warning if self._warns else self._colors.faint
            self.setStyleSheet(f"color: {color.name()}; padding: 0; margin: 0;")


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
