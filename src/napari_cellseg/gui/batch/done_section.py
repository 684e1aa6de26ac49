"""The list of images, and what came of the batch: what stands out, contact sheet, report."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ...results.rows import BatchRow
from ..jobs.batch_job import BatchJob
from ..jobs.batch_rows import BatchRows
from ..shared.bindings import Bindings
from ..shared.colors import Colors
from ..shared.layout import shrinkable, small_button
from .table import ALL, CORRECTED, FAILED, FLAGGED, BatchModel, BatchTable

SHOW = {ALL: "all", FAILED: "failed", FLAGGED: "standing out", CORRECTED: "corrected"}
MANY = 3
LOW, HIGH = 190, 370
HINT = "Double-click an image to open it with its cells, ready for correction."


class BatchDoneSection(QWidget):
    """Table of the images with what can be done with them.

    Signals
    -------
    opened(BatchRow)
        An image is to be opened.
    save_asked(), sheet_asked(), report_asked()
    """

    opened = Signal(object)
    save_asked = Signal()
    sheet_asked = Signal()
    report_asked = Signal()

    def __init__(self, job: BatchJob, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._job, self._rows = job, job.rows
        self._colors: Colors | None = None
        self._n_unsaved = 0
        self._build()
        self._bindings = Bindings(self)
        rows: BatchRows = job.rows
        for signal in (rows.reset, rows.added, rows.changed, rows.flagged, job.changed):
            self._bindings.bind(signal, self._on_rows)
        self._on_rows()

    def set_unsaved(self, n_unsaved: int) -> None:
        """Say how many opened images were corrected and are not in the results yet."""
        self._n_unsaved = n_unsaved
        self.save.setText(f"Save corrected ({n_unsaved})" if n_unsaved else "Save corrected")
        self._on_rows()

    def set_low(self, low: bool) -> None:
        """Make room for what stands above the list, or use it."""
        self.table.setMinimumHeight(LOW if low else HIGH)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self.model.set_colors(colors)
        self._on_rows()

    def _build(self) -> None:
        self.model = BatchModel(self._rows, self)
        self.table = BatchTable()
        self.table.setModel(self.model)
        self.set_low(True)
        self.table.opened.connect(self.opened)
        self.table.selectionModel().selectionChanged.connect(self._on_rows)
        self.tally = QLabel(objectName="batch_tally")
        self.tally.setMinimumWidth(0)
        self.show_ = QComboBox(objectName="batch_show")
        for which, text in SHOW.items():
            self.show_.addItem(text, which)
        self.show_.setToolTip("Which images the list shows.")
        shrinkable(self.show_)
        self.show_.activated.connect(lambda i: self.model.set_show(self.show_.itemData(i)))
        self.about = QLabel(HINT, objectName="batch_about")
        self.about.setWordWrap(True)
        self.open = small_button("batch_open", "Open", "Open the selected image with its cells, ready for correction.")
        self.save = small_button(
            "batch_save_corrected",
            "Save corrected",
            "Put what you corrected in the opened images into the results: labels, tables and counts.\n"
            "They are marked as corrected, and no batch replaces them unless you say so.",
        )
        self.sheet = small_button("batch_sheet", "Contact sheet", "All images with the outlines of their cells.")
        self.report = small_button("batch_report", "Report", "Write report.html into the results, and show it.")
        self.open.clicked.connect(self._on_open)
        self.save.clicked.connect(self.save_asked)
        self.sheet.clicked.connect(self.sheet_asked)
        self.report.clicked.connect(self.report_asked)
        top = QHBoxLayout()
        top.addWidget(self.tally, 1)
        top.addWidget(self.show_)
        buttons = QGridLayout()
        buttons.setSpacing(4)
        for i, button in enumerate((self.open, self.save, self.sheet, self.report)):
            buttons.addWidget(button, *divmod(i, 2))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(top)
        column.addWidget(self.table)
        column.addWidget(self.about)
        column.addLayout(buttons)

    def _on_rows(self, *_: object) -> None:
        tally, row = self._rows.tally(), self.table.selected()
        n_done = tally["done"] + tally["skipped"] + tally["kept"]
        parts = [(n_done, "done"), (tally["failed"], "failed"), (len(self._rows) - n_done - tally["failed"], "to do")]
        self.tally.setText(", ".join(f"{n:,} {word}" for n, word in parts if n) or "no images yet")
        self.open.setEnabled(row is not None)
        self.save.setEnabled(self._n_unsaved > 0)
        for button in (self.sheet, self.report):
            button.setEnabled(n_done > 0)
        text, warning = self._about(row)
        self.about.setText(text)
        if self._colors is not None:
            self.about.setStyleSheet(f"color: {(self._colors.warning if warning else self._colors.faint).name()};")
            self.tally.setStyleSheet(f"color: {self._colors.faint.name()};")

    def _about(self, row: BatchRow | None) -> tuple[str, bool]:
        """Say what is to be known: of the selected image, or of those that stand out."""
        if row is not None:
            is_wrong = row.state == "failed" or (row.has_result and bool(row.error))
            if is_wrong or (row.image, row.page) in self._rows.flags or row.notes:
                return self.model.about(row).replace("\n", " "), is_wrong
        flags = self._rows.flags
        if not flags:
            return HINT, False
        named = [f"{' '.join(key).strip()} ({reason})" for key, reason in list(flags.items())[:MANY]]
        more = f" and {len(flags) - MANY} more" if len(flags) > MANY else ""
        verb = "image stands" if len(flags) == 1 else "images stand"
        return f"{len(flags):,} {verb} out: {', '.join(named)}{more}. Have a look.", True

    def _on_open(self) -> None:
        row = self.table.selected()
        if row is not None:
            self.opened.emit(row)
