"""What every section of a job in the background has: a line that says how it goes, and a button that ends it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QPushButton, QWidget

from ..shared.bindings import Bindings
from ..shared.colors import Colors
from .child_job import ChildJob


class Message(QLabel):
    """Some sentences in the colour of good or bad news.

    Parameters
    ----------
    text : str
        Good news.
    objectName : str
    longest : int, optional
        Of a longer text the end is only in the tooltip: what is below must not move far.
    parent : QWidget, optional
    """

    def __init__(
        self, text: str = "", objectName: str = "", longest: int | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent, objectName=objectName)
        self._longest = longest
        self._colors: Colors | None = None
        self._warns = False
        self.said = ""
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.say(text)

    def say(self, text: str, warning: bool = False) -> None:
        """Show a text."""
        self.said, self._warns = text, warning
        cut = self._longest is not None and len(text) > self._longest
        self.setText(f"{text[: (self._longest or 0) - 2]} …" if cut else text)
        self.setToolTip(text if cut else "")
        self._paint()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self._paint()

    def _paint(self) -> None:
        if self._colors is not None:
            color = self._colors.warning if self._warns else self._colors.faint
            self.setStyleSheet(f"color: {color.name()};")


class CancelButton(QPushButton):
    """Asks a job to stop, and then stops it at once.

    Parameters
    ----------
    job : ChildJob
    objectName : str
    tooltip : str
        What becomes of the work.
    """

    def __init__(self, job: ChildJob, objectName: str, tooltip: str) -> None:
        super().__init__("Cancel", objectName=objectName)
        self._job = job
        self.setToolTip(tooltip)
        self.clicked.connect(job.cancel)
        self._bindings = Bindings(self)
        self._bindings.bind(job.changed, self._on_changed)
        self._on_changed()

    def _on_changed(self) -> None:
        self.setEnabled(self._job.running)
        self.setText("Stop now" if self._job.kind == "stopping" else "Cancel")
