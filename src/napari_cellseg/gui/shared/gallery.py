"""A row of small pictures, with arrows to go on."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QToolButton, QWidget

from ...evaluation.changes import ChangePicture
from .colors import Colors
from .layout import in_column, in_row
from .pictures import BOTH, NEW, OLD, SIDE, caption, color_name, explain, paint_change, pixmap

PER_PAGE = 3


class TrainGallery(QWidget):
    """Pictures of cells that changed, three at a time."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("guard_gallery")
        self._pictures: list[ChangePicture] = []
        self._first = 0
        self.views = [QLabel(objectName=f"change_{i}") for i in range(PER_PAGE)]
        self.captions = [QLabel() for _ in range(PER_PAGE)]
        grid = QGridLayout()
        grid.setSpacing(3)
        for column, (view, words) in enumerate(zip(self.views, self.captions, strict=True)):
            view.setFixedSize(SIDE, SIDE)
            words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            grid.addWidget(view, 0, column)
            grid.addWidget(words, 1, column)
        grid.setColumnStretch(PER_PAGE, 1)
        self.back, self.on = QToolButton(objectName="changes_back"), QToolButton(objectName="changes_on")
        self.back.setArrowType(Qt.ArrowType.LeftArrow)
        self.back.setToolTip("Show the previous pictures.")
        self.on.setArrowType(Qt.ArrowType.RightArrow)
        self.on.setToolTip("Show the next pictures.")
        self.legend = QLabel(objectName="changes_legend")
        self.back.clicked.connect(lambda: self._go(-PER_PAGE))
        self.on.clicked.connect(lambda: self._go(PER_PAGE))
        in_column(grid, in_row((self.legend, 1), self.back, self.on, spacing=6), into=self, spacing=2)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        words = ((OLD, "old"), (NEW, "new"), (BOTH if colors.dark else (90, 90, 90), "both"))
        self.legend.setText("&nbsp; ".join(f"<span style='color:{color_name(c)}'>■</span> {w}" for c, w in words))
        for caption_ in self.captions:
            caption_.setStyleSheet(f"color: {colors.faint.name()}; font-size: 8pt;")

    def show_pictures(self, pictures: Sequence[ChangePicture]) -> None:
        """Show other pictures, from the first."""
        self._pictures, self._first = list(pictures), 0
        self._go(0)

    def _go(self, by: int) -> None:
        self._first = max(0, min(self._first + by, max(len(self._pictures) - 1, 0) // PER_PAGE * PER_PAGE))
        shown = self._pictures[self._first : self._first + PER_PAGE]
        for i, (view, words) in enumerate(zip(self.views, self.captions, strict=True)):
            if i < len(shown):
                view.setPixmap(pixmap(paint_change(shown[i])))
                view.setToolTip(explain(shown[i]))
                words.setText(caption(shown[i]))
            else:
                view.clear()
                view.setToolTip("")
                words.setText("")
        self.back.setEnabled(self._first > 0)
        self.on.setEnabled(self._first + PER_PAGE < len(self._pictures))
