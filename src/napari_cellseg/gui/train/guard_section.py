"""Comparison of the old and the new model: figures, a verdict, and pictures of the cells that changed."""

from __future__ import annotations

import itertools
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from ...evaluation.changes import ChangePicture, read_pictures
from ...evaluation.compare import Comparison, SetFigures
from ..shared.colors import Colors, accent_button
from ..shared.fold import Fold
from ..shared.gallery import TrainGallery
from ..shared.help import HelpButton
from ..shared.layout import HEADING, SMALL, in_column, in_row, one_line, small_button
from ..shared.message import Message
from ..shared.question import Question
from ..viewer.bench import Bench
from ..viewer.section import Section
from .request import Outcome

ROWS = (
    ("f1", "cells found", "F1 score: a cell is found if its overlap (IoU) with a true one is at least half."),
    ("ap50", "precision", "Average precision at an overlap (IoU) of at least half, as mean over images."),
    ("ap", "fit of outlines", "The same, as mean over overlaps of .5 to .9: how well the outlines fit."),
    ("count_mape", "count error", "Mean relative error of the counts of the images."),
)
VERDICT_ROWS = 4
UNCOMPARED = "It was not compared with the old model, so it is unknown whether it is better."


class TrainGuardSection(Section):
    """The decision after a training: use the new model or keep the old one; hidden while there is none.

    Signals
    -------
    used(str)
        The new model was chosen: its name or folder.
    kept()
        The old model was chosen.
    """

    used = Signal(str)
    kept = Signal()

    def __init__(self, bench: Bench, question: Question) -> None:
        super().__init__(bench)
        self._question = question
        self._colors: Colors | None = None
        self._outcome: Outcome | None = None
        self._loading: Any = None
        self._build()
        self._bindings.bind(bench.session.choices.changed, self._show_buttons)
        self.hide()

    def show_outcome(self, outcome: Outcome) -> None:
        """Show a new version, if there is one."""
        self._outcome = outcome
        self.setVisible(outcome.version is not None)
        if outcome.version is None:
            return
        comparison = outcome.comparison
        self.title.setText(f"New model: {outcome.version.name}")
        words = [UNCOMPARED] if comparison is None else [comparison.in_words(), *comparison.reasons]
        self.verdict.report(" ".join(words), self.worse)
        self.table.setVisible(comparison is not None)
        if comparison is not None:
            self._fill(comparison)
        self.gallery.show_pictures([])
        self.pictures.hide()
        path = outcome.version.path
        if comparison is not None and comparison.changed:
            self._loading = self._bench.in_background(lambda: read_pictures(path), self._on_pictures)
        self._show_buttons()
        self._paint()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self._paint()

    @property
    def worse(self) -> bool:
        """Whether the user is asked again before the new model is used."""
        return self._outcome is not None and (self._outcome.comparison is None or self._outcome.comparison.worse)

    @property
    def in_use(self) -> bool:
        """Whether the new model is the one that is used now."""
        version = None if self._outcome is None else self._outcome.version
        used = self._bench.session.choices.viewer.model
        return version is not None and used in (version.name, str(version.path))

    def _build(self) -> None:
        self.title = one_line("guard_title")
        self.title.setStyleSheet(HEADING)
        # What has no room is in the tooltip.
        self.verdict = Message(objectName="guard_verdict", rows=VERDICT_ROWS)
        self.table = QWidget(objectName="guard_table")
        self._grid = QGridLayout(self.table)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(1)
        self._cells: dict[tuple[int, int], QLabel] = {}
        for y, x in itertools.product(range(len(ROWS) + 2), range(5)):
            self._cells[y, x] = cell = QLabel()
            side = Qt.AlignmentFlag.AlignLeft if x == 0 else Qt.AlignmentFlag.AlignRight
            cell.setAlignment(side | Qt.AlignmentFlag.AlignVCenter)
            if y:
                self._grid.addWidget(cell, y, x)
        self._grid.addWidget(self._cells[0, 0], 0, 0)
        self._grid.addWidget(self._cells[0, 1], 0, 1, 1, 2)
        self._grid.addWidget(self._cells[0, 3], 0, 3, 1, 2)
        self._grid.setColumnStretch(0, 1)
        # Errors of counts may take four digits.
        self._grid.setHorizontalSpacing(2)
        self.gallery = TrainGallery()
        self.pictures = Fold(
            "guard_pictures", "cells that changed", "Cells that the two models draw differently.", self.gallery, True
        )
        self.pictures.add_beside(self.gallery.legend)
        self.use = small_button("use_new", "", "Segment with it from now on. Corrections stay.", slot=self._on_use)
        self.keep = small_button("keep_old", "", "The new one stays in the list of models.", slot=self._on_keep)
        buttons = in_row((self.use, 6), (self.keep, 5), spacing=6)
        title = in_row((self.title, 1), HelpButton("New model"))
        in_column(title, self.verdict, self.table, self.pictures, buttons, into=self)

    def _show_buttons(self, _: object = None) -> None:
        """Offer what can be done next: of a model that is in use already the way back."""
        in_use = self.in_use
        self.use.setText("In use" if in_use else "Use the new one")
        self.use.setEnabled(not in_use)
        self.keep.setText("Use the old one" if in_use else "Keep the old one")

    def _fill(self, comparison: Comparison) -> None:
        for cell in self._cells.values():
            cell.setText("")
            cell.setToolTip("")
        kind = {"images": "images", "crops": "parts of images"}.get(comparison.hold_out)
        held_out = comparison.held_out
        # The panel is narrow: the tooltip names the images.
        title = "learned from!" if kind is None else f"{held_out.n_images} held out"
        for column, text, figures, tip in (
            (1, title, held_out, f"Reviewed {kind}, not learned." if kind else "Too little to hold any of it out."),
            (3, "general", comparison.general, "Images of many kinds: shows what was forgotten."),
        ):
            cell = self._cells[0, column]
            cell.setText(text)
            cell.setToolTip(f"{tip}\n{figures.n_images} images, {figures.n_cells} cells")
            for offset, (side, name) in enumerate((("old", comparison.old), ("new", comparison.new))):
                self._cells[1, column + offset].setText(side)
                self._cells[1, column + offset].setToolTip(name)
            self._fill_figures(column, figures)
        self._cells[0, 0].setText("▲ better")
        self._cells[1, 0].setText("▼ worse")
        for row, (_, label, tip) in enumerate(ROWS, start=2):
            self._cells[row, 0].setText(label)
            self._cells[row, 0].setToolTip(tip)

    def _fill_figures(self, column: int, figures: SetFigures) -> None:
        if not figures.n_images:
            return
        for row, (name, _, tip) in enumerate(ROWS, start=2):
            old, new = figures.old.get(name), figures.new.get(name)
            for offset, value in enumerate((old, new)):
                cell = self._cells[row, column + offset]
                cell.setText(_figure(name, value))
                cell.setToolTip(f"{tip}\n▲ better, ▼ worse than the old model.")
            if old is not None and new is not None:
                change = (old - new) if name == "count_mape" else (new - old)
                mark = "▲" if change >= 0.005 else "▼" if change <= -0.005 else ""
                self._cells[row, column + 1].setText(f"{mark} {_figure(name, new)}".strip())

    def _on_pictures(self, pictures: list[ChangePicture]) -> None:
        self.pictures.setVisible(bool(pictures))
        n = len(pictures)
        self.pictures.title.setText(f"{n} cell{'' if n == 1 else 's'} that changed")
        self.gallery.show_pictures(pictures)

    def _on_use(self) -> None:
        outcome = self._outcome
        if outcome is None or outcome.version is None:
            return
        version = outcome.version
        if not self.worse:
            self._use(str(version.path))
            return
        verdict = UNCOMPARED if outcome.comparison is None else outcome.comparison.in_words()
        self._question.ask(
            f"{verdict} Use {version.name} all the same?", "Use it all the same", "Go back",
            lambda: self._use(str(version.path)),
        )  # fmt: skip

    def _use(self, path: str) -> None:
        self.hide()
        self.used.emit(path)

    def _on_keep(self) -> None:
        parent = "" if self._outcome is None else self._outcome.request.parent
        if self.in_use and parent:
            self._use(parent)
            return
        self.hide()
        self.kept.emit()

    def _paint(self) -> None:
        if self._colors is None:
            return
        colors = self._colors
        for (row, column), cell in self._cells.items():
            new = row > 1 and column in (2, 4)
            cell.setStyleSheet(
                f"font-size: 9pt; color: {(colors.text if new else colors.faint).name()};"
                + ("font-weight: bold;" if new else "")
            )
        accented, plain = (self.keep, self.use) if self.worse else (self.use, self.keep)
        accented.setStyleSheet(accent_button(colors, narrow=True))
        plain.setStyleSheet(SMALL)


def _figure(name: str, value: Any) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.0f} %" if name == "count_mape" else f"{value:.2f}"
