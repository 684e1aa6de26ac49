"""A row of small pictures, which can be scrolled."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QLabel, QListView, QListWidget, QListWidgetItem, QWidget

from ...evaluation.changes import ChangePicture
from .colors import Colors
from .layout import in_column
from .pictures import BOTH, NEW, OLD, SIDE, caption, color_name, explain, paint_change, pixmap

HEIGHT = SIDE + 46


class TrainGallery(QWidget):
    """Pictures of cells that changed, beside each other."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("guard_gallery")
        self.list = QListWidget(objectName="changes")
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setWrapping(False)
        self.list.setIconSize(QSize(SIDE, SIDE))
        self.list.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setSelectionMode(QListView.SelectionMode.NoSelection)
        self.list.setFixedHeight(HEIGHT)
        # Whoever shows the gallery has a place for it.
        self.legend = QLabel(objectName="changes_legend")
        in_column(self.list, into=self)

    def set_colors(self, colors: Colors) -> None:
        """Follow the theme."""
        words = ((OLD, "old"), (NEW, "new"), (BOTH if colors.dark else (90, 90, 90), "both"))
        self.legend.setText("&nbsp; ".join(f"<span style='color:{color_name(c)}'>■</span> {w}" for c, w in words))

    def show_pictures(self, pictures: Sequence[ChangePicture]) -> None:
        """Show other pictures, from the first."""
        self.list.clear()
        for picture in pictures:
            item = QListWidgetItem(QIcon(pixmap(paint_change(picture))), caption(picture))
            item.setToolTip(explain(picture))
            self.list.addItem(item)
