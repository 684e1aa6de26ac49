"""Figures of a version on held-out images, its report, and the worst images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from ...evaluation.held_out import REPORT_FILE, HeldOutFigures, can_be_opened, held_out_samples, predict, read_figures
from ...imaging.errors import CellsegError
from ...network.versions import ModelVersion
from ...training.data.sample import Sample
from ..shared.colors import Colors, accent_button
from ..shared.fold import Fold
from ..shared.help import HelpButton
from ..shared.layout import HEADING, in_column, in_row, one_line, show_file, small_button
from ..shared.message import Message
from ..shared.rows import Rows
from ..shared.workers import Latest
from ..viewer.bench import Bench
from .pair_layers import PairLayers

ROWS = (
    ("f1", "cells found", "F1 score: a cell is found if its overlap (IoU) with a true one is at least half."),
    ("ap50", "precision", "Average precision at an overlap (IoU) of at least half, as mean over images."),
    ("iou", "IoU", "Pixels that are cell in both, of all that are cell in either."),
    ("dice", "Dice", "The same, with the overlap counted twice."),
    ("count_mae", "count error", "Mean absolute error of an image's count, in cells."),
    ("count_mape", "in per cent", "The same, in per cent of the true count."),
)
LIST_HEIGHT = 96
N_LISTED = 50
NO_FIGURES = "No image was held out, so it is unknown how good it is on images that it has not seen."


class TrainResultSection(QWidget):
    """Figures of a version that was trained on images with masks; hidden while nothing is shown.

    Signals
    -------
    used(str)
        The version was chosen: its folder.
    closed()
        The section was closed.
    """

    used = Signal(str)
    closed = Signal()

    def __init__(self, bench: Bench, report: Callable[[str, bool], object], layers: PairLayers) -> None:
        super().__init__()
        self._bench, self._report = bench, report
        self.version: ModelVersion | None = None
        self.figures: HeldOutFigures | None = None
        self._samples: list[Sample] | None = None
        self._layers = layers
        self._opening = Latest(bench.failure_to(report), owner=self)
        self._build()
        self.hide()

    @property
    def busy(self) -> bool:
        """Whether an image is being read and segmented."""
        return self._opening.busy

    def show_version(self, version: ModelVersion) -> None:
        """Show the figures of a version."""
        self.version, self._samples = version, None
        self.figures = figures = read_figures(version.path)
        self.title.setText(f"Model: {version.name}")
        images = "image" if figures is not None and figures.n_images == 1 else "images"
        self.about.report(
            NO_FIGURES if figures is None else f"On {figures.n_images} {images} held out, {figures.n_cells:,} cells:"
        )
        self.table.setVisible(figures is not None)
        self.worst.setVisible(figures is not None and bool(figures.worst))
        for name, cell in self._cells.items():
            cell.setText(_figure(name, figures.figures.get(name)) if figures is not None else "–")
        self.list.clear()
        for worst in figures.worst[:N_LISTED] if figures is not None else ():
            texts = (worst.name, f"{worst.n_true:,}", f"{worst.n_found:,}", f"{worst.ap:.2f}")
            self.list.add(texts, worst.name, right=(1, 2, 3))
        self.list.setEnabled(can_be_opened(version.path))
        there = (version.path / REPORT_FILE).is_file()
        self.report.setEnabled(there)
        self.report.setToolTip(
            "Open the report in the browser: all figures and curves, and the worst images with outlines."
            if there
            else "This version has left no report. The command 'evaluate' writes one."
        )
        self.show()

    def open_image(self, name: str) -> None:
        """Show an image that was held out, with the outlines of its cells and of those that the version finds."""
        version, known = self.version, self._samples
        if version is None:
            return

        def look() -> tuple[list[Sample], Sample, np.ndarray]:
            samples = held_out_samples(version.path) if known is None else known
            sample = next((s for s in samples if s.name == name), None)
            if sample is None:
                raise CellsegError(f"{name} is not among the images any more. Were files of the dataset changed?")
            return samples, sample, predict(sample, version)

        def there(answer: tuple[list[Sample], Sample, np.ndarray]) -> None:
            samples, sample, found = answer
            if self.version is version:
                self._samples = samples
                self._layers.show(sample, found)
                self._report(f"{name}: true cells in green, those that {version.name} finds in blue.", False)

        self._report(f"Opening {name} …", False)
        self._opening.ask(look, there)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.use.setStyleSheet(accent_button(colors, narrow=True))

    def _build(self) -> None:
        self.title = one_line("result_title")
        self.title.setStyleSheet(HEADING)
        self.about = Message(objectName="result_about")
        self.table = QWidget(objectName="result_table")
        grid = QGridLayout(self.table)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(1)
        self._cells = {name: QLabel("–", objectName=f"result_{name}") for name, *_ in ROWS}
        for i, (name, text, tip) in enumerate(ROWS):
            place = (i // 2, 2 * (i % 2))
            label = QLabel(text)
            self._cells[name].setStyleSheet("font-weight: bold;")
            for part in (label, self._cells[name]):
                part.setToolTip(tip)
            grid.addWidget(label, *place)
            grid.addWidget(self._cells[name], place[0], place[1] + 1)
        for i in (1, 3):
            grid.setColumnStretch(i, 1)
        tip = "Click one to open it with the true cells and those that were found."
        self.list = Rows("result_worst", ("Image", "True", "Found", "AP"), tip, LIST_HEIGHT)
        self.list.itemClicked.connect(lambda item, _: self.open_image(item.text(0)))
        tip = "The images that it did worst on. Click one to open it."
        self.worst = Fold("result_worst_fold", "Worst images first", tip, self.list, True)
        tip = "Segment with it from now on. Corrections stay."
        self.use = small_button("result_use", "Use it", tip, slot=self._on_use)
        self.report = small_button("result_report", "Report", "Open the report in the browser.", slot=self._on_report)
        tip = "Compare it with other trainings: figures, curves."
        self.compare = small_button("result_compare", "Compare runs", tip)
        tip = "Close this. The version stays in the list of models."
        self.close_it = small_button("result_close", "Close", tip, slot=self._on_close)
        buttons = in_row((self.use, 4), (self.report, 4), (self.compare, 6), (self.close_it, 3))
        title = in_row((self.title, 1), HelpButton("Figures of a model"))
        in_column(title, self.about, self.table, self.worst, buttons, into=self)

    def _on_use(self) -> None:
        if self.version is not None:
            self.hide()
            self.used.emit(str(self.version.path))

    def _on_report(self) -> None:
        if self.version is not None:
            path = self.version.path / REPORT_FILE
            if not show_file(path):
                self._report(f"No program opened the report. It is {path}", True)

    def _on_close(self) -> None:
        self.hide()
        self.closed.emit()


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name == "count_mape":
        return f"{100 * value:.0f} %"
    return f"{value:.1f} cells" if name == "count_mae" else f"{value:.2f}"
