"""Classes by example: click some cells of each class, and a forest calls the others."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit, QWidget

from ...segmentation.classes import forest_of
from ..shared.choosers import chooser, fill
from ..shared.help import HelpButton
from ..shared.layout import SMALL, button, in_column, in_row, one_line, sentence, small_button
from ..shared.message import Message, errors_to
from ..viewer.bench import Bench
from ..viewer.canvas import look_at
from ..viewer.section import Section
from .cell_pick import KEY, CellPick
from .class_layer import COLORS, ClassLayer
from .classing import Classing, Looked
from .marker_choices import WIDTH

FIRST = "Segment the image first."
ASK = "Add two classes, then click some cells of each."
WAIT = "Looking at the cells …"
ALL_SEEN = "That was the last one; the next press begins with the least sure one again."
POINT_AT = f"Choose a class, point at a cell in the image, then press {KEY}."


class ClassSection(Section):
    """What stands in the fold; it sleeps, and costs nothing, while the fold is closed."""

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self._classing = bench.part(Classing)
        bench.part(ClassLayer)
        self._build()
        self._picks = CellPick(bench, self, self.click, self._give, POINT_AT)
        self._bindings.bind(self._classing.changed, self._on_changed)
        self._bindings.bind(bench.session.counting_changed, self._on_changed)
        self._on_changed()

    def wake(self, awake: bool) -> None:
        """Look at the cells from now on, or no more."""
        self._picks.wake(awake)
        self._classing.wake(awake)

    def _give(self, id_: int) -> bool:
        """Give a cell the chosen class; return whether there is one."""
        name = self.chosen.currentData()
        if name:
            self._classing.give(id_, name)
        return bool(name)

    def _build(self) -> None:
        self.chosen = chooser("class", "The class that a click gives to a cell, and how many examples it has.")
        self.chosen.setPlaceholderText("class …")
        tip = "Name of a further class; Enter or + adds it."
        self.name = QLineEdit(objectName="class_name", placeholderText="new class …", toolTip=tip)
        self.name.returnPressed.connect(self._on_more)
        self.more = button("more_classes", "+", "Add a class of this name.", self._on_more)
        self.less = button(
            "less_classes",
            "−",
            "Take the chosen class away, with its examples; Ctrl+Z brings those of this image back.",
            lambda: self._classing.drop(self.chosen.currentData()),
        )
        for small in (self.more, self.less):
            small.setStyleSheet(SMALL)
            small.setFixedWidth(WIDTH)
        tip = (
            "While it is down, a click on a cell makes it an example of the chosen class; a second takes that back. "
            f"Key {KEY} does so with the one under the mouse pointer.\nThat is a correction: no slider and no forest "
            "changes it, and Ctrl+Z takes it back."
        )
        self.click = button("class_by_click", "Give class", tip, checkable=True, style=SMALL)
        self.count = one_line("class_count", bold=True)
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
        with errors_to(self._bench.report):
            self._classing.add(name)
            self.name.clear()
            self.chosen.setCurrentIndex(self.chosen.findData(name))

    def _on_next(self) -> None:
        session = self._bench.session
        cell, cells = self._classing.least_sure(), session.cells
        if cell is None or cells is None:
            self.seen.setText("")
            session.note(ALL_SEEN)
            return
        id_, name, certainty = cell
        if (box := cells.view.box(id_)) is not None:
            look_at(self._bench.viewer, self._bench.layers[session.chosen].labels, box)
        self.seen.setText(f"No. {id_}: {name}, {100 * certainty:.0f} %")
