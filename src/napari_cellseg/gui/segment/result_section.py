"""What to do with the result: show it, save it, list it, run it again without a window."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QApplication, QFileDialog, QGridLayout, QLabel, QSizePolicy, QWidget

from ...results.save_cells import command_line, save_cells
from ...results.save_stack import save_stack
from ...segmentation.options import RunOptions
from ..correct.drafting import Drafting
from ..shared import preferences
from ..shared.choosers import chooser
from ..shared.help import HelpButton
from ..shared.layout import RECIPE_FILTER, button, in_row, tick
from ..shared.message import errors_to
from ..shared.table import open_table
from ..viewer.bench import Bench
from ..viewer.cell_colors import AREA, DOUBT, ID, Coloring, key_to_colors
from ..viewer.dock import open_dock
from ..viewer.layer_image import layer_folder, layer_stem
from ..viewer.planes_in_view import PlanesInView
from ..viewer.section import Section
from .cell_rows import CellRows


class ResultSection(Section):
    """Toggles and buttons below the sliders; asleep until there is a result."""

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self._planes, self._coloring = bench.part(PlanesInView), bench.part(Coloring)
        self._rows = bench.part(CellRows)
        self._build()
        session = bench.session
        self._bindings.bind_each(self._on_cells, session.chosen_changed, session.cells_changed)
        self._on_cells()

    def save_to(self, folder: str | Path) -> None:
        """Save the chosen image's result into a folder, in a background thread."""
        cells, layer = self._bench.session.cells, self._bench.layer_of(self._bench.session.chosen)
        if cells is None or layer is None:
            return
        stem, key = layer_stem(layer), self._bench.session.chosen
        stack = self._bench.stack_of(key)
        page = stack.page(key).name if stack is not None and stack.has(key) else ""
        planes = [] if stack is None else self._planes.planes(stack)
        csv = preferences.csv_style()
        self.save.setEnabled(False)
        self.save.setText("Saving …")

        def saved(paths: list[Path]) -> None:
            names = ", ".join(path.name for path in paths)
            more = ""
            if stack is not None and len(planes) < stack.n_planes:
                more = f" (this plane; segment all {stack.n_planes:,} to save them as one stack)"
            self._bench.session.note(f"Saved in {paths[0].parent}: {names}{more}")

        def write() -> list[Path]:
            if stack is not None and len(planes) == stack.n_planes:
                pages = [(stack.page(one), of_page) for one, of_page in planes]
                return save_stack(stack.image, pages, Path(folder), stem, csv)
            return save_cells(cells, Path(folder), stem, page, csv)

        def ended() -> None:
            self.save.setEnabled(True)
            self.save.setText("Save results …")

        self._bench.in_background(write, saved, ended)

    def _build(self) -> None:
        layers = self._bench.layers
        tip = (
            "A numbered point in every cell. Where there is no room some are drawn, and more when you zoom in; that\n"
            "of the cell under the mouse is always there."
        )
        self.show_numbers = tick("show_numbers", "numbers", tip, layers.set_numbers, layers.numbers)
        tip = "Draw cells as outlines with their numbers in them, to see the image."
        self.outlines = tick("outlines", "outlines", tip, layers.set_outlines, layers.outlines)
        tip = "Colour cells by their area, or by how doubtful they are: bright is large or doubtful."
        entries = (("colours", ID), ("by area", AREA), ("by doubt", DOUBT))
        self.color_by = chooser("color_by", tip, entries, self._on_color_by)
        self.color_by.setCurrentIndex(self.color_by.findData(self._coloring.by))
        self.color_key = QLabel(key_to_colors(self._coloring.by), objectName="color_key")
        self.color_key.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.color_key.setVisible(self._coloring.by != ID)
        tip = "Save label image (TIFF), table of cells and count (CSV) and recipe (JSON) into a folder."
        self.save = button("save", "Save results …", tip, self._on_save)
        tip = "Area, place, probability and intensity of every cell, in napari's Features table: sort, select, save."
        self.table = button("table", "Table", tip, self._on_table)
        tip = "Copy the command that gives these very labels and counts without a window."
        self.copy_command = button("copy_command", "Copy command", tip, self._on_copy)
        tip = (
            "Save model, threshold, smallest cell and channel as a small file (JSON). The Batch widget and\n"
            "the command line take it, and so does the chooser of the model above."
        )
        self.save_recipe = button("save_recipe", "Save recipe …", tip, self._on_save_recipe)
        tip = "Segment all images of a folder just like this one, in the Batch widget."
        self.run_folder = button("run_folder", "Run on a folder …", tip, self._on_run_folder)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(6)
        toggles = in_row(self.show_numbers, self.outlines, (self.color_by, 1), HelpButton("Results"), spacing=6)
        grid.addLayout(toggles, 0, 0, 1, 3)
        grid.addWidget(self.color_key, 1, 0, 1, 3)
        for column, part in enumerate((self.save, self.table, self.copy_command)):
            grid.addWidget(part, 2, column)
        grid.addLayout(in_row((self.save_recipe, 1), (self.run_folder, 1), spacing=6), 3, 0, 1, 3)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(2, 1)

    def _on_color_by(self, index: int) -> None:
        by = self.color_by.itemData(index)
        self._coloring.color_by(by)
        self.color_key.setText(key_to_colors(by))
        self.color_key.setVisible(by != ID)

    def _on_cells(self, key: object = None) -> None:
        cells = self._bench.session.cells
        self.setEnabled(cells is not None)

    def _on_save(self) -> None:
        layer = self._bench.layer_of(self._bench.session.chosen)
        start = layer_folder(layer)
        if folder := QFileDialog.getExistingDirectory(self, "Save labels, table and count into this folder", start):
            self.save_to(folder)

    def save_recipe_to(self, path: str | Path) -> None:
        """Save how the chosen image was segmented into a file."""
        with errors_to(self._bench.report):
            device = self._bench.session.choices.viewer.device
            self._bench.session.recipe_shown().write(path, RunOptions(device))
            self._bench.session.note(f"Saved in {Path(path).parent}: {Path(path).name}")

    def _on_save_recipe(self) -> None:
        if path := QFileDialog.getSaveFileName(self, "Save the recipe", "recipe.json", RECIPE_FILTER)[0]:
            self.save_recipe_to(path if Path(path).suffix else f"{path}.json")

    def _on_run_folder(self) -> None:
        viewer = self._bench.viewer
        open_dock(viewer, "batch").offer(viewer.layers.selection.active)

    def _on_table(self) -> None:
        if (layers := self._bench.layers.get(self._bench.session.chosen)) is not None:
            with errors_to(self._bench.report):
                self._rows.follow(open_table(self._bench.viewer, layers.labels))

    def _on_copy(self) -> None:
        cells = self._bench.session.cells
        if cells is None:
            return
        if cells.segmented.taken_from:
            self._bench.session.note(
                "These cells are labels that were taken: no command finds them. Save results keeps them."
            )
            return
        command = command_line(cells, self._bench.session.choices.viewer.device)
        QApplication.clipboard().setText(command)
        if self._bench.part(Drafting).is_draft(cells) or cells.n_changed or cells.n_erased:
            self._bench.session.note("Copied. It gives the cells without your corrections and drafts; save has those.")
        elif cells.segmented.image.source is None:
            self._bench.session.note("Copied. This image has no file yet: save it, and put its name for IMAGE.tif.")
        else:
            self._bench.session.note(f"Copied: {command}")
