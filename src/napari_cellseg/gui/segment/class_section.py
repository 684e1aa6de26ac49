"""Classes by example: click some cells of each class, and a forest calls the others."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QLineEdit, QShortcut, QWidget

from ...segmentation.classes import forest_of
from ..correct.strokes import world_under_mouse
from ..shared.bindings import Bindings
from ..shared.help import HelpButton
from ..shared.layout import SMALL, button, chooser, in_column, in_row, one_line, sentence, small_button
from ..shared.message import Message, errors_to
from ..viewer.bench import Bench
from ..viewer.camera import look_at
from .cell_rows import CLICK_PIXELS
from .class_layer import COLORS, ClassLayer
from .classing import Classing, Looked
from .marker_choices import WIDTH, fill

KEY = "Q"
FIRST = "Segment the image first."
ASK = "Add two classes, then click some cells of each."
WAIT = "Looking at the cells …"
ALL_SEEN = "That was the last one; the next press begins with the least sure one again."
POINT_AT = f"Choose a class, point at a cell in the image, then press {KEY}."


class ClassSection(QWidget):
    """What stands in the fold; it sleeps, and costs nothing, while the fold is closed."""

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bench, self._classing = bench, bench.part(Classing)
        bench.part(ClassLayer)
        self._build()
        self._key = QShortcut(QKeySequence(KEY), bench.viewer.window._qt_window)
        self._key.setAutoRepeat(False)
        self._key.activated.connect(self.give_under_mouse)
        self._key.setEnabled(False)
        self.destroyed.connect(self._key.deleteLater)
        self._bindings = Bindings(self)
        self._bindings.bind(self._classing.changed, self._on_changed)
        self._bindings.bind(bench.session.counting_changed, self._on_changed)
        for layers in bench.layers.all():
            self._watch(layers.labels)
        self._bindings.bind(bench.layers_made, lambda key: self._watch(bench.layers[key].labels))
        self._on_changed()

    def wake(self, awake: bool) -> None:
        """Look at the cells from now on, or no more."""
        self._key.setEnabled(awake)
        if not awake:
            self.click.setChecked(False)
        self._classing.wake(awake)

    def give_under_mouse(self) -> None:
        """Give the cell under the mouse the chosen class."""
        layers, world = self._bench.layers.get(self._bench.session.chosen), world_under_mouse(self._bench.viewer)
        id_ = 0 if layers is None or world is None else layers.labels.get_value(world, world=True)
        if id_ and self.chosen.currentData():
            self._classing.give(int(id_), self.chosen.currentData())
        else:
            self._bench.session.note(POINT_AT)

    def _build(self) -> None:
        self.chosen = chooser("class", "The class that a click gives to a cell, and how many examples it has.")
        self.chosen.setPlaceholderText("class …")
        self.name = QLineEdit(objectName="class_name")
        self.name.setPlaceholderText("new class …")
        self.name.setToolTip("Name of a further class; Enter or + adds it.")
        self.name.returnPressed.connect(self._on_more)
        self.more = button("more_classes", "+", "Add a class of this name.", self._on_more)
        self.less = button(
            "less_classes",
            "−",
            "Take the chosen class away, with its examples; Ctrl+Z brings those of this image back.",
            self._on_less,
        )
        for small in (self.more, self.less):
            small.setStyleSheet(SMALL)
            small.setFixedWidth(WIDTH)
        self.click = button(
            "class_by_click",
            "Give class",
            "While it is down, a click on a cell makes it an example of the chosen class; a second takes that back. "
            f"Key {KEY} does so with the one under the mouse pointer.\nThat is a correction: no slider and no forest "
            "changes it, and Ctrl+Z takes it back.",
        )
        self.click.setCheckable(True)
        self.click.setStyleSheet(SMALL)
        self.count = one_line("class_count")
        font = self.count.font()
        font.setBold(True)
        self.count.setFont(font)
        self.legend = sentence("class_legend")
        self.legend.setAlignment(Qt.AlignmentFlag.AlignTop)
        # What is pressed often must not move when classes come.
        self.legend.setMinimumHeight(2 * self.legend.fontMetrics().lineSpacing())
        self.held_out = Message(objectName="held_out", rows=2)
        self.held_out.setToolTip("Each example is called by the trees alone that were not fitted to it (out-of-bag).")
        self.next = small_button(
            "least_sure",
            "Least sure next",
            "Go to the cell of which the forest is least sure, and how sure it is.",
            slot=self._on_next,
        )
        self.seen = one_line("least_sure_cell")
        in_column(
            in_row((self.chosen, 3), (self.name, 3), self.more, self.less, HelpButton("Classes")),
            in_row((self.count, 1), self.click),
            self.legend,
            self.held_out,
            in_row((self.next, 1), (self.seen, 1)),
            into=self,
            spacing=3,
        )

    def _on_changed(self) -> None:
        """Show the classes, and what is known of the cells."""
        classes, looked = self._bench.session.classes, self._classing.fresh()
        numbers = {} if classes is None else classes.numbers
        name = self.chosen.currentData()
        entries = [(f"{known} ({n})", known) for known, n in numbers.items()]
        fill(self.chosen, entries, name if name in numbers else next(iter(numbers), None))
        for part in (self.chosen, self.less, self.click):
            part.setEnabled(bool(numbers))
        found = None if looked is None else looked.found
        self.next.setEnabled(found is not None)
        if found is None:
            self.seen.setText("")
            self.legend.setText("")
        if looked is None or classes is None:
            self.count.setText(FIRST if self._bench.session.cells is None else ASK if classes is None else WAIT)
            self.held_out.report("")
        elif found is None:
            n = len(looked.ids)
            self.count.setText(f"{n:,} cell{'' if n == 1 else 's'}")
            self.held_out.report(looked.note)
        else:
            self._show_found(looked)

    def _show_found(self, looked: Looked) -> None:
        assert looked.found is not None
        n, numbers = len(looked.ids), looked.found.numbers(looked.classes)
        self.count.setText(f"{n:,} cell{'' if n == 1 else 's'} in {len(looked.classes.names)} classes")
        parts = []
        for name, color in zip(looked.classes.names, COLORS, strict=False):
            k = numbers[f"class_{name}"]
            # Breaks between classes only.
            text = f"{escape(name)} {k:,} ({100 * k / max(n, 1):.1f} %)".replace(" ", "&nbsp;")
            parts.append(f'<span style="color: {color};">■</span>&nbsp;{text}')
        self.legend.setText(" &nbsp; ".join(parts))
        self.held_out.report(forest_of(looked.classes).sentence())

    def _on_more(self) -> None:
        name = self.name.text().strip()
        with errors_to(lambda text, failed: self._bench.session.fail(None, text)):
            self._classing.add(name)
            self.name.clear()
            self.chosen.setCurrentIndex(self.chosen.findData(name))

    def _on_less(self) -> None:
        self._classing.drop(self.chosen.currentData())

    def _on_next(self) -> None:
        session = self._bench.session
        cell, cells = self._classing.least_sure(), session.cells
        if cell is None or cells is None:
            self.seen.setText("")
            session.note(ALL_SEEN)
            return
        id_, name, certainty = cell
        box = cells.view.box(id_)
        if box is not None:
            look_at(self._bench.viewer, self._bench.layers[session.chosen].labels, box)
        self.seen.setText(f"No. {id_}: {name}, {100 * certainty:.0f} %")

    def _watch(self, labels: Any) -> None:
        if self._on_click not in labels.mouse_drag_callbacks:
            labels.mouse_drag_callbacks.append(self._on_click)

    def _on_click(self, labels: Any, event: Any) -> Iterator[None]:
        """Give the cell that is clicked the chosen class; with a tool or brush in hand a click is none of ours."""
        if not self._classing.awake or not self.click.isChecked() or str(labels.mode) != "pan_zoom":
            return
        start = np.asarray(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        id_ = labels.get_value(event.position, world=True)
        if id_ and self.chosen.currentData() and np.abs(np.asarray(event.pos) - start).max() <= CLICK_PIXELS:
            self._classing.give(int(id_), self.chosen.currentData())
