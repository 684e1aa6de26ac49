"""A window that compares trainings: figures, curves, and the settings that differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QHeaderView,
    QLabel,
    QScrollArea,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ...imaging.errors import CellsegError
from ...instances.metrics import FIGURES_IN_WORDS
from ...network.versions import list_models
from ...training.comparing import FIGURES, RunSummary, run_table, summarize_run
from ...training.curves import draw_curves
from ..shared.layout import button, in_row, sentence
from ..shared.pictures import pixmap

COLUMNS = ("Version", "Images", "Steps", "Minutes", *(title for title, *_ in FIGURES))
SIZE = (960, 600)
AT_FIRST = 4


@dataclass(frozen=True)
class FinishedTraining:
    """A trained version and its summary; `problem` is set where that cannot be read."""

    path: Path
    summary: RunSummary | None
    problem: str = ""


def find_runs() -> list[FinishedTraining]:
    """Return the trainings of all versions, the newest first."""
    found = []
    for model in list_models():
        try:
            found.append(FinishedTraining(model.path, summarize_run(model.path)))
        except CellsegError as error:
            if model.training:
                found.append(FinishedTraining(model.path, None, str(error)))
    return sorted(found, key=lambda run: (-(run.path / "training.json").stat().st_mtime, run.path.name))


class RunsWindow(QDialog):
    """Table of trainings; those that are ticked are drawn.

    Parameters
    ----------
    runs : sequence of FinishedTraining
    ticked : Path, optional
        The training that is ticked first.
    parent : QWidget, optional
    """

    def __init__(
        self, runs: Sequence[FinishedTraining], ticked: Path | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("napari_cellseg_runs")
        self.setWindowTitle("Compare trainings")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(*SIZE)
        self._runs = [run for run in runs if run.summary is not None]
        self.problems = [run.problem for run in runs if run.summary is None]
        self._build()
        self._fill(ticked)

    @property
    def chosen(self) -> list[RunSummary]:
        """The trainings that are ticked."""
        ticked = [
            run.summary
            for i, run in enumerate(self._runs)
            if self.table.item(i, 0).checkState() == Qt.CheckState.Checked
        ]
        return [summary for summary in ticked if summary is not None]

    def _build(self) -> None:
        self.table = QTableWidget(len(self._runs), len(COLUMNS), objectName="runs_table")
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.verticalHeader().hide()
        self.table.setToolTip(f"Tick the trainings to be drawn below.\n{FIGURES_IN_WORDS}")
        self.table.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.curves = QLabel(objectName="runs_curves")
        self.curves.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self.differences = sentence("runs_differences", selectable=True)
        inside = QWidget()
        below = QVBoxLayout(inside)
        below.addWidget(self.curves)
        below.addWidget(self.differences)
        below.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(inside)
        close = button("runs_close", "Close", "Close this window.", self.accept)
        outer = QVBoxLayout(self)
        outer.addWidget(self.table, 2)
        outer.addWidget(scroll, 5)
        outer.addLayout(in_row(None, close))

    def _fill(self, ticked: Path | None) -> None:
        own = [i for i, run in enumerate(self._runs) if ticked is not None and run.path == ticked]
        drawn = [i for i, run in enumerate(self._runs) if run.summary is not None and run.summary.history is not None]
        newest = [i for i in drawn if i not in own]
        shown = {*own, *newest[: AT_FIRST - len(own)]}
        for i, run in enumerate(self._runs):
            summary = run.summary
            assert summary is not None
            figures = ["" if math.isnan(v) else f"{v:.3f}" for v in summary.figures.values()]
            texts = [summary.name, str(summary.n_images), f"{summary.steps:,}", f"{summary.minutes:.1f}", *figures]
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled)
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                else:
                    item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
                    item.setCheckState(Qt.CheckState.Checked if i in shown else Qt.CheckState.Unchecked)
                    item.setToolTip(str(run.path))
                self.table.setItem(i, column, item)
        self.table.itemChanged.connect(lambda *_: self._draw())
        self._draw()

    def _draw(self) -> None:
        runs = self.chosen
        histories = {run.name: run.history for run in runs if run.history is not None and len(run.history.step)}
        self.curves.setVisible(bool(histories))
        if histories:
            self.curves.setPixmap(pixmap(np.asarray(draw_curves(histories).convert("RGB"))))
        # The table shows the figures; the text below shows how the settings differ.
        lines = run_table(runs)[1 + len(runs) :] if len(runs) > 1 else []
        lines += self.problems
        if not runs:
            lines = ["Tick a training to see its curves.", *self.problems]
        self.differences.setText("\n".join(lines))
