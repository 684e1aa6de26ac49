"""A cell is picked by a click while a button is down, or by a key under the mouse pointer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QPushButton, QShortcut, QWidget

from ..correct.strokes import world_under_mouse
from ..shared.bindings import Bindings
from ..viewer.bench import Bench
from .cell_rows import clicked_cell

KEY = "Q"


class CellPick:
    """Picks cells of the chosen image while it is awake.

    Parameters
    ----------
    bench : Bench
    section : QWidget
        The part of the panel that it belongs to, and ends with.
    button : QPushButton
        While it is down, clicks pick.
    pick : callable
        Takes the id of a cell, and returns whether it could be taken.
    point_at : str
        Note that is shown where the key picks no cell.
    """

    def __init__(
        self, bench: Bench, section: QWidget, button: QPushButton, pick: Callable[[int], bool], point_at: str
    ) -> None:
        self._bench, self._button, self._pick, self._point_at = bench, button, pick, point_at
        self._awake = False
        self._key = QShortcut(QKeySequence(KEY), bench.viewer.window._qt_window)
        self._key.setAutoRepeat(False)
        self._key.activated.connect(self._on_key)
        self._key.setEnabled(False)
        section.destroyed.connect(self._key.deleteLater)
        section.destroyed.connect(self._end)
        self._bindings = Bindings(section)
        for layers in bench.layers.all():
            self._watch(layers.labels)
        self._bindings.bind(bench.layers_made, self._on_layers_made)

    def wake(self, awake: bool) -> None:
        """Pick from now on, or no more."""
        self._awake = awake
        self._key.setEnabled(awake)
        if not awake:
            self._button.setChecked(False)

    def _end(self) -> None:
        """Pick nothing any more: the layers, with their callbacks, outlive the section."""
        self._awake = False

    def _on_key(self) -> None:
        layers, world = self._bench.layers.get(self._bench.session.chosen), world_under_mouse(self._bench.viewer)
        id_ = 0 if layers is None or world is None else layers.labels.get_value(world, world=True)
        if not (id_ and self._pick(int(id_))):
            self._bench.session.note(self._point_at)

    def _on_layers_made(self, key: Any) -> None:
        self._watch(self._bench.layers[key].labels)

    def _watch(self, labels: Any) -> None:
        if self._on_click not in labels.mouse_drag_callbacks:
            labels.mouse_drag_callbacks.append(self._on_click)

    def _on_click(self, labels: Any, event: Any) -> Iterator[None]:
        """Pick the cell that is clicked; with a tool or brush in hand a click picks nothing."""
        if not (self._awake and self._button.isChecked()) or str(labels.mode) != "pan_zoom":
            return
        if id_ := (yield from clicked_cell(labels, event)):
            self._pick(id_)
