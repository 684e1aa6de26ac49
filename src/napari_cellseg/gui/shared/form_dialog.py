"""A form in a dialog of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QVBoxLayout, QWidget

from .form import Form

Params = TypeVar("Params")
WIDTH = 460


class FormDialog(QDialog, Generic[Params]):
    """Asks for some settings.

    Parameters
    ----------
    form : Form
    title, accept : str
        Of the window and of its button.
    note : str
        What is shown above the form.
    complete : callable
        Takes the settings and returns whether the dialog can be accepted.
    parent : QWidget, optional
    """

    def __init__(
        self,
        form: Form[Params],
        title: str,
        accept: str,
        note: str,
        complete: Callable[[Params], bool],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setMinimumWidth(WIDTH)
        self.form, self._complete = form, complete
        about = QLabel(note)
        about.setWordWrap(True)
        about.setVisible(bool(note))
        buttons = QDialogButtonBox()
        self.ok = buttons.addButton(accept, QDialogButtonBox.ButtonRole.AcceptRole)
        self.no = buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        for part in (about, form, buttons):
            column.addWidget(part)
        form.changed.connect(self._enable)
        self._enable()

    def _enable(self) -> None:
        self.ok.setEnabled(self._complete(self.form.value))
