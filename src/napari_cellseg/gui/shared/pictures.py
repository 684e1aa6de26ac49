"""Small pictures of cells that two models draw differently: the image with the outlines of both."""

from __future__ import annotations

import numpy as np
import scipy
from qtpy.QtCore import QAbstractItemModel, QSize
from qtpy.QtGui import QColor, QImage, QPixmap
from qtpy.QtWidgets import QListView
from skimage.segmentation import find_boundaries

from ...evaluation.changes import ChangePicture
from ...imaging.normalize import normalize

SIDE = 96
OLD, NEW, BOTH = (255, 140, 40), (40, 215, 190), (255, 255, 255)
WORDS = {
    "gained": "new cell",
    "lost": "cell gone",
    "split": "now apart",
    "merged": "now one",
    "reshaped": "other shape",
}


def paint_change(picture: ChangePicture, side: int = SIDE) -> np.ndarray:
    """Return uint8 (side, side, 3): the crop, with the old outlines orange, the new teal, and both white."""
    longest = max(*picture.old.shape, 1)
    rows, columns = ((np.arange(side) * longest // side - (longest - n) // 2) for n in picture.old.shape)
    # Beside a crop that is not square the picture is black.
    outside = ((rows < 0) | (rows >= len(picture.old)))[:, None] | (columns < 0) | (columns >= picture.old.shape[1])

    def enlarged(values: np.ndarray) -> np.ndarray:
        found: np.ndarray = values.take(rows, axis=0, mode="clip").take(columns, axis=1, mode="clip")
        found[outside] = 0
        return found

    canvas = enlarged(_grey(picture.image)).astype(np.uint8)
    old, new = (find_boundaries(enlarged(cells), mode="inner") for cells in (picture.old, picture.new))
    near_old, near_new = (scipy.ndimage.binary_dilation(outline) for outline in (old, new))
    canvas[old] = OLD
    canvas[new] = NEW
    canvas[(old & near_new) | (new & near_old)] = BOTH
    return canvas


def caption(picture: ChangePicture) -> str:
    """Return in two or three words what changed, and whether for the better."""
    better = {True: " ✓", False: " ✗", None: ""}[picture.change.better]
    return f"{WORDS.get(picture.change.what, picture.change.what)}{better}"


def explain(picture: ChangePicture) -> str:
    """Return the tooltip of a picture: where it is, and which model is nearer to the truth."""
    change = picture.change
    where = "a general sample" if change.part == "general" else "held out"
    nearer = {
        True: "The new model is nearer to the truth here.",
        False: "The old model was nearer to the truth here.",
        None: "Both are equally near to the truth here.",
    }[change.better]
    y, x = change.box[0], change.box[1]
    return f"{change.image} ({where}), row {y}, column {x}. {nearer}\nOrange: old, teal: new, white: both."


def pixmap(pixels: np.ndarray) -> QPixmap:
    """Return pixels, uint8 (height, width, 3), as a pixmap."""
    height, width = pixels.shape[:2]
    data = np.ascontiguousarray(pixels)
    # The copy: the image must not look at an array that is gone.
    return QPixmap.fromImage(QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy())


def picture_list(name: str, model: QAbstractItemModel, side: int, cell: QSize) -> QListView:
    """Return a list of pictures of `side` pixels, each with its name in a cell of the given size."""
    made = QListView(objectName=name)
    made.setModel(model)
    made.setViewMode(QListView.ViewMode.IconMode)
    made.setMovement(QListView.Movement.Static)
    made.setResizeMode(QListView.ResizeMode.Adjust)
    made.setUniformItemSizes(True)
    made.setIconSize(QSize(side, side))
    made.setGridSize(cell)
    return made


def color_name(rgb: tuple[int, int, int]) -> str:
    """Return a colour as style sheets name it."""
    return QColor(*rgb).name()


def _grey(image: np.ndarray) -> np.ndarray:
    values = np.clip(normalize(image) * 200, 0, 255)
    return values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=2)
