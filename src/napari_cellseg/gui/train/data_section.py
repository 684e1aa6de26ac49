"""Images with masks from elsewhere: what was found, what was skipped and why, what looks odd; and a look at them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QHeaderView, QLabel, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from ...imaging.errors import CellsegError
from ...imaging.progress import Progress
from ...training.data.choice import READY, SKIPPED, DataChoice, DataRow, data_rows, summary
from ...training.data.loading import Loaded, iter_load
from ...training.data.sample import Sample
from ...training.params import AugmentParams
from ..shared.bindings import Bindings
from ..shared.colors import Colors
from ..shared.fold import Fold
from ..shared.layout import small_button
from ..shared.workers import Latest, start_run
from ..viewer.bench import Bench
from .job import TrainJob
from .pair_layers import PairLayers

COLUMNS = ("Image", "Cells", "Size", "State")
LIST_HEIGHT = 112
N_PREVIEWED = 4


class TrainDataSection(QWidget):
    """The report on a dataset, as a list; hidden while corrections are learned from.

    Parameters
    ----------
    bench : Bench
    job : TrainJob
        Knows which dataset is chosen.
    tell : callable
        Shows a sentence, and whether it is bad news.
    augment : callable
        Returns how images are varied, for the preview.
    layers : PairLayers
        Shows what is looked at.

    Signals
    -------
    read()
        Images were read, or are no longer there.
    kinds_asked()
    """

    read = Signal()
    kinds_asked = Signal()

    def __init__(
        self,
        bench: Bench,
        job: TrainJob,
        tell: Callable[[str, bool], object],
        augment: Callable[[], AugmentParams],
        layers: PairLayers,
    ) -> None:
        super().__init__()
        self._bench, self._job, self._tell, self._augment = bench, job, tell, augment
        self.loaded: Loaded | None = None
        self.rows: list[DataRow] = []
        self.problem = ""
        self._choice: DataChoice | None = None
        self._reading: Any = None
        self._colors: Colors | None = None
        self._seed = 0
        self._layers = layers
        self._previews = Latest(self._on_failed)
        self._build()
        self._bindings = Bindings(self)
        self._bindings.bind(job.set_changed, self._on_chosen)
        self.destroyed.connect(self._previews.close)
        self._on_chosen()

    @property
    def busy(self) -> bool:
        """Whether the files are being read."""
        return self._reading is not None

    def selected(self) -> Sample | None:
        """The selected image; without one the first that can be used."""
        row = self._row()
        indices = [r.index for r in ([row] if row is not None else self.rows) if r.index is not None]
        return self.loaded.samples[indices[0]] if self.loaded is not None and indices else None

    def look(self) -> None:
        """Show the selected image with its masks; from then on the selection decides what is shown."""
        sample = self.selected()
        if sample is not None:
            self._layers.show(sample)

    def preview(self) -> None:
        """Show some images as the network will see them, varied; another press shows others."""
        if self.loaded is None:
            return
        try:
            augment = self._augment()
        except CellsegError as error:
            self._tell(str(error), True)
            return
        samples, seed = self.loaded.samples, self._seed
        self._seed += 1

        def draw() -> np.ndarray:
            from ...training.preview import preview

            chosen = np.random.default_rng(seed).permutation(len(samples))[:N_PREVIEWED]
            return preview([samples[i] for i in sorted(chosen)], augment, seed=seed)

        self._previews.ask(draw, lambda picture: self._layers.show_picture(picture, "varied as in training"))

    def cancel(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.quit()
            self._reading = None
            self.problem = "Reading the images was stopped. Choose them again."
            self._fill()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self._fill()

    def _build(self) -> None:
        self.list = QTreeWidget(objectName="data_images")
        self.list.setHeaderLabels(COLUMNS)
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setFixedHeight(LIST_HEIGHT)
        self.list.setToolTip("What was found: first what was skipped and why, then what looks odd.")
        self.list.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.list.header().setStretchLastSection(False)
        for column in (1, 2, 3):
            self.list.header().setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.list.itemSelectionChanged.connect(self._on_selected)
        self.list.itemDoubleClicked.connect(lambda *_: self.look())
        self.hint = QLabel(objectName="data_hint")
        self.hint.setWordWrap(True)
        self.hint.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.view = small_button(
            "data_look", "Look at the pairs", "Show the selected image with its masks. Then select others in the list."
        )
        self.varied = small_button(
            "data_preview", "Preview", "Show images as the network will see them: cut, turned, brighter or darker."
        )
        self.kinds = small_button(
            "data_kinds", "Kinds …", "Sort the images into kinds, and choose how often each is learned from."
        )
        self.stop = small_button("data_stop", "Stop reading", "Do not read these images any further.")
        self.view.clicked.connect(self.look)
        self.varied.clicked.connect(self.preview)
        self.kinds.clicked.connect(self.kinds_asked)
        self.stop.clicked.connect(self.cancel)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        for button, part in ((self.view, 5), (self.varied, 3), (self.kinds, 3), (self.stop, 4)):
            buttons.addWidget(button, part)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.list)
        column.addWidget(self.hint)
        column.addLayout(buttons)
        self.fold = Fold("data_fold", "no images", "Show or hide what was found.", inside, True)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.fold)

    def _on_chosen(self, *_: Any) -> None:
        choice = self._job.data
        self.setVisible(choice is not None)
        if choice == self._choice:
            return
        if self._reading is not None:
            self._reading.quit()
            self._reading = None
        self._choice, self.loaded, self.problem = choice, None, ""
        self._previews.close()
        if choice is None:
            self._layers.hide()
        else:
            self._read(choice)
        self._fill()

    def _read(self, choice: DataChoice) -> None:
        self._reading = worker = start_run(
            _iter_read,
            choice,
            yielded=lambda progress: self._on_progress(choice, progress),
            returned=lambda loaded: self._on_read(choice, loaded),
            failed=lambda error: self._on_read_failed(choice, error),
        )
        # A thread that goes on reading would keep its images.
        self.destroyed.connect(worker.quit)

    def _on_progress(self, choice: DataChoice, progress: Progress) -> None:
        if choice == self._choice and self.busy:
            self.fold.title.setText(f"reading {progress.done} of {progress.total} images")

    def _on_read(self, choice: DataChoice, loaded: Loaded) -> None:
        if choice == self._choice and self.busy:
            self._reading, self.loaded = None, loaded
            self._fill()
            self._job.changed.emit()

    def _on_read_failed(self, choice: DataChoice, error: BaseException) -> None:
        if choice != self._choice:
            return
        self._reading, self.problem = None, str(error) or type(error).__name__
        if not isinstance(error, (CellsegError, OSError)):
            self._bench.failed(error)
        self._fill()

    def _fill(self) -> None:
        with QSignalBlocker(self.list):
            self._fill_list()
        self.stop.setVisible(self.busy)
        if self.loaded is not None:
            self.fold.title.setText(summary(self.loaded.report))
            self.fold.title.setToolTip("\n".join(self.loaded.report.lines()))
        else:
            self.fold.title.setText("these images cannot be used" if self.problem else "reading …")
        self._show_row()
        self.read.emit()

    def _fill_list(self) -> None:
        row = self._row()
        selected = row.name if row is not None else None
        self.rows = [] if self.loaded is None else data_rows(self.loaded)
        self.list.clear()
        items = []
        for row in self.rows:
            item = QTreeWidgetItem([row.name, "–" if row.n_cells is None else f"{row.n_cells:,}", row.size, row.state])
            for column in range(len(COLUMNS)):
                item.setToolTip(column, f"{row.name}\n{row.why}".strip())
                if row.state != READY and self._colors is not None:
                    item.setForeground(column, self._colors.warning)
            item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            items.append(item)
        self.list.addTopLevelItems(items)
        for item in items:
            item.setSelected(item.text(0) == selected)

    def _row(self) -> DataRow | None:
        """The selected row."""
        items = self.list.selectedItems()
        return self.rows[self.list.indexOfTopLevelItem(items[0])] if items else None

    def _on_selected(self) -> None:
        self._show_row()
        row = self._row()
        if row is not None and row.index is not None and self._layers.shown:
            self.look()

    def _show_row(self) -> None:
        row = self._row()
        usable = self.loaded is not None and (row is None or row.state != SKIPPED)
        self.view.setEnabled(usable)
        for button in (self.varied, self.kinds):
            button.setEnabled(self.loaded is not None)
            # They make room for the button that is needed while files are read.
            button.setVisible(not self.busy)
        notes = " ".join(self.loaded.report.notes) if self.loaded is not None else ""
        text = self.problem or (f"{row.name}: {row.why}" if row is not None and row.why else notes)
        self.hint.setText(text)
        self.hint.setVisible(bool(text))
        if self._colors is not None:
            odd = bool(self.problem or (row is not None and row.why))
            color = self._colors.warning if odd else self._colors.faint
            self.hint.setStyleSheet(f"color: {color.name()};")

    def _on_failed(self, error: BaseException) -> None:
        if not isinstance(error, (CellsegError, OSError)):
            self._bench.failed(error)
        self._tell(str(error) or type(error).__name__, True)


def _iter_read(choice: DataChoice) -> Generator[Progress, None, Loaded]:
    try:
        return (yield from iter_load(choice.path, masks=choice.masks))
    except (RuntimeError, MemoryError) as error:
        # Workers of superqt drop a RuntimeError without a word.
        raise CellsegError(f"{type(error).__name__}: {error}. Close other programs, or use fewer images.") from error
