"""A question inside the panel: one sentence and two buttons; nothing else waits for the answer."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QFrame, QWidget

from .colors import Colors
from .layout import button, in_column, in_row, sentence


class Question(QFrame):
    """Asks, and calls back on Yes; hidden while there is nothing to ask."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("question")
        self._then: Callable[[], object] | None = None
        self.text = sentence("question_text")
        self.yes = button("question_yes", "Yes", "", self._on_yes)
        self.no = button("question_no", "No", "", self.hide)
        in_column(self.text, in_row(None, self.yes, self.no, spacing=6), into=self, spacing=6, margins=(8, 6, 8, 6))
        self.hide()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.setStyleSheet(f"#question {{ border: 1px solid {colors.warning.name()}; border-radius: 4px; }}")
        self.text.setStyleSheet(f"color: {colors.warning.name()};")

    def ask(self, text: str, yes: str, no: str, then: Callable[[], object]) -> None:
        """Show a question; `then` is called when it is answered with yes."""
        self._then = then
        self.text.setText(text)
        self.yes.setText(yes)
        self.no.setText(no)
        self.show()

    def _on_yes(self) -> None:
        then, self._then = self._then, None
        self.hide()
        if then is not None:
            then()
