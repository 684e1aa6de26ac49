"""A part of a panel that can be folded away."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy, QToolButton, QWidget

from .layout import in_column, in_row


class FoldTitle(QToolButton):
    """A flat button with an arrow, which points down while it is checked."""

    def __init__(self, name: str, text: str, tooltip: str) -> None:
        super().__init__(objectName=name, text=text, toolTip=tooltip, checkable=True)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setStyleSheet("QToolButton { border: 0; background: transparent; padding: 2px; }")
        self.setArrowType(Qt.ArrowType.RightArrow)
        self.toggled.connect(lambda on: self.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow))


class Fold(QWidget):
    """A title with an arrow, and what it shows or hides.

    Parameters
    ----------
    name : str
        Object name of the title.
    content : QWidget
    unfolded : bool
    """

    def __init__(self, name: str, title: str, tooltip: str, content: QWidget, unfolded: bool) -> None:
        super().__init__()
        self.content = content
        self.title = FoldTitle(name, title, tooltip)
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.title.toggled.connect(content.setVisible)
        self._head = in_row((self.title, 1), spacing=3)
        in_column(self._head, content, into=self, spacing=3)
        self.title.setChecked(unfolded)
        content.setVisible(unfolded)

    def add_beside(self, widget: QWidget) -> None:
        """Put a widget at the right of the title, where it is visible also when the content is folded."""
        self._head.addWidget(widget)

    def unfold(self, unfolded: bool) -> None:
        """Show or hide the content."""
        self.title.setChecked(unfolded)
