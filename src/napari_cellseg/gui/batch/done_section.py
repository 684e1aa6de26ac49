"""The list of images with their results: those that stand out, contact sheet, report."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from ...results.rows import BatchRow
from ..jobs.batch_job import BatchJob
from ..jobs.batch_rows import BatchRows
from ..shared.bindings import Bindings
from ..shared.choosers import chooser
from ..shared.colors import Colors
from ..shared.help import HelpButton
from ..shared.layout import in_column, in_row, small_button
from ..shared.message import Message
from .rows_model import ALL, CORRECTED, FAILED, FLAGGED, BatchModel
from .table import BatchTable

SHOW = {ALL: "all", FAILED: "failed", FLAGGED: "standing out", CORRECTED: "corrected"}
MANY = 3
LOWEST, LOW, HIGH = 40, 84, 340
HINT = "Double-click an image to open it with its cells, ready for correction."


class BatchDoneSection(QWidget):
    """Table of the images, and buttons for the selected one and for all; the widget connects those for all.

    Signals
    -------
    opened(BatchRow)
        An image was chosen to be opened.
    """

    opened = Signal(object)

    def __init__(self, job: BatchJob, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._job, self._rows = job, job.rows
        self._n_unsaved, self._reporting = 0, False
        self._build()
        self._bindings = Bindings(self)
        rows: BatchRows = job.rows
        self._bindings.bind_each(self._on_rows, rows.reset, rows.added, rows.changed, rows.flagged, job.changed)
        self._bindings.bind(rows.reset, self._on_reset)
        self._on_reset()
        self._on_rows()

    def set_unsaved(self, n_unsaved: int) -> None:
        """Show how many opened images were corrected and are not in the results yet."""
        self._n_unsaved = n_unsaved
        self.save.setText(f"Save corrected ({n_unsaved})" if n_unsaved else "Save corrected")
        self._on_rows()

    def set_reporting(self, reporting: bool) -> None:
        """Switch the button of the report off while one is being written."""
        self._reporting = reporting
        self._on_rows()

    def set_low(self, low: bool, lowest: bool = False) -> None:
        """Make the list low and leave the text below it out, so that the settings above it fit; or show all of it.

        Where it has to be lowest, the line above it is left out, too.
        """
        self.table.setMinimumHeight((LOWEST if lowest else LOW) if low else HIGH)
        self.about.setVisible(not low)
        self._above.setVisible(not (low and lowest))

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.model.set_colors(colors)
        self.tally.setStyleSheet(f"color: {colors.faint.name()};")
        self._on_rows()

    def _build(self) -> None:
        self.model = BatchModel(self._rows, self)
        self.table = BatchTable()
        self.table.setModel(self.model)
        self.table.opened.connect(self.opened)
        self.table.selectionModel().selectionChanged.connect(self._on_rows)
        self.tally = QLabel(objectName="batch_tally")
        self.tally.setMinimumWidth(0)
        entries = [(text, which) for which, text in SHOW.items()]
        self.show_ = chooser("batch_show", "Which images the list shows.", entries)
        self.show_.activated.connect(lambda i: self.model.set_show(self.show_.itemData(i)))
        self.about = Message(HINT, "batch_about")
        tip = "Open the selected image with its cells, ready for correction."
        self.open = small_button("batch_open", "Open", tip, slot=self._on_open)
        tip = (
            "Save what you corrected in the opened images into the results: labels, tables and counts.\n"
            "They are marked as corrected, and no batch replaces them unless you ask for it."
        )
        self.save = small_button("batch_save_corrected", "Save corrected", tip)
        self.sheet = small_button("batch_sheet", "Contact sheet", "Show all images with the outlines of their cells.")
        tip = "Show the wells of the plates: a map, conditions to type or paste, a dot per well."
        self.plates = small_button("batch_plates_open", "Wells", tip)
        self.report = small_button("batch_report", "Report", "Write report.html into the results, and show it.")
        self._above = in_column(in_row((self.tally, 1), self.show_, HelpButton("List of images")))
        first, second = in_row(self.open, self.save), in_row(self.sheet, self.plates, self.report)
        column = in_column(self._above, self.table, self.about, first, second, into=self).layout()
        # Else the text below it takes the room, and lies over the list.
        column.setStretchFactor(self.table, 1)
        self.table.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        self.set_low(True)

    def _on_reset(self, *_: object) -> None:
        self.plates.setVisible(any(row.well[0] for row in self._rows.rows))

    def _on_rows(self, *_: object) -> None:
        tally, selected = self._rows.tally(), self.table.selected()
        n_done = tally["done"] + tally["skipped"] + tally["kept"]
        parts = [(n_done, "done"), (tally["failed"], "failed"), (len(self._rows) - n_done - tally["failed"], "to do")]
        self.tally.setText(", ".join(f"{n:,} {word}" for n, word in parts if n) or "no images yet")
        self.open.setEnabled(selected is not None)
        self.save.setEnabled(self._n_unsaved > 0)
        self.sheet.setEnabled(n_done > 0)
        self.report.setEnabled(n_done > 0 and not self._reporting)
        self.about.report(*self._about(selected))

    def _about(self, row: BatchRow | None) -> tuple[str, bool]:
        """Return a text about the selected image, or about those that stand out, and whether it is a warning."""
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
        if (selected := self.table.selected()) is not None:
            self.opened.emit(selected)
