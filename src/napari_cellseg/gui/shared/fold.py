"""A part of a panel that can be folded away."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QToolButton, QVBoxLayout, QWidget


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
        self.title = QToolButton(objectName=name)
        self.title.setText(title)
        self.title.setToolTip(tooltip)
        self.title.setCheckable(True)
        self.title.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.title.setStyleSheet("QToolButton { border: 0; background: transparent; padding: 2px; }")
        self.title.toggled.connect(self._on_toggled)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        self._head = QHBoxLayout()
        self._head.setSpacing(3)
        self._head.addWidget(self.title, 1)
        column.addLayout(self._head)
        column.addWidget(content)
        self.title.setChecked(unfolded)
        self._on_toggled(unfolded)

    def add_beside(self, widget: QWidget) -> None:
        """Put a widget at the right of the title, where it is visible also when the content is folded."""
        self._head.addWidget(widget)

    def unfold(self, unfolded: bool) -> None:
        """Show or hide the content."""
        self.title.setChecked(unfolded)

    def _on_toggled(self, unfolded: bool) -> None:
        self.title.setArrowType(Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow)
        self.content.setVisible(unfolded)
