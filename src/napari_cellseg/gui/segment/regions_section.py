"""Regions: how many cells lie in each, and how dense, while the sliders move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from ...instances.area_files import ENDINGS
from ..shared.help import HelpButton
from ..shared.layout import in_column, in_row, one_line, small_button
from ..shared.message import Message, errors_to
from ..shared.workers import Latest
from ..viewer.bench import Bench
from ..viewer.drawn_regions import FREEHAND, POLYGON, RECTANGLE, DrawnRegions
from ..viewer.layer_image import layer_folder, layer_path
from ..viewer.section import Section

FILES = "Regions (*.geojson *.json *.zip *.roi *.tif *.tiff);;All files (*)"
RULE = "A cell belongs where its centroid lies."
NONE = "Draw a region, or import some. Then its cells are counted here."
N_ROWS = 3


class RegionsSection(Section):
    """What stands in the fold; it counts nothing while the fold is closed."""

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self.drawn = bench.part(DrawnRegions)
        self._awake = False
        self._working = Latest(bench.failed, owner=self)
        self._build()
        session = bench.session
        self._bindings.bind_each(self._on_cells, session.chosen_changed, session.cells_changed, session.areas_changed)
        self._bindings.bind_each(self._on_sliders, session.sliders_changed, session.corrected)

    def wake(self, awake: bool) -> None:
        """Count from now on, or no more."""
        self._awake = awake
        self._on_cells()

    def _build(self) -> None:
        tools = (
            ("Polygon", POLYGON, "Click its corners, then press Escape."),
            ("Rectangle", RECTANGLE, "Drag it with the mouse."),
            ("Freehand", FREEHAND, "Drag the mouse around it."),
        )
        draw = [
            small_button(f"region_{mode}", text, f"Draw a region on the image. {how}", slot=self._drawing(mode))
            for text, mode, how in tools
        ]
        tip = "Add regions of a file: a zip of ImageJ ROIs, GeoJSON as QuPath exports it, or a label image."
        self.importing = small_button("import_regions", "Import …", tip, slot=self._on_import)
        tip = (
            "Save the regions as GeoJSON. Beside the image, as its name with _regions.geojson, they are found by\n"
            "--regions beside. A batch of this window counts in them as they are drawn."
        )
        self.saving = small_button("save_regions", "Save …", tip, slot=self._on_save)
        self.table = QTableWidget(0, 4, objectName="regions_table")
        self.table.setHorizontalHeaderLabels(["Region", "cells", "mm²", "per mm²"])
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.verticalHeader().hide()
        self.table.setToolTip(f"Cells, area and density of every region. {RULE}\nDouble-click a name to change it.")
        height = self.table.horizontalHeader().sizeHint().height()
        self.table.setFixedHeight(height + N_ROWS * self.table.verticalHeader().defaultSectionSize() + 4)
        self.table.itemChanged.connect(self._on_item)
        self.rule = one_line("regions_rule")
        self.rule.setToolTip(RULE)
        self.notes = Message(objectName="regions_notes", hides=True)
        in_column(
            in_row(*((part, 1) for part in draw)),
            in_row((self.importing, 1), (self.saving, 1), HelpButton("Regions")),
            self.table,
            self.rule,
            self.notes,
            into=self,
            spacing=3,
        )

    def _on_sliders(self, key: object, *_: object) -> None:
        if self._awake and key == self._bench.session.chosen:
            self._on_cells()

    def _on_cells(self, _: object = None) -> None:
        """Show how many cells are in which region now."""
        cells = self._bench.session.cells
        areas = None if cells is None else cells.segmented.areas
        if not self._awake:
            return
        if cells is None or areas is None:
            self._fill({"region": [], "count": []})
            self.rule.setText(NONE)
            self.notes.report("")
            return
        traits = cells.corrected.instances.traits
        if "places" not in traits.__dict__:
            # Seldom long, but a slider must not wait for it.
            self._working.ask(lambda: traits.places, lambda _: self._on_cells())
            return
        self._fill(cells.counted_in_areas() or {})
        self.rule.setText(RULE)
        self.notes.report(" ".join(areas.notes), True)

    def _fill(self, counted: dict[str, Any]) -> None:
        sizes = list(zip(counted.get("area_mm2", ()), counted.get("area_px", ()), strict=True))
        known = not any(size is None for size, _ in sizes)
        self.table.setHorizontalHeaderLabels(["Region", "cells", *(("mm²", "per mm²") if known else ("px", "–"))])
        columns = (
            [str(name) for name in counted["region"]],
            [f"{n:,}" for n in counted["count"]],
            [f"{n:,}" if size is None else f"{size:.4g}" for size, n in sizes],
            ["" if density is None else f"{density:,.0f}" for density in counted.get("cells_per_mm2", ())],
        )
        self.table.blockSignals(True)
        self.table.setRowCount(len(columns[0]))
        for place, column in enumerate(columns):
            for row, text in enumerate(column):
                item = self.table.item(row, place)
                if item is None:
                    item = QTableWidgetItem()
                    if place:
                        item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
                        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                    self.table.setItem(row, place, item)
                if item.text() != text:
                    item.setText(text)
                if not place:
                    item.setData(Qt.ItemDataRole.UserRole, text)
        self.table.blockSignals(False)

    def _on_item(self, item: QTableWidgetItem) -> None:
        self.drawn.rename(str(item.data(Qt.ItemDataRole.UserRole)), item.text())
        self._on_cells()

    def _drawing(self, mode: str) -> Any:
        def draw() -> None:
            with errors_to(self._bench.report):
                self.drawn.draw(mode)

        return draw

    def _on_import(self) -> None:
        folder = layer_folder(self._bench.layer_of(self._bench.session.chosen))
        if path := QFileDialog.getOpenFileName(self, "Import regions", folder, FILES)[0]:
            self.open_file(Path(path))

    def open_file(self, path: Path) -> None:
        """Add the regions in a file; an error is shown."""
        with errors_to(self._bench.report):
            self.drawn.open_file(path)

    def _on_save(self) -> None:
        layer = self._bench.layer_of(self._bench.session.chosen)
        source = None if layer is None else layer_path(layer)
        place = f"regions{ENDINGS[0]}" if source is None else str(Path(source).with_suffix("")) + ENDINGS[0]
        if path := QFileDialog.getSaveFileName(self, "Save the regions", place, "GeoJSON (*.geojson)")[0]:
            self.save_to(Path(path))

    def save_to(self, path: Path) -> None:
        """Save the regions as GeoJSON."""
        with errors_to(self._bench.report):
            self.drawn.save(path)
            self._bench.session.note(f"The regions are in {path.name}.")
