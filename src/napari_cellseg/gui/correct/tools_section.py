"""The tools to correct cells with, what was done last, and undo."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from ..shared.colors import Colors
from ..shared.help import HelpButton
from ..shared.layout import SMALL, button, in_column, in_row, one_line, small_button
from ..shared.message import Message
from ..viewer.bench import Bench
from ..viewer.correcting import NO_CELLS, Correcting
from ..viewer.section import Section
from .tool_table import TOOLS, Tool
from .tools import Tools

COLUMNS = 3
NO_TOOL = "Keys act at once on the cell under the mouse pointer. Napari's own brush, eraser, fill and polygon work too."


class CorrectToolsSection(Section):
    """A button per tool with its key, undo and redo, and a message on what was done, which the widget places."""

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self._tools, self._correcting = bench.part(Tools), bench.part(Correcting)
        self._build()
        session = bench.session
        self._bindings.bind_each(self._on_cells, session.chosen_changed, session.cells_changed, session.corrected)
        self._bindings.bind(self._tools.in_hand_changed, self._on_in_hand)
        self._bindings.bind(self._correcting.reported, self.message.report)
        self._on_cells()
        self._on_in_hand(self._tools.in_hand)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        paper = "#06302b" if colors.dark else "#ffffff"
        chosen = f"QPushButton:checked {{ background-color: {colors.accent.name()}; color: {paper}; }}"
        for tool_button in self.buttons.values():
            tool_button.setStyleSheet(f"{chosen} {SMALL}")

    def _build(self) -> None:
        self.buttons: dict[str, QPushButton] = {}
        grid = QGridLayout()
        grid.setSpacing(4)
        for place, tool in enumerate(TOOLS):
            tool_button = small_button(f"tool_{tool.name}", f"{tool.title}   {tool.key}", tool.tooltip, checkable=True)
            tool_button.clicked.connect(lambda checked, tool=tool: self._tools.take(tool if checked else None))
            self.buttons[tool.name] = tool_button
            grid.addWidget(tool_button, *divmod(place, COLUMNS))
        tip = (
            "Take the brush in hand with an id that no cell has: paint a cell that was missed.\n"
            "A stroke that does not touch the chosen cell becomes a cell of its own anyway."
        )
        self.new_cell = small_button("new_cell", "New cell   M", tip, slot=self._tools.new_cell)
        grid.addWidget(self.new_cell, *divmod(len(TOOLS), COLUMNS))
        self.message = Message(objectName="correct_message", rows=3)
        session, correcting = self._bench.session, self._correcting
        self.undo = button("undo", "Undo", "", lambda: correcting.undo(session.chosen))
        self.redo = button("redo", "Redo", "", lambda: correcting.redo(session.chosen))
        self._name_steps()
        self.yours = one_line("yours")
        self.yours.setToolTip(
            "Cells that you touched. No slider, model or new run changes them; orange points mark them."
        )
        in_column(
            grid, in_row((self.yours, 1), self.undo, self.redo, HelpButton("Correct"), spacing=6), into=self, spacing=5
        )

    def _on_cells(self, key: Any = None) -> None:
        cells = self._bench.session.cells
        self.setEnabled(cells is not None)
        if cells is None:
            self.yours.setText("Nothing corrected yet")
            self.message.report(NO_CELLS)
            return
        if self.message.text() == NO_CELLS:
            self._on_in_hand(self._tools.in_hand)
        corrections = cells.corrected.corrections
        changed, erased = cells.n_changed, cells.n_erased
        words = f"Yours: {changed:,} changed, {erased:,} erased"
        self.yours.setText(words if changed or erased else "Nothing corrected yet")
        self.undo.setEnabled(corrections.can_undo)
        self.redo.setEnabled(corrections.can_redo)
        self._name_steps(corrections.undo_name, corrections.redo_name)

    def _name_steps(self, undo: str = "", redo: str = "") -> None:
        last, next_ = (f": {name}" if name else "" for name in (undo, redo))
        self.undo.setToolTip(f"Take back the last correction{last} (Ctrl+Z in the image). Sliders stay where they are.")
        self.redo.setToolTip(f"Make the correction again that was taken back{next_} (Ctrl+Shift+Z in the image).")

    def _on_in_hand(self, tool: Tool | None) -> None:
        for name, tool_button in self.buttons.items():
            tool_button.setChecked(tool is not None and tool.name == name)
        self.message.report(NO_TOOL if tool is None else f"{tool.title}: {tool.in_hand} Esc ends it.")
