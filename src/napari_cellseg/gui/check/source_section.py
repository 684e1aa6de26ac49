"""Which counts are compared: of the images in this window or of a batch, and of which cells."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from ...segmentation.counting import number_in_words
from ..shared.choosers import chooser, fill
from ..shared.layout import in_column, in_row, label, small_button
from .known import Agreements


class SourceSection(QWidget):
    """Choosers of the images and of the cells; those of the cells are there only where cells are called.

    Signals
    -------
    batch_chosen(str)
        The folder of a batch's results.
    """

    batch_chosen = Signal(str)

    def __init__(self, known: Agreements) -> None:
        super().__init__()
        self._known = known
        tip = "Which images: those that were segmented in this window, or those of a batch."
        self.source = chooser("agreement_source", tip, slot=self._on_source)
        tip = "Choose the folder of a batch's results (with counts.csv in it)."
        self.open_batch = small_button("agreement_batch", "Batch …", tip, slot=self._ask_batch)
        tip = (
            "Which cells are counted: all, those that are positive, or those of a class (Segment widget). Your counts\n"
            "of each are kept apart."
        )
        self.cells = chooser("agreement_cells", tip, slot=lambda i: known.choose_cells(self.cells.itemData(i)))
        self._cells_row = in_column(in_row(label("Cells"), (self.cells, 1)))
        images = in_row(label("Images"), (self.source, 3), (self.open_batch, 1))
        in_column(images, self._cells_row, into=self, spacing=6)

    def refresh(self) -> None:
        """Show what is compared now."""
        batch, names = self._known.batch, ["", *self._known.names()]
        sources: list[tuple[str, str]] = [("in this window", "")]
        if batch is not None:
            sources.append((f"batch {batch.folder.parent.name}/{batch.folder.name}", str(batch.folder)))
        fill(self.source, sources, sources[-1][1])
        self._cells_row.setVisible(len(names) > 1)
        fill(self.cells, [(number_in_words(name) or "all cells", name) for name in names], self._known.cells)

    def _on_source(self, index: int) -> None:
        if index == 0 and self._known.batch is not None:
            self._known.look_at(None)

    def _ask_batch(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Folder of a batch's results"):
            self.batch_chosen.emit(folder)
