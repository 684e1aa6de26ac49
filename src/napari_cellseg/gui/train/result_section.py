"""How good a version is on images that were held out: figures, its report, and the worst images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from qtpy.QtCore import Qt, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QHeaderView, QLabel, QTreeWidget, QTreeWidgetItem, QVBoxLayout
from qtpy.QtWidgets import QWidget as Widget

from ...evaluation.held_out import REPORT_FILE, HeldOutFigures, can_be_opened, held_out_samples, predict, read_figures
from ...imaging.errors import CellsegError
from ...network.versions import ModelVersion
from ...training.data.sample import Sample
from ..shared.colors import Colors, accent_button
from ..shared.fold import Fold
from ..shared.layout import SMALL, heading, small_button
from ..shared.workers import Latest
from ..viewer.bench import Bench
from .pair_layers import PairLayers

ROWS = (
    ("f1", "F1 at .5", "Cells found rightly, of all found and all there, when half of a cell's area must agree."),
    ("ap50", "AP at .5", "Average precision when half of a cell's area must agree, as mean over images."),
    ("iou", "IoU", "Pixels that are rightly cell, of all that are or are said to be."),
    ("dice", "Dice", "The same, the rightly found counted twice."),
    ("count_mae", "count error", "How many cells an image's count is off, on average."),
    ("count_mape", "in per cent", "The same, in per cent of the cells that are there."),
)
LIST_HEIGHT = 96
N_LISTED = 50
NO_FIGURES = "No image was held out, so nobody knows how good it is on images that it has not seen."


class TrainResultSection(Widget):
    """What is known of a version that was trained on images with masks; hidden while nothing is shown.

    Signals
    -------
    used(str)
        The version is to be used: its folder.
    closed()
        It was looked at and put away.
    compare_asked(object)
        It is to be compared with other runs: its folder.
    """

    used = Signal(str)
    closed = Signal()
    compare_asked = Signal(object)

    def __init__(self, bench: Bench, tell: Callable[[str, bool], object], layers: PairLayers) -> None:
        super().__init__()
        self._bench, self._tell = bench, tell
        self.version: ModelVersion | None = None
        self.figures: HeldOutFigures | None = None
        self._samples: list[Sample] | None = None
        self._colors: Colors | None = None
        self._layers = layers
        self._opening = Latest(self._on_failed)
        self.destroyed.connect(self._opening.close)
        self._build()
        self.hide()

    @property
    def busy(self) -> bool:
        """Whether an image is being read and segmented."""
        return self._opening.busy

    def show_version(self, version: ModelVersion) -> None:
        """Show what is known of a version."""
        self.version, self._samples = version, None
        self.figures = figures = read_figures(version.path)
        self.title.setText(f"Model: {version.name}")
        images = "image" if figures is not None and figures.n_images == 1 else "images"
        self.about.setText(
            NO_FIGURES if figures is None else f"On {figures.n_images} {images} held out, {figures.n_cells:,} cells:"
        )
        self.table.setVisible(figures is not None)
        self.worst.setVisible(figures is not None and bool(figures.worst))
        for name, cell in self._cells.items():
            cell.setText(_figure(name, figures.figures.get(name)) if figures is not None else "–")
        self.list.clear()
        for row in figures.worst[:N_LISTED] if figures is not None else ():
            item = QTreeWidgetItem([row.name, f"{row.n_true:,}", f"{row.n_found:,}", f"{row.ap:.2f}"])
            item.setToolTip(0, row.name)
            for column in (1, 2, 3):
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.list.addTopLevelItem(item)
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
                self._tell(f"{name}: true cells in green, those that {version.name} finds in blue.", False)

        self._tell(f"Opening {name} …", False)
        self._opening.ask(look, there)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self.about.setStyleSheet(f"color: {colors.faint.name()};")
        self.use.setStyleSheet(accent_button(colors).replace("4px 14px", "4px 3px"))
        for cell in self._cells.values():
            cell.setStyleSheet("font-weight: bold;")

    def _build(self) -> None:
        self.title = heading("Model")
        self.title.setObjectName("result_title")
        self.about = QLabel(objectName="result_about")
        self.about.setWordWrap(True)
        self.table = Widget(objectName="result_table")
        grid = QGridLayout(self.table)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(1)
        self._cells = {name: QLabel("–", objectName=f"result_{name}") for name, *_ in ROWS}
        for i, (name, text, tip) in enumerate(ROWS):
            place = (i // 2, 2 * (i % 2))
            label = QLabel(text)
            for part in (label, self._cells[name]):
                part.setToolTip(tip)
            grid.addWidget(label, *place)
            grid.addWidget(self._cells[name], place[0], place[1] + 1)
        for column in (1, 3):
            grid.setColumnStretch(column, 1)
        self.list = QTreeWidget(objectName="result_worst")
        self.list.setHeaderLabels(("Image", "True", "Found", "AP"))
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setFixedHeight(LIST_HEIGHT)
        self.list.setToolTip("Click one to open it with the true cells and those that were found.")
        self.list.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.list.header().setStretchLastSection(False)
        for column in (1, 2, 3):
            self.list.header().setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.list.itemClicked.connect(lambda item, _: self.open_image(item.text(0)))
        tip = "The images that it did worst on. Click one to open it."
        self.worst = Fold("result_worst_fold", "Worst images first", tip, self.list, True)
        self.use = small_button("result_use", "Use it", "Segment with it from now on. Corrections stay.")
        self.report = small_button("result_report", "Report", "Open the report in the browser.")
        self.compare = small_button("result_compare", "Compare runs", "Set it beside other trainings: figures, curves.")
        self.close_it = small_button("result_close", "Close", "Put this away. The version stays in the list of models.")
        self.use.clicked.connect(self._on_use)
        self.report.clicked.connect(self._on_report)
        self.compare.clicked.connect(lambda: self.compare_asked.emit(self.version.path if self.version else None))
        self.close_it.clicked.connect(self._on_close)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        for button, part in ((self.use, 4), (self.report, 4), (self.compare, 6), (self.close_it, 3)):
            button.setStyleSheet(SMALL)
            buttons.addWidget(button, part)
        column_ = QVBoxLayout(self)
        column_.setContentsMargins(0, 0, 0, 0)
        column_.setSpacing(4)
        for part_ in (self.title, self.about, self.table, self.worst):
            column_.addWidget(part_)
        column_.addLayout(buttons)

    def _on_use(self) -> None:
        if self.version is not None:
            self.hide()
            self.used.emit(str(self.version.path))

    def _on_report(self) -> None:
        if self.version is not None:
            path = self.version.path / REPORT_FILE
            if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))):
                self._tell(f"No program opened the report. It is {path}", True)

    def _on_close(self) -> None:
        self.hide()
        self.closed.emit()

    def _on_failed(self, error: BaseException) -> None:
        if not isinstance(error, (CellsegError, OSError)):
            self._bench.failed(error)
        self._tell(str(error) or type(error).__name__, True)


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name == "count_mape":
        return f"{100 * value:.0f} %"
    return f"{value:.1f} cells" if name == "count_mae" else f"{value:.2f}"
