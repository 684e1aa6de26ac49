"""The question whether corrections of before are to be recovered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ..shared.bindings import Bindings
from ..shared.colors import Colors
from .bench import Bench
from .recovery import Recovery, question


class RecoveryBanner(QFrame):
    """Shown only when there is something to recover for the chosen image; the signal `shown(bool)` reports it."""

    shown = Signal(bool)

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        self.setObjectName("recovery_banner")
        self.text = QLabel(objectName="recovery_question")
        self.text.setWordWrap(True)
        self.yes = QPushButton("Recover", objectName="recover")
        self.yes.setToolTip(
            "Take over the corrections that were made on this very image, as they were on the disk.\n"
            "Where it was not segmented yet it is segmented first, as it was then."
        )
        self.no = QPushButton("Not now", objectName="not_now")
        self.no.setToolTip("Begin afresh. The corrections stay on the disk and are offered again next time.")
        self.never = QPushButton("Never", objectName="never")
        self.never.setToolTip("Do not offer these again. The file stays on the disk.")
        row = QHBoxLayout()
        row.addStretch(1)
        for button in (self.yes, self.no, self.never):
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 3, 8, 3)
        column.setSpacing(3)
        column.addWidget(self.text)
        column.addLayout(row)
        self._recovery = recovery = bench.part(Recovery)
        self.yes.clicked.connect(lambda: recovery.recover(bench.session.chosen))
        self.no.clicked.connect(lambda: recovery.decline(bench.session.chosen))
        self.never.clicked.connect(lambda: recovery.decline(bench.session.chosen, for_ever=True))
        self._bindings = Bindings(self)
        self._bindings.bind(recovery.changed, self._on_change)
        self._bindings.bind(bench.session.state_changed, self._on_change)
        recovery.look(bench.session.chosen)
        self._on_change()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.setStyleSheet(
            f"QFrame#recovery_banner {{ border: 1px solid {colors.warning.name()}; border-radius: 4px; }}"
        )

    def _on_change(self, _: Any = None) -> None:
        info = self._recovery.of(self._bench.session.chosen)
        if info is not None:
            self.text.setText(question(info, datetime.now().astimezone()))
            self.text.setToolTip(str(info.path))
        self.yes.setEnabled(self._bench.session.running is None)
        self.setVisible(info is not None)
        self.shown.emit(info is not None)
