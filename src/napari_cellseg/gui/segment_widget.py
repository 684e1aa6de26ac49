"""The Segment widget: open an image, press Segment, drag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from qtpy.QtWidgets import QFrame, QVBoxLayout, QWidget

from ..batch.recipe import Recipe
from .cells_section import CellsSection
from .colors import theme_colors
from .docking import beside
from .image_section import ImageSection
from .input_section import InputSection
from .layout import scrolled
from .model_section import ModelSection
from .recovery_banner import RecoveryBanner
from .result_section import ResultSection
from .run_section import RunSection
from .workbench import workbench_of

if TYPE_CHECKING:
    from napari import Viewer


class SegmentWidget(QWidget):
    """Dock widget that segments and counts the cells of one image at a time.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Given by napari.
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("napari_cellseg_segment")
        self.bench = workbench_of(napari_viewer)
        self.session = self.bench.session
        self.image_section = ImageSection(self.bench)
        self.input_section = InputSection(self.bench)
        self.model_section = ModelSection(self.bench)
        self.run_section = RunSection(self.bench)
        self.cells_section = CellsSection(self.bench)
        self.result_section = ResultSection(self.bench)
        self.banner = RecoveryBanner(self.bench)
        self._lay_out()
        self.setAcceptDrops(True)
        self.model_section.model_changed.connect(self.input_section.set_model)
        self.model_section.model_changed.connect(self.cells_section.set_model)
        self.model_section.refresh()
        self.run_section.asked.connect(self.segment)
        self._watched = 0
        self._follow_theme()

    def recipe(self) -> Recipe:
        """Return what the choosers say; the sliders start where the model says."""
        return Recipe(
            model=self.model_section.model_name,
            channel=self.input_section.channel_index,
            axes=self.input_section.axes,
            device=self.model_section.device_name,
        )

    def segment(self) -> None:
        """Start to segment the chosen image; a second press while it runs does nothing."""
        self.bench.segment(self.bench.layer_to_segment(), self.recipe())

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files, and nothing else."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open the dropped files and folders."""
        event.acceptProposedAction()
        self.image_section.open_paths([url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()])

    def changeEvent(self, event: QEvent) -> None:
        """Follow napari's theme, which arrives as a new style sheet."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange and hasattr(self, "_watched"):
            self._follow_theme()

    def showEvent(self, event: QShowEvent) -> None:
        """Look for new models, and watch the window so that work stops when it closes."""
        super().showEvent(event)
        self.model_section.refresh()
        window = self.window()
        # Kept as a number: a reference would keep the closed window alive.
        if id(window) != self._watched:
            self._watched = id(window)
            window.destroyed.connect(self.bench.close)
            beside(self)

    def _follow_theme(self) -> None:
        colors = theme_colors(self.bench.viewer.theme)
        for section in (self.banner, self.run_section, self.cells_section):
            section.set_colors(colors)

    def _lay_out(self) -> None:
        column = QVBoxLayout()
        column.setSpacing(8)
        for section in (self.image_section, self.banner, self.input_section, self.model_section, self.run_section):
            column.addWidget(section)
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        column.addWidget(line)
        column.addWidget(self.cells_section)
        column.addWidget(self.result_section)
        scrolled(self, column)
