"""How far the image in the background is, and its outcome; hidden while there is nothing to show."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QWidget

from ..shared.bindings import Bindings
from ..shared.colors import Colors
from ..shared.layout import SMALL, button, in_column, in_row
from ..shared.message import Message
from ..shared.progress_bar import ProgressBar
from .whole_run import WholeRun


class WholeSection(QFrame):
    """A sentence, a bar and a button."""

    def __init__(self, run: WholeRun, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("whole_section")
        self._run = run
        self.text = Message(objectName="whole_text", rows=2)
        self.progress = ProgressBar(objectName="whole_progress")
        self.progress.setFixedHeight(8)
        self.progress.setTextVisible(False)
        self.button = button("whole_cancel", "Cancel", "", self._on_button, style=SMALL)
        row = in_row((self.text, 1), self.button, spacing=2)
        row.setAlignment(self.button, Qt.AlignmentFlag.AlignTop)
        in_column(row, self.progress, into=self, spacing=2, margins=(6, 1, 6, 2))
        self._bindings = Bindings(self)
        self._bindings.bind(run.changed, self._on_changed)
        self._on_changed()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.setStyleSheet(f"QFrame#whole_section {{ border: 1px solid {colors.grid.name()}; border-radius: 4px; }}")

    def _on_button(self) -> None:
        if self._run.busy:
            self._run.cancel()
        else:
            self._run.dismiss()

    def _on_changed(self) -> None:
        run = self._run
        self.setVisible(run.has_news)
        self.text.report(run.text(), run.failed and not run.busy)
        self.setToolTip("" if run.folder is None else str(run.folder))
        busy = run.busy
        self.progress.setVisible(busy)
        if busy and run.job.kind != "running":
            self.progress.show_busy()
        else:
            self.progress.show_part(run.job.done if busy else 0)
        stopping = run.job.kind == "stopping"
        self.button.setText("Stop now" if stopping else "Cancel" if busy else "Close")
        self.button.setToolTip(
            "Stop. Finished blocks are kept, and the next start goes on with them." if busy else "Put this away."
        )
