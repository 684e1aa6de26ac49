"""The contact sheet of a batch: every image with the outlines of its cells, the counts, and what stands out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractListModel, QModelIndex, QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QKeyEvent, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QLabel, QVBoxLayout, QWidget

from ...results.rows import BatchRow
from ..jobs.batch_job import BatchJob
from ..jobs.batch_rows import BatchRows
from ..shared.choosers import chooser
from ..shared.colors import Colors
from ..shared.layout import in_column, in_row, sentence
from ..shared.pictures import picture_list
from ..shared.plots import Plot
from .results_window import ResultsWindow

SIDE = 144
CELL = QSize(SIDE + 18, SIDE + 44)
SIZE = (940, 620)
# Number of pictures in memory, of about 80 kB each.
KEPT = 400
N_BINS = 40
IN_ORDER, BY_COUNT, FLAGGED_FIRST = "order", "count", "flagged"
SORTS = {IN_ORDER: "in their order", BY_COUNT: "by count", FLAGGED_FIRST: "those that stand out first"}


class CountsPlot(Plot):
    """How many images have which count, with the median."""

    title = "images by count"
    margin, full_height = 10, 96

    def __init__(self) -> None:
        super().__init__("batch_counts")
        self.unsetCursor()
        self.counts = np.zeros(0, dtype=np.int64)
        self.flagged = np.zeros(0, dtype=bool)

    def set_counts(self, counts: np.ndarray, flagged: np.ndarray) -> None:
        """Show other counts; `flagged` are the images that stand out."""
        self.counts, self.flagged = counts, flagged
        self.update()

    def _draw(self, painter: QPainter, top: float, bottom: float) -> None:
        if not self.counts.size:
            self._write(painter, "no counts yet")
            return
        highest = max(int(self.counts.max()), 1)
        bins = min(N_BINS, highest + 1)
        range_ = (-0.5, highest + 0.5)
        all_ = np.histogram(self.counts, bins, range_)[0]
        odd = np.histogram(self.counts[self.flagged], bins, range_)[0]
        painter.setPen(Qt.PenStyle.NoPen)
        scale = (bottom - top - 4) / int(all_.max())
        for i, (n, n_odd) in enumerate(zip(all_.tolist(), odd.tolist(), strict=True)):
            left, right = self.x_of(i / bins), self.x_of((i + 1) / bins)
            for part, color in ((n, self._colors.accent), (n_odd, self._colors.warning)):
                height = max(part * scale, 1.5) if part else 0.0
                painter.fillRect(QRectF(left + 0.5, bottom - height, right - left - 1, height), color)
        median = float(np.median(self.counts))
        x = self.x_of((median + 0.5) / (highest + 1))
        painter.setPen(QPen(self._colors.text, 1.2, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(x, top), QPointF(x, bottom))
        self._write(painter, f"{self.title}, median {median:,.0f}", f"0 to {highest:,} cells")


class SheetModel(QAbstractListModel):
    """Pictures of the images that were counted, read from the disk when they come into view."""

    def __init__(self, rows: BatchRows, out: Path | None, owner: QWidget) -> None:
        super().__init__(owner)
        self._rows = rows
        self.out = out
        self.shown: list[BatchRow] = []
        self._pictures: dict[str, QPixmap] = {}
        self._colors: Colors | None = None
        self._empty = QPixmap(SIDE, SIDE)

    def fill(self, sort: str) -> None:
        """List the images again."""
        rows = self._rows.counted()
        if sort == BY_COUNT:
            rows.sort(key=lambda row: row.count or 0, reverse=True)
        elif sort == FLAGGED_FIRST:
            rows.sort(key=lambda row: (row.image, row.page) not in self._rows.flags)
        self.beginResetModel()
        self.shown = rows
        self._pictures.clear()
        self.endResetModel()

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self._colors = colors
        self._empty.fill(colors.background)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of pictures."""
        return 0 if parent is not None and parent.isValid() else len(self.shown)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what Qt asks for about one picture."""
        row = self.shown[index.row()]
        flag = self._rows.flags.get((row.image, row.page))
        if role == Qt.ItemDataRole.DecorationRole:
            return self._picture(row)
        if role == Qt.ItemDataRole.DisplayRole:
            cells = f"{row.count:,} cell{'' if row.count == 1 else 's'}"
            return f"{_short(row.title)}\n{cells}{', corrected' if row.corrected else ''}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{row.title}\n{f'Stands out: {flag}.' if flag else 'Double-click opens it.'}"
        if role == Qt.ItemDataRole.ForegroundRole and flag and self._colors is not None:
            return self._colors.warning
        return None

    def _picture(self, row: BatchRow) -> QPixmap:
        name = row.files.get("thumbnail", "")
        if self.out is None or not name:
            return self._empty
        if name not in self._pictures:
            if len(self._pictures) >= KEPT:
                del self._pictures[next(iter(self._pictures))]
            read = QPixmap(str(row.file(self.out, "thumbnail") or ""))
            keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
            self._pictures[name] = self._empty if read.isNull() else self._framed(read.scaled(SIDE, SIDE, keep, smooth))
        return self._pictures[name]

    def _framed(self, picture: QPixmap) -> QPixmap:
        """Put a picture into the middle of a square, so that all names stand in one line."""
        square = QPixmap(SIDE, SIDE)
        square.fill(QColor(0, 0, 0, 0))
        painter = QPainter(square)
        painter.drawPixmap((SIDE - picture.width()) // 2, (SIDE - picture.height()) // 2, picture)
        painter.end()
        return square


class BatchSheet(ResultsWindow):
    """The contact sheet; a double click opens an image."""

    def __init__(self, job: BatchJob, parent: QWidget | None = None) -> None:
        super().__init__(job, "batch_contact_sheet", "Contact sheet", SIZE, parent)
        self.model = SheetModel(job.rows, job.out, self)
        self._build()
        self._bindings.bind(job.rows.flagged, self.fill)
        self.fill()

    def fill(self, _: Any = None) -> None:
        """Show the present results."""
        self.model.out = self._job.out
        self.model.fill(self.sort.currentData())
        rows = self.model.shown
        flags = self._job.rows.flags
        counts = np.array([row.count for row in rows], dtype=np.int64)
        self.plot.set_counts(counts, np.array([(row.image, row.page) in flags for row in rows], dtype=bool))
        out = f" of {self._job.out}" if self._job.out is not None else ""
        text = f"{len(rows):,} images{out}: {int(counts.sum()):,} cells."
        lines = [f"<b>{' '.join(key).strip()}</b>: {reason}" for key, reason in list(flags.items())[:4]]
        more = f"<br>and {len(flags) - 4} more" if len(flags) > 4 else ""
        odd = f"{len(flags):,} stand{'s' if len(flags) == 1 else ''} out:<br>{'<br>'.join(lines)}{more}"
        self.facts.setText(f"{text}<br>{odd if flags else 'No image stands out.'}")

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        self.model.set_colors(colors)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Open the chosen picture with Enter."""
        index = self.view.currentIndex()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and index.isValid():
            self.opened.emit(self.model.shown[index.row()])
        else:
            super().keyPressEvent(event)

    def _build(self) -> None:
        self.plot = CountsPlot()
        self.facts = sentence("batch_sheet_facts")
        self.sort = chooser("batch_sheet_sort", "", [(text, value) for value, text in SORTS.items()], self.fill)
        self.view = picture_list("batch_sheet_view", self.model, SIDE, CELL)
        self.view.setWordWrap(True)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.doubleClicked.connect(lambda index: self.opened.emit(self.model.shown[index.row()]))
        left = in_column(self.plot, in_row(QLabel("Images"), self.sort, None, spacing=6), spacing=6)
        outer = QVBoxLayout(self)
        outer.addLayout(in_row((left, 3), (self.facts, 2), spacing=6))
        outer.addWidget(self.view, 1)


def _short(name: str, most: int = 22) -> str:
    """Shorten a name in the middle: its end distinguishes images of one series."""
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-(most // 2) :]}"
