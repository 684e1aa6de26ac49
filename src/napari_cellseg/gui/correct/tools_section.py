"""The tools to correct cells with, what was done last, and undo."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from ..shared.bindings import Bindings
from ..shared.colors import Colors
from ..shared.layout import SMALL, small_button
from ..viewer.bench import Bench
from ..viewer.correcting import Correcting
from .tools import TOOLS, Tool, Tools

COLUMNS = 3
NO_TOOL = "Keys act at once on the cell under the mouse pointer. Napari's own brush, eraser, fill and polygon work too."
NO_CELLS = "Segment an image first, or open one that was corrected before."


class CorrectToolsSection(QWidget):
    """A button per tool with its key, undo and redo, and one sentence on what was done."""

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bench, self._tools, self._correcting = bench, bench.part(Tools), bench.part(Correcting)
        self._colors: Colors | None = None
        self._failed = False
        self._build()
        session = bench.session
        self._bindings = Bindings(self)
        for signal in (session.chosen_changed, session.cells_changed, session.corrected):
            self._bindings.bind(signal, self._on_cells)
        self._bindings.bind(self._tools.in_hand_changed, self._on_in_hand)
        self._bindings.bind(self._correcting.said, self.say)
        self._on_cells()
        self._on_in_hand(self._tools.in_hand)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        paper = "#06302b" if colors.dark else "#ffffff"
        chosen = f"QPushButton:checked {{ background-color: {colors.accent.name()}; color: {paper}; }}"
        for button in self.buttons.values():
            button.setStyleSheet(f"{chosen} {SMALL}")
        self._paint_message()

    def say(self, sentence: str, failed: bool = False) -> None:
        """Show what was done, or why not."""
        self._failed = failed
        self.message.setText(sentence)
        self._paint_message()

    def _build(self) -> None:
        self.buttons: dict[str, QPushButton] = {}
        grid = QGridLayout()
        grid.setSpacing(4)
        for place, tool in enumerate(TOOLS):
            tooltip = f"{_tooltip(tool)}\nWhile the button is down: {tool.hint[0].lower()}{tool.hint[1:]}"
            button = small_button(f"tool_{tool.name}", f"{tool.title}   {tool.key}", tooltip, checkable=True)
            button.clicked.connect(lambda checked, tool=tool: self._tools.take(tool if checked else None))
            self.buttons[tool.name] = button
            grid.addWidget(button, *divmod(place, COLUMNS))
        self.new_cell = small_button(
            "new_cell",
            "New cell   M",
            "Take the brush in hand with an id that no cell has: paint a cell that was missed.\n"
            "A stroke that does not touch the chosen cell becomes a cell of its own anyway.",
        )
        self.new_cell.clicked.connect(self._on_new_cell)
        grid.addWidget(self.new_cell, *divmod(len(TOOLS), COLUMNS))
        self.message = QLabel(objectName="correct_message")
        self.message.setWordWrap(True)
        self.message.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.message.setMinimumHeight(3 * self.message.fontMetrics().lineSpacing() + 4)
        self.undo = QPushButton("Undo", objectName="undo")
        self.redo = QPushButton("Redo", objectName="redo")
        self._tell_steps()
        self.undo.clicked.connect(lambda: self._correcting.undo(self._bench.session.chosen))
        self.redo.clicked.connect(lambda: self._correcting.redo(self._bench.session.chosen))
        self.yours = QLabel(objectName="yours")
        self.yours.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.yours.setToolTip(
            "Cells that you touched. No slider, model or new run changes them; orange points mark them."
        )
        row = QHBoxLayout()
        row.addWidget(self.yours, 1)
        row.addWidget(self.undo)
        row.addWidget(self.redo)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        column.addLayout(grid)
        column.addWidget(self.message)
        column.addLayout(row)

    def _on_cells(self, key: Any = None) -> None:
        cells = self._bench.session.cells
        self.setEnabled(cells is not None)
        if cells is None:
            self.yours.setText("Nothing corrected yet")
            self.say(NO_CELLS)
            return
        if self.message.text() == NO_CELLS:
            self._on_in_hand(self._tools.in_hand)
        corrections = cells.corrected.corrections
        changed, erased = cells.n_changed, cells.n_erased
        words = f"{changed:,} cell{'' if changed == 1 else 's'} changed"
        self.yours.setText(f"Yours: {words}, {erased:,} erased" if changed or erased else "Nothing corrected yet")
        self.undo.setEnabled(corrections.can_undo)
        self.redo.setEnabled(corrections.can_redo)
        self._tell_steps(corrections.undo_name, corrections.redo_name)

    def _tell_steps(self, undo: str = "", redo: str = "") -> None:
        last, next_ = (f": {name}" if name else "" for name in (undo, redo))
        self.undo.setToolTip(f"Take back the last correction{last} (Ctrl+Z in the image). Sliders stay where they are.")
        self.redo.setToolTip(f"Make the correction again that was taken back{next_} (Ctrl+Shift+Z in the image).")

    def _on_in_hand(self, tool: Tool | None) -> None:
        for name, button in self.buttons.items():
            button.setChecked(tool is not None and tool.name == name)
        self.say(NO_TOOL if tool is None else f"{tool.title}: {tool.hint[0].lower()}{tool.hint[1:]} Esc ends it.")

    def _on_new_cell(self) -> None:
        key = self._bench.session.chosen
        layers = self._bench.layers.get(key)
        if layers is not None:
            self._bench.viewer.layers.selection.active = layers.labels
            self._correcting.choose_fresh(key, layers.labels)
            layers.labels.mode = "paint"
            self.say("Paint the cell. [ and ] change the size of the brush.")

    def _paint_message(self) -> None:
        if self._colors is not None:
            color = self._colors.warning if self._failed else self._colors.faint
            self.message.setStyleSheet(f"color: {color.name()};")


def _tooltip(tool: Tool) -> str:
    words = {
        "delete": "Erase a cell. It stays erased whatever the sliders do.",
        "merge": "Make one cell of two or more; small gaps between them are closed.",
        "split": "Cut a cell along a line that you draw.",
        "add": "Add a cell that was missed: its outline is proposed from the prediction around the click.",
        "fill": "Fill the holes in a cell.",
        "accept": "Keep a cell as it is: it becomes yours, and counts as reviewed.",
        "release": "Give a cell of yours back to the sliders, as the network saw it. Works on erased cells too.",
    }
    place = "takes the tool in hand" if tool.takes == "stroke" else "acts under the mouse pointer"
    return f"{words[tool.name]}\nKey {tool.key} in the image {place}."
