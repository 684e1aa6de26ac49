"""A dataset of images with masks: which images were found, skipped or look odd, and a look at them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QWidget

from ...imaging.errors import CellsegError
from ...imaging.progress import Progress
from ...training.data.choice import READY, SKIPPED, DataChoice, DataRow, data_rows, summary
from ...training.data.doubtful_masks import CLASSES_OR_CELLS
from ...training.data.loading import Loaded, iter_load
from ...training.data.sample import Sample
from ...training.params import AugmentParams
from ..shared.bindings import Bindings
from ..shared.colors import Colors
from ..shared.fold import Fold
from ..shared.help import HelpButton
from ..shared.layout import in_column, in_row, small_button, tick
from ..shared.message import Message, errors_to
from ..shared.rows import Rows
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
    report : callable
        Shows a sentence; its second argument is whether it is bad news.
    augment : callable
        Returns how images are augmented, for the preview.
    layers : PairLayers
        Shows the selected image.

    Signals
    -------
    read()
        Images were read, or another dataset was chosen.
    """

    read = Signal()

    def __init__(
        self,
        bench: Bench,
        job: TrainJob,
        report: Callable[[str, bool], object],
        augment: Callable[[], AugmentParams],
        layers: PairLayers,
    ) -> None:
        super().__init__()
        self._bench, self._job, self._report, self._augment = bench, job, report, augment
        self.loaded: Loaded | None = None
        self.rows: list[DataRow] = []
        self.problem = ""
        self._choice: DataChoice | None = None
        self._reading: Any = None
        self._colors: Colors | None = None
        self._seed = 0
        self._layers = layers
        self._previews = Latest(bench.failure_to(report), owner=self)
        self._build()
        self._bindings = Bindings(self)
        self._bindings.bind(job.set_changed, self._on_chosen)
        self._on_chosen()

    @property
    def busy(self) -> bool:
        """Whether the files are being read."""
        return self._reading is not None

    def selected(self) -> Sample | None:
        """Return the selected image; without a selection the first usable one."""
        selected = self._row()
        indices = [r.index for r in ([selected] if selected is not None else self.rows) if r.index is not None]
        return self.loaded.samples[indices[0]] if self.loaded is not None and indices else None

    def look(self) -> None:
        """Show the selected image with its masks; from then on the layers follow the selection."""
        if (sample := self.selected()) is not None:
            self._layers.show(sample)

    def preview(self) -> None:
        """Show some augmented images as the network sees them; another press shows others."""
        if self.loaded is None:
            return
        samples, seed = self.loaded.samples, self._seed
        self._seed += 1

        def draw(augment: AugmentParams) -> np.ndarray:
            from ...training.preview import preview

            chosen = np.random.default_rng(seed).permutation(len(samples))[:N_PREVIEWED]
            return preview([samples[i] for i in sorted(chosen)], augment, seed=seed)

        with errors_to(self._report):
            asked = partial(draw, self._augment())
            self._previews.ask(asked, lambda picture: self._layers.show_picture(picture, "varied as in training"))

    def cancel(self) -> None:
        """Stop reading."""
        if self._stop_reading():
            self._set_problem("Reading the images was stopped. Choose them again.", True)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self._fill()

    def _build(self) -> None:
        tip = "The images that were found: first the skipped ones and why, then those that look odd."
        self.list = Rows("data_images", COLUMNS, tip, LIST_HEIGHT)
        self.list.itemSelectionChanged.connect(self._on_selected)
        self.list.itemDoubleClicked.connect(lambda *_: self.look())
        self.hint = Message(objectName="data_hint", hides=True)
        tip = "Take each connected piece of one value of a mask for one cell."
        self.classes = tick("data_classes", "Pieces are cells: the masks hold classes", tip, self._on_classes)
        tip = "Show the selected image with its masks. Then select others in the list."
        self.view = small_button("data_look", "Look at the pairs", tip, slot=self.look)
        tip = "Show images as the network will see them: cut, turned, brighter or darker."
        self.varied = small_button("data_preview", "Preview", tip, slot=self.preview)
        tip = "Sort the images into kinds, and choose how often each is learned from."
        self.kinds = small_button("data_kinds", "Kinds …", tip)
        self.stop = small_button("data_stop", "Stop reading", "Do not read these images any further.", slot=self.cancel)
        inside = in_column(
            self.list,
            self.hint,
            self.classes,
            in_row((self.view, 5), (self.varied, 3), (self.kinds, 3), (self.stop, 4)),
        )
        self.fold = Fold("data_fold", "no images", "Show or hide the images that were found.", inside, True)
        self.fold.add_beside(HelpButton("Images to train on"))
        in_column(self.fold, into=self)

    def _on_chosen(self, *_: Any) -> None:
        choice = self._job.data
        self.setVisible(choice is not None)
        if choice == self._choice:
            return
        self._stop_reading()
        self._choice, self.loaded, self.problem = choice, None, ""
        self._previews.close()
        if choice is None:
            self._layers.hide()
        else:
            self._read(choice)
        self._fill()

    def _on_classes(self, classes: bool) -> None:
        if self._choice is not None and classes != self._choice.classes:
            self._job.data = replace(self._choice, classes=classes)
            self._job.set_changed.emit(self._job.data.path)

    def _stop_reading(self) -> bool:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.quit()
        return reading is not None

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
        if choice == self._choice:
            self._reading = None
            self._bench.failure_to(self._set_problem)(error)

    def _set_problem(self, problem: str, _: bool) -> None:
        self.problem = problem
        self._fill()

    def _fill(self) -> None:
        self._fill_list()
        self.stop.setVisible(self.busy)
        asked = self.loaded is not None and any(CLASSES_OR_CELLS in why for _, why in self.loaded.report.suspicious)
        with QSignalBlocker(self.classes):
            self.classes.setChecked(self._choice is not None and self._choice.classes)
        self.classes.setVisible(asked or self.classes.isChecked())
        if self.loaded is not None:
            self.fold.title.setText(summary(self.loaded.report))
            self.fold.title.setToolTip("\n".join(self.loaded.report.lines()))
        else:
            self.fold.title.setText("these images cannot be used" if self.problem else "reading …")
        self._show_row()
        self.read.emit()

    def _fill_list(self) -> None:
        warning = None if self._colors is None else self._colors.warning
        self.rows = [] if self.loaded is None else data_rows(self.loaded)
        rows = []
        for found in self.rows:
            texts = (found.name, "–" if found.n_cells is None else f"{found.n_cells:,}", found.size, found.state)
            rows.append((texts, f"{found.name}\n{found.why}".strip(), warning if found.state != READY else None))
        self.list.fill(rows, right=(1,))

    def _row(self) -> DataRow | None:
        """Return the selected row."""
        place = self.list.selected_row()
        return None if place is None else self.rows[place]

    def _on_selected(self) -> None:
        self._show_row()
        selected = self._row()
        if selected is not None and selected.index is not None and self._layers.shown:
            self.look()

    def _show_row(self) -> None:
        selected = self._row()
        usable = self.loaded is not None and (selected is None or selected.state != SKIPPED)
        self.view.setEnabled(usable)
        for button in (self.varied, self.kinds):
            button.setEnabled(self.loaded is not None)
            # They make room for the button that is needed while files are read.
            button.setVisible(not self.busy)
        notes = " ".join(self.loaded.report.notes) if self.loaded is not None else ""
        why = f"{selected.name}: {selected.why}" if selected is not None and selected.why else ""
        self.hint.report(self.problem or why or notes, bool(self.problem or why))


def _iter_read(choice: DataChoice) -> Generator[Progress, None, Loaded]:
    try:
        return (yield from iter_load(choice.path, masks=choice.masks, classes=choice.classes))
    except (RuntimeError, MemoryError) as error:
        # Workers of superqt drop a RuntimeError without a word.
        raise CellsegError(f"{type(error).__name__}: {error}. Close other programs, or use fewer images.") from error
