"""What the sections of a dock have in common."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from ..shared.bindings import Bindings
from .bench import Bench


class Section(QWidget):
    """A part of a dock that is bound to the bench of its viewer; its connections end with it."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench
        self._bindings = Bindings(self)
