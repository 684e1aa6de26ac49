"""Wells of a batch: a map of each plate, a sheet of conditions to type or paste into, dots per well and condition."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, Signal
from qtpy.QtGui import QGuiApplication, QKeySequence, QMouseEvent
from qtpy.QtWidgets import QFileDialog, QHeaderView, QLabel, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from ...evaluation.conditions_table import Conditions, conditions_in, read_conditions
from ...evaluation.plates import WELLS_FILE, Plates, Well, measure_in_words, plates_of, write_plates
from ...imaging.errors import CellsegError
from ...imaging.write.csv_style import style_of
from ...reports.plate_diagrams import REPLICATES, conditions_svg, plate_svg, well_at
from ...results.counts import COUNTS_FILE
from ...results.origin import is_ours
from ...results.rows import BatchRow
from ..jobs.batch_job import BatchJob
from ..shared.choosers import chooser, fill
from ..shared.colors import Colors
from ..shared.diagram import Diagram
from ..shared.layout import in_column, in_row, small_button
from ..shared.message import Message, errors_to
from .results_window import ResultsWindow

SIZE = (1000, 640)
COLUMNS = ("well", "condition", "dose", "replicate")
HINT = "Type or paste the condition of each well, or open a CSV. A click on a well opens its first image."


class PlateMap(Diagram):
    """A square for each well of a plate; one that is clicked is opened.

    Signals
    -------
    clicked(str)
        Name of a well.
    """

    clicked = Signal(str)

    def __init__(self) -> None:
        super().__init__("batch_plate", "no wells yet")
        self.values: dict[str, float] = {}
        self._label, self._titles = "", {}  # type: tuple[str, dict[str, str]]
        self.setMouseTracking(True)

    def show_wells(self, wells: Iterable[Well], measure: str) -> None:
        """Show one measure of the wells of a plate."""
        wells = list(wells)
        self.values = {well.name: well.measures.get(measure, math.nan) for well in wells}
        self._titles = {well.name: well.condition for well in wells}
        self._label = measure_in_words(measure)
        self.update()

    def svg(self) -> str:
        """Return the map as the report draws it."""
        return plate_svg(self.values, self._label, self._titles, self.shape)

    def event(self, event: QEvent) -> bool:
        """Show the value and the condition of the well under the pointer."""
        if event.type() == QEvent.Type.ToolTip:
            well = well_at(self.values, self.shape, event.pos().x(), event.pos().y())
            condition = self._titles.get(well, "")
            self.setToolTip(f"{well}: {self.values[well]:,.4g} {self._label}\n{condition}".strip() if well else "")
        return bool(super().event(event))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Open a well."""
        if well := well_at(self.values, self.shape, event.position().x(), event.position().y()):
            self.clicked.emit(well)


class ConditionsPlot(Diagram):
    """One dot per well, with mean and interval of each condition."""

    def __init__(self) -> None:
        super().__init__("batch_conditions_plot", "The dots of the wells appear here once conditions are given.")
        self.plates, self.measure = Plates(()), ""

    def svg(self) -> str:
        """Return the diagram as the report draws it."""
        return conditions_svg(self.plates.conditions, self.measure, self.shape) if self.plates.conditions else ""


class ConditionSheet(QTableWidget):
    """Conditions by well, to type or paste into."""

    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("batch_conditions")
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setStretchLastSection(True)
        self.verticalHeader().hide()
        self._filling = False
        self.itemChanged.connect(lambda _: None if self._filling else self.edited.emit())

    def fill(self, wells: Iterable[tuple[str, str]], conditions: Conditions) -> None:
        """List wells by plate and name, with their conditions."""
        wells = list(wells)
        plates = ["plate"] if any(plate for plate, _ in wells) else []
        more = [name for about in conditions.values() for name in about]
        names = [*plates, *dict.fromkeys([*COLUMNS[:1], *(more or COLUMNS[1:])])]
        self._filling = True
        self.setColumnCount(len(names))
        self.setHorizontalHeaderLabels(names)
        self.setRowCount(len(wells))
        for i, (plate, well) in enumerate(wells):
            about = {"plate": plate, "well": well, **conditions.get((plate, well), conditions.get(("", well), {}))}
            for j, name in enumerate(names):
                self.setItem(i, j, QTableWidgetItem(about.get(name, "")))
        self._filling = False

    @property
    def rows(self) -> list[dict[str, str]]:
        """What is typed, by columns; wells without a condition are omitted."""
        names = [self.horizontalHeaderItem(j).text() for j in range(self.columnCount())]
        rows = [{name: self._text(i, j) for j, name in enumerate(names)} for i in range(self.rowCount())]
        return [row for row in rows if any(text for name, text in row.items() if name not in ("plate", "well"))]

    def _text(self, row: int, column: int) -> str:
        item = self.item(row, column)
        return "" if item is None else item.text().strip()

    def keyPressEvent(self, event: Any) -> None:
        """Paste cells of a spreadsheet from the chosen cell on."""
        if not event.matches(QKeySequence.StandardKey.Paste):
            super().keyPressEvent(event)
            return
        self._filling = True
        top, left = max(self.currentRow(), 0), max(self.currentColumn(), 0)
        for i, line in enumerate(QGuiApplication.clipboard().text().rstrip("\n").split("\n"), top):
            for j, text in enumerate(line.rstrip("\r").split("\t"), left):
                if i < self.rowCount() and j < self.columnCount():
                    self.setItem(i, j, QTableWidgetItem(text.strip()))
        self._filling = False
        self.edited.emit()


class BatchPlates(ResultsWindow):
    """The wells of a batch; a click on one opens its first image."""

    def __init__(self, job: BatchJob, parent: QWidget | None = None) -> None:
        super().__init__(job, "batch_plates", "Wells and conditions", SIZE, parent)
        self._of: Path | None = None
        self.plates = Plates(())
        self._build()
        self.fill()

    def fill(self, _: Any = None) -> None:
        """Show the wells of the present results, with the conditions that were given before."""
        conditions: Conditions = {}
        path = None if self._job.out is None else self._job.out / WELLS_FILE
        if self._job.out != self._of and path is not None and path.is_file() and is_ours(path):
            try:
                conditions = read_conditions(path)
            except CellsegError:
                conditions = {}
        elif self.sheet.rows:
            conditions = self._typed()
        self._of = self._job.out
        self.plates = plates_of(self._job.rows.in_order())
        self.sheet.fill([(well.plate, well.name) for well in self.plates.wells], conditions)
        self._choose_again()
        self.follow()

    def follow(self) -> None:
        """Show the wells with the conditions of the sheet."""
        with errors_to(self.message.report):
            self.plates = plates_of(self._job.rows.in_order(), self._typed())
            self.message.report(" ".join(self.plates.notes) or HINT)
        self._draw()

    def open_table(self, path: str | Path = "") -> None:
        """Take the conditions of a CSV, which is asked for where no path is given."""
        if not path:
            path, _ = QFileDialog.getOpenFileName(self, "Open a table of conditions", "", "Tables (*.csv *.txt *.tsv)")
        if path:
            with errors_to(self.message.report):
                conditions = read_conditions(Path(path))
                # One that fits no well is refused before it takes the place of what was typed.
                self.plates = plates_of(self._job.rows.in_order(), conditions)
                self.sheet.fill([(well.plate, well.name) for well in self.plates.wells], conditions)
                self.follow()

    def save(self) -> None:
        """Write wells.csv and conditions.csv into the results."""
        if (out := self._job.out) is not None:
            with errors_to(self.message.report):
                written = write_plates(self.plates, out, style_of(out / COUNTS_FILE))
                self.message.report(f"Saved: {', '.join(path.name for path in written)} in {out}.")

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        for part in (self.map, self.dots, self.message):
            part.set_colors(colors)

    def _typed(self) -> Conditions:
        rows = self.sheet.rows
        return conditions_in(rows, "The sheet") if rows else {}

    def _choose_again(self) -> None:
        for box, entries in (
            (self.measure, [(measure_in_words(name), name) for name in self.plates.measures]),
            (self.plate, [(name or "one plate", name) for name in dict.fromkeys(w.plate for w in self.plates.wells)]),
        ):
            known = [value for _, value in entries]
            fill(box, entries, box.currentData() if box.currentData() in known else next(iter(known), None))
        self.plate.setVisible(self.plate.count() > 1)

    def _draw(self, _: Any = None) -> None:
        measure = self.measure.currentData() or ""
        wells = [well for well in self.plates.wells if well.plate == self.plate.currentData()]
        self.map.show_wells(wells, measure)
        self.dots.plates, self.dots.measure = self.plates, measure
        self.dots.update()
        self.save_tables.setEnabled(bool(self.plates.wells))

    def _on_clicked(self, name: str) -> None:
        plate = self.plate.currentData()
        well = next(well for well in self.plates.wells if (well.plate, well.name) == (plate, name))
        row: BatchRow = (well.counted or well.rows)[0]
        self.opened.emit(row)

    def _build(self) -> None:
        self.map, self.dots, self.sheet = PlateMap(), ConditionsPlot(), ConditionSheet()
        self.map.clicked.connect(self._on_clicked)
        self.sheet.edited.connect(self.follow)
        self.measure = chooser("batch_measure", "What the colours and dots show.", [], self._draw)
        self.measure.setMinimumWidth(180)
        self.plate = chooser("batch_which_plate", "Which plate the map shows.", [], self._draw)
        self.message = Message(HINT, "batch_plates_message", rows=2)
        tip = "Take the conditions of a CSV with a column well."
        self.open = small_button("batch_open_conditions", "Open CSV …", tip, slot=lambda: self.open_table())
        tip = "Write wells.csv and conditions.csv into the results."
        self.save_tables = small_button("batch_save_wells", "Save tables", tip, slot=self.save)
        self.dots.setToolTip(REPLICATES)
        left = in_column(
            in_row(QLabel("Show"), self.measure, self.plate, None, spacing=6), self.map, self.dots, spacing=6
        )
        for diagram, share in ((self.map, 3), (self.dots, 2)):
            diagram.setMinimumSize(420, 180)
            left.layout().setStretchFactor(diagram, share)
        right = in_column(QLabel("Conditions"), self.sheet, in_row(self.open, self.save_tables), spacing=6)
        outer = QVBoxLayout(self)
        outer.addLayout(in_row((left, 3), (right, 2), spacing=10), 1)
        outer.addWidget(self.message)
