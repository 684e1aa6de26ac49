"""The question whether corrections of before are to be recovered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from qtpy.QtWidgets import QFrame, QWidget

from ..shared.bindings import Bindings
from ..shared.colors import Colors
from ..shared.layout import button, in_column, in_row, one_line
from .bench import Bench
from .canvas import focus_canvas
from .recovery import Recovery, question


class RecoveryBanner(QFrame):
    """Shown only when there is something to recover for the chosen image."""

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        self.setObjectName("recovery_banner")
        self._recovery = recovery = bench.part(Recovery)
        self.text = one_line("recovery_question")
        tip = (
            "Take over the corrections that were made on this very image, as they were on the disk.\n"
            "Where it was not segmented yet it is segmented first, as it was then."
        )
        self.yes = button("recover", "Recover", tip, self._on_recover)
        tip = "Begin afresh. The corrections stay on the disk and are offered again next time."
        self.no = button("not_now", "Not now", tip, lambda: recovery.decline(bench.session.chosen))
        tip = "Do not offer these again. The file stays on the disk."
        self.never = button("never", "Never", tip, lambda: recovery.decline(bench.session.chosen, for_ever=True))
        answers = in_row(None, self.yes, self.no, self.never, spacing=6)
        in_column(self.text, answers, into=self, spacing=1, margins=(6, 1, 6, 2))
        self._bindings = Bindings(self)
        self._bindings.bind_each(self._on_change, recovery.changed, bench.session.state_changed)
        recovery.look(bench.session.chosen)
        self._on_change()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.setStyleSheet(
            f"QFrame#recovery_banner {{ border: 1px solid {colors.warning.name()}; border-radius: 4px; }}"
        )

    def _on_recover(self) -> None:
        self._recovery.recover(self._bench.session.chosen)
        focus_canvas(self._bench.viewer)

    def _on_change(self, _: Any = None) -> None:
        info = self._recovery.recoverable(self._bench.session.chosen)
        if info is not None:
            self.text.setText(question(info, datetime.now().astimezone()))
            self.text.setToolTip(str(info.path))
        self.yes.setEnabled(self._bench.session.running is None)
        self.setVisible(info is not None)
