"""Rows of napari's Features table and cells of the image: one leads to the other."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QModelIndex, QSignalBlocker, Qt
from qtpy.QtWidgets import QTableView

from ..viewer.bench import Bench
from ..viewer.canvas import camera_of
from ..viewer.cells_labels import CellsLabels

# Qt's own name of a row of the table behind the one that is sorted.
INDEX = "index"
# What napari calls the position of a row.
POSITION = "Index"
CLICK_PIXELS = 3


def clicked_cell(labels: CellsLabels, event: Any) -> Generator[None, None, int]:
    """Wait for the end of a click in a drag callback; return the id of the cell under it, 0 for none."""
    start = np.asarray(event.pos)
    yield
    while event.type == "mouse_move":
        yield
    clicked = np.abs(np.asarray(event.pos) - start).max() <= CLICK_PIXELS
    return int(labels.get_value(event.position, world=True) or 0) if clicked else 0


class CellRows:
    """Clicking a row selects its cell and brings it into view; clicking a cell selects its row.

    napari takes the position of a row for the label of its cell, which holds only for labels without gaps.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._table: QTableView | None = None
        bench.layers_made.connect(lambda key: self._watch(bench.layers[key].labels))
        for layers in bench.layers.all():
            self._watch(layers.labels)

    def follow(self, table: QTableView | None) -> None:
        """Follow the rows of a table from now on."""
        if table is None or table is self._table:
            return
        self._table = table
        table.clicked.connect(self._on_row)
        table.model().modelReset.connect(self._hide_positions)
        self._hide_positions()
        table.destroyed.connect(self._on_destroyed)

    def _hide_positions(self) -> None:
        """Hide napari's column of positions where each row has the number of a cell: of two, one would mislead."""
        table = self._table
        if table is None:
            return
        model, across = table.model(), Qt.Orientation.Horizontal
        names = [str(model.headerData(column, across)) for column in range(model.columnCount())]
        for column, name in enumerate(names):
            table.setColumnHidden(column, name == POSITION and INDEX in names)

    def _on_destroyed(self) -> None:
        self._table = None

    def _on_row(self, place: QModelIndex) -> None:
        layer = self._bench.viewer.layers.selection.active
        if not isinstance(layer, Labels) or INDEX not in layer.features:
            return
        row = place.model().mapToSource(place).row()
        id_ = int(layer.features[INDEX].iloc[row])
        layer.visible = True
        # napari answers a chosen label with a row of its own.
        with layer.events.selected_label.blocker():
            layer.selected_label = id_
        if "centroid_y" in layer.features:
            cell = layer.features.iloc[row]
            world = layer.data_to_world((cell["centroid_y"], cell["centroid_x"]))
            camera = camera_of(self._bench.viewer)
            centre = np.asarray(camera.center, dtype=float)
            centre[-2:] = np.asarray(world)[-2:]
            camera.center = tuple(centre)

    def _watch(self, labels: CellsLabels) -> None:
        if self._on_click not in labels.mouse_drag_callbacks:
            labels.mouse_drag_callbacks.append(self._on_click)

    def _on_click(self, labels: CellsLabels, event: Any) -> Iterator[None]:
        """Select the row of the cell that is clicked; with a tool or brush in hand a click is no question."""
        if self._table is None or str(labels.mode) != "pan_zoom":
            return
        id_ = yield from clicked_cell(labels, event)
        if not id_ or INDEX not in labels.features:
            return
        rows = np.flatnonzero(labels.features[INDEX].to_numpy() == id_)
        if self._table is not None and len(rows):
            model = self._table.model()
            place = model.mapFromSource(model.sourceModel().index(int(rows[0]), 0))
            with QSignalBlocker(self._table.selectionModel()):
                self._table.selectRow(place.row())
            self._table.scrollTo(place)
            self._table.viewport().update()
