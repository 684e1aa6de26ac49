"""A window that sorts images into kinds: names can be edited, images moved, shares set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtWidgets import QComboBox, QDialog, QFileDialog, QLabel, QListView, QVBoxLayout, QWidget

from ...evaluation.kinds_table import KindTable, Source, iter_by_looks, sources, table_of
from ...imaging.errors import CellsegError
from ...imaging.progress import Progress
from ...training.data.choice import DataChoice
from ...training.data.loading import Loaded
from ..shared.colors import Colors, accent_button
from ..shared.layout import button, in_column, in_row
from ..shared.message import Message, errors_to
from ..shared.numbers import DecimalBox
from ..shared.pictures import picture_list
from ..shared.workers import start_run
from .kinds_list import NO_KIND, KindsList, kind_name
from .kinds_pictures import SIDE, PictureModel

SIZE = (940, 600)
KINDS, MOST_KINDS = 3, 20


class KindsWindow(QDialog):
    """Sorts a dataset's images into kinds.

    Parameters
    ----------
    data : DataChoice
    loaded : Loaded
    chosen : Path or None
        The table of kinds that is in use.
    weights : dict of str to float
        The weights in use.
    colors : Colors
    parent : QWidget, optional

    Signals
    -------
    used(object, object)
        Kinds were chosen: a table's path, or None for that of the dataset itself, and the weights.
    """

    used = Signal(object, object)

    def __init__(
        self,
        data: DataChoice,
        loaded: Loaded,
        chosen: Path | None,
        weights: Mapping[str, float],
        colors: Colors,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("napari_cellseg_kinds")
        self.setWindowTitle(f"Kinds of images: {data.name}")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(*SIZE)
        self._data, self._loaded, self._weights, self._colors = data, loaded, dict(weights), colors
        self.table = table_of(loaded.samples)
        # Manual changes stay when another source is looked at in between.
        self._tables: dict[Source, KindTable] = {}
        self._sources = sources(data, loaded, chosen)
        self._sorting: Any = None
        self.model = PictureModel(loaded.samples)
        self._build()
        self._lay_out()
        self._choose_source(0)

    @property
    def source(self) -> Source:
        """Where the kinds come from."""
        return self._sources[self.sources.currentIndex()]

    @property
    def busy(self) -> bool:
        """Whether images are being sorted."""
        return self._sorting is not None

    def selected_images(self) -> list[str]:
        """Return the names of the selected images."""
        return [self.model.names[index.row()] for index in self.pictures.selectionModel().selectedIndexes()]

    def sort(self) -> None:
        """Sort the images by how they look."""
        self._stop()
        self.hint.report("Looking at the images …")
        k = min(round(self.number.value()), len(self._loaded.samples))
        self._sorting = worker = start_run(
            iter_by_looks, self._loaded.samples, k, yielded=self._on_looked, returned=self._on_sorted,
            failed=self._on_failed,
        )  # fmt: skip
        self.destroyed.connect(worker.quit)
        self._enable()

    def move_selected(self) -> None:
        """Move the selected images to the kind that is named."""
        images = self.selected_images()
        with errors_to(self.hint.report):
            self._show(self.table.moved(images, kind_name(self.to.currentText())))

    def save_copy(self, path: Path) -> None:
        """Write the table to a file of the user's choice."""
        with errors_to(self.hint.report):
            self.table.write(path)
            self.hint.report(f"Saved as {path}.")

    def use(self) -> None:
        """Keep the table, and let trainings use it."""
        source, untouched = self.source, self.table.kinds == table_of(self._loaded.samples).kinds
        with errors_to(self.hint.report):
            path = None if source.given and untouched else self.table.keep(self._data)
            self.used.emit(path, self.table.chosen_weights())
            self.accept()

    def done(self, result: int) -> None:
        """Stop sorting when the window closes."""
        self._stop()
        super().done(result)

    def _build(self) -> None:
        tip = "Where the kinds come from. Changes stay when you look at another source."
        self.sources = QComboBox(objectName="kinds_source", toolTip=tip)
        self.sources.addItems([source.title for source in self._sources])
        self.sources.currentIndexChanged.connect(self._choose_source)
        self.number = DecimalBox(objectName="kinds_number", prefix="into ", suffix=" kinds")
        self.number.setDecimals(0)
        self.number.setRange(1, min(MOST_KINDS, len(self._loaded.samples)))
        self.number.setValue(KINDS)
        tip = "Sort all images again, by their colours and intensities. Your changes are discarded."
        self.again = button("kinds_sort", "Sort", tip, self.sort)
        self.kinds = KindsList()
        self.kinds.renamed.connect(self._on_renamed)
        self.kinds.weighted.connect(self._on_weighted)
        self.kinds.itemSelectionChanged.connect(self._show_pictures)
        clear = self.kinds.clearSelection
        self.every = button("kinds_all", "All images", "Show the images of all kinds.", clear)
        tip = "Learn from every kind equally often, so that a frequent one does not outweigh a rare one."
        self.even = button("kinds_even", "Same share", tip, lambda: self._show(self.table.even()))
        tip = "Learn from each kind as often as there are images of it."
        plain = lambda: self._show(self.table.unweighted())  # noqa: E731
        self.as_they_are = button("kinds_as_they_are", "As they are", tip, plain)
        self.pictures = picture_list("kinds_pictures", self.model, SIDE, QSize(SIDE + 18, SIDE + 30))
        self.pictures.setSelectionMode(QListView.SelectionMode.ExtendedSelection)
        self.pictures.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.pictures.setToolTip("Select images (several with Ctrl or Shift), then move them to another kind.")
        self.pictures.selectionModel().selectionChanged.connect(lambda *_: self._enable())
        self.to = QComboBox(objectName="kinds_to")
        self.to.setEditable(True)
        self.to.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.to.setToolTip("A kind, or the name of a new one.")
        self.to.editTextChanged.connect(lambda *_: self._enable())
        self.move_button = button("kinds_move", "Move", "Move the selected images to this kind.", self.move_selected)
        self.moved_text = QLabel(objectName="kinds_moved_text")
        self.hint = Message(objectName="kinds_hint")
        self.hint.set_colors(self._colors)
        tip = "Write the table to a file of your own: image_id, kind, group."
        self.copy = button("kinds_copy", "Save a copy …", tip, self._on_copy)
        tip = "Keep them, and learn with them from the next Start on."
        self.use_button = button("kinds_use", "Use these kinds", tip, self.use)
        self.use_button.setStyleSheet(accent_button(self._colors))
        tip = "Close this window. Changes that are not used are discarded."
        self.close_button = button("kinds_close", "Close", tip, self.reject)

    def _lay_out(self) -> None:
        left = in_column(self.kinds, in_row(self.every, self.even, self.as_they_are, spacing=6), spacing=6)
        mover = in_row(self.moved_text, (self.to, 1), self.move_button, spacing=6)
        right = in_column(self.pictures, mover, spacing=6)
        outer = QVBoxLayout(self)
        outer.addLayout(in_row(QLabel("Kinds from"), self.sources, self.number, self.again, None, spacing=6))
        outer.addLayout(in_row((left, 4), (right, 6), spacing=6), 1)
        outer.addWidget(self.hint)
        outer.addLayout(in_row(self.copy, None, self.use_button, self.close_button, spacing=6))

    def _choose_source(self, index: int) -> None:
        self._stop()
        source = self._sources[index]
        by_looks = source.path is None and not source.given
        for widget in (self.number, self.again):
            widget.setVisible(by_looks)
        known = self._tables.get(source)
        if known is not None:
            self._show(known)
        elif by_looks:
            self.sort()
        else:
            with errors_to(self.hint.report):
                table = source.table(self._data, self._loaded)
                weights = {kind: w for kind, w in self._weights.items() if kind in table.kinds} if index == 0 else {}
                self._show(replace(table, weights=weights))

    def _show(self, table: KindTable) -> None:
        """Show other kinds; those that were selected stay so."""
        selected = self.selected_images()
        self.table = self._tables[self.source] = table
        self.kinds.show_table(table)
        with QSignalBlocker(self.to):
            text = self.to.currentText()
            self.to.clear()
            self.to.addItems([kind or NO_KIND for kind in self.kinds.names])
            self.to.setEditText(text)
        self._show_pictures()
        self._select_images(selected)
        self._explain()
        self._enable()

    def _on_weighted(self, kind: str, share: float) -> None:
        # Not shown again: the control is still in use.
        self.table = self._tables[self.source] = self.table.weighted(kind, share)
        self._explain()

    def _on_renamed(self, old: str, new: str) -> None:
        try:
            self._show(self.table.renamed(old, new))
        except CellsegError as error:
            self._show(self.table)
            self.hint.report(str(error), True)

    def _show_pictures(self) -> None:
        shown = set(self.kinds.selected() or self.kinds.names)
        kind_of = dict(zip(self.table.images, self.table.kinds, strict=True))
        place = {kind: i for i, kind in enumerate(self.kinds.names)}
        names = sorted((name for name, kind in kind_of.items() if kind in shown), key=lambda n: (place[kind_of[n]], n))
        self.model.show(names, kind_of)
        self._enable()

    def _select_images(self, names: list[str]) -> None:
        places = {name: i for i, name in enumerate(self.model.names)}
        model = self.pictures.selectionModel()
        for name in names:
            if name in places:
                model.select(self.model.index(places[name]), model.SelectionFlag.Select)

    def _explain(self) -> None:
        table, total = self.table, sum(self.table.shares().values())
        divided = table.divided()
        if divided:
            self.hint.report(
                f"Images of one field of view are in two kinds ({divided[0]}): some may be learned from while others "
                "are held out, which flatters. Move them together.",
                True,
            )
        elif table.weights and abs(total - 1) > 1e-3:
            self.hint.report(f"The shares add up to {100 * total:.0f} %; they count relative to each other.")
        else:
            self.hint.report(
                f"{len(table.images):,} images in {len(table.counts())} kinds. Click a kind to see its images."
            )

    def _enable(self) -> None:
        n = len(self.selected_images())
        self.moved_text.setText(f"Move {n} selected to" if n else "Select images to move them to")
        self.move_button.setEnabled(n > 0 and bool(self.to.currentText().strip()) and not self.busy)
        for widget in (self.kinds, self.pictures, self.even, self.as_they_are, self.use_button, self.copy, self.again):
            widget.setEnabled(not self.busy)

    def _on_looked(self, progress: Progress) -> None:
        if self.busy:
            self.hint.report(f"Looking at the images: {progress.done} of {progress.total} …")

    def _on_sorted(self, table: KindTable) -> None:
        if self.busy:
            self._sorting = None
            self._show(table)

    def _on_failed(self, error: BaseException) -> None:
        if self.busy:
            self._sorting = None
            self._enable()
            self.hint.report(str(error) or type(error).__name__, True)

    def _on_copy(self) -> None:
        start = str(self._data.path.parent / "kinds.csv")
        path, _ = QFileDialog.getSaveFileName(self, "Save the kinds as", start, "Tables (*.csv)")
        # The dialog asked whether to replace exactly this file.
        if path:
            self.save_copy(Path(path))

    def _stop(self) -> None:
        if self._sorting is not None:
            self._sorting.quit()
            self._sorting = None
