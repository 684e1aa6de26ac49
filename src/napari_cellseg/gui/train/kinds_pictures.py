"""Images of a dataset as small pictures in a list, painted when they come into view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractListModel, QModelIndex, QSize, Qt
from qtpy.QtGui import QPixmap

from ...imaging.errors import CellsegError
from ...reports.kinds_page import small_picture
from ...training.data.sample import Sample
from ..shared.pictures import pixmap

SIDE = 84
# A thousand pictures of this size take 30 MB.
PAINTED = 1000


class PictureModel(QAbstractListModel):
    """Names and pictures of some of the samples; `show` chooses which."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        super().__init__()
        self._samples = {sample.name: sample for sample in samples}
        self.names: list[str] = []
        self._kinds: Mapping[str, str] = {}
        self._painted = lru_cache(PAINTED)(self._paint)

    def show(self, names: Sequence[str], kinds: Mapping[str, str]) -> None:
        """Show these; `kinds` are shown in the tooltips."""
        self.beginResetModel()
        self.names, self._kinds = list(names), kinds
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of rows."""
        return 0 if parent is not None and parent.isValid() else len(self.names)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the name, the picture or the tooltip of a row."""
        if not index.isValid() or index.row() >= len(self.names):
            return None
        name = self.names[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return name
        if role == Qt.ItemDataRole.DecorationRole:
            return self._painted(name)
        if role == Qt.ItemDataRole.ToolTipRole:
            height, width = self._samples[name].labels.shape
            return f"{name}\n{self._kinds.get(name, '') or 'without a kind'}, {height} × {width} pixels"
        if role == Qt.ItemDataRole.SizeHintRole:
            return QSize(SIDE + 12, SIDE + 24)
        return None

    def _paint(self, name: str) -> QPixmap:
        try:
            small = small_picture(self._samples[name].image, SIDE)
        except (CellsegError, ValueError):
            small = np.zeros((SIDE, SIDE), np.uint8)
        colours = small if small.ndim == 3 else np.repeat(small[..., None], 3, axis=2)
        # All of one size, so that a wide image does not stand at another place than a high one.
        paper = np.zeros((SIDE, SIDE, 3), np.uint8)
        top, left = ((SIDE - n) // 2 for n in colours.shape[:2])
        paper[top : top + colours.shape[0], left : left + colours.shape[1]] = colours
        return pixmap(paper)
