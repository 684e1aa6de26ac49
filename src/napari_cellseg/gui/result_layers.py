"""The layers that one image's result is shown in: labels of the cells, and a numbered point per cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels

from ..session import Cells
from .answer import Answer
from .count_points import CountPoints
from .layer_image import METADATA_KEY, placement

if TYPE_CHECKING:
    from napari import Viewer

    from ..batch.segment import SegmentResult

# Outlines of more pixels than this take too long to be found while a slider moves.
MAX_OUTLINE_PIXELS = 1_500_000
MAX_LIVE_POINTS = 2_000
FILLED, OUTLINED = 0.5, 0.9
_PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


class ResultLayers:
    """Labels and Points layers of one image; they follow the cells that they are given.

    Parameters
    ----------
    viewer : napari.Viewer
    image : napari.layers.Image
        Whose place in the world is copied.
    answer : Answer
        What became of the first request.
    """

    def __init__(self, viewer: Viewer, image: ImageLayer, answer: Answer) -> None:
        self.labels = Labels(answer.result.labels, name=f"{image.name} cells", opacity=FILLED, **placement(image))
        self.points = CountPoints(
            np.zeros((0, 2)),
            name=f"{image.name} counts",
            size=4,
            face_color="white",
            border_color="black",
            border_width=0.25,
            features={"number": np.zeros(0, dtype=int), "index": np.zeros(0, dtype=int)},
            text={"string": "{number}", "size": 8, "color": _ink(image), "anchor": "upper_left"},
            **placement(image),
        )
        self._centroids = answer.centroids
        self._outlines = False
        self.edited = False
        self.labels.events.paint.connect(self._on_paint)
        self.points.editable = False
        self.show_measured(answer.result)
        viewer.add_layer(self.labels)
        viewer.add_layer(self.points)
        # Under the mouse the status bar then tells a cell's id and size.
        viewer.layers.selection.active = self.labels

    def take(self, answer: Answer) -> None:
        """Show another run on the same image."""
        self._centroids = answer.centroids
        self.show_measured(answer.result)

    @property
    def outlines(self) -> bool:
        """Whether cells are drawn as outlines."""
        return self._outlines

    def set_outlines(self, outlines: bool) -> None:
        """Draw cells as outlines, or filled."""
        self._outlines = outlines
        self.labels.contour = 2 if outlines else 0
        self.labels.opacity = OUTLINED if outlines else FILLED

    def set_numbers(self, numbers: bool) -> None:
        """Show or hide the counts layer."""
        self.points.visible = numbers

    def show_live(self, cells: Cells, dragging: bool) -> None:
        """Follow a slider: what is in view while the mouse is down, everything otherwise."""
        region = self._visible() if dragging else (slice(None), slice(None))
        target = self.labels.data[region]
        if self._outlines:
            # Setting contour again would draw twice; it is left where it is already as wanted.
            contour = 0 if dragging and target.size > MAX_OUTLINE_PIXELS else 2
            if self.labels.contour != contour:
                with self.labels.events.contour.blocker():
                    self.labels.contour = contour
        cells.segmented.instances.labels(cells.threshold, cells.min_size, region=region, out=target)
        reset_history(self.labels)
        self.labels.refresh(thumbnail=False, highlight=False, extent=False)
        self._follow_with_points(cells)

    def show_measured(self, result: SegmentResult) -> None:
        """Show finished cells: labels, points, features, provenance."""
        if self.labels.data is not result.labels:
            self.labels.data = result.labels
        reset_history(self.labels)
        if self._outlines and self.labels.contour != 2:
            self.labels.contour = 2
        numbers = np.arange(1, result.count + 1)
        self.labels.features = {"index": result.table["index"], "number": numbers, **_but_index(result.table)}
        places = np.stack([result.table["centroid_y"], result.table["centroid_x"]], axis=1)
        self._set_points(places, {"number": numbers, "index": result.table["index"]})
        for layer in (self.labels, self.points):
            layer.metadata = {**layer.metadata, METADATA_KEY: result.metadata}

    def split_off_edits(self, viewer: Viewer) -> Labels:
        """Leave the labels layer, as a person has edited it, to that person, and go on in a new one beside it.

        Returns
        -------
        napari.layers.Labels
            The edited layer.
        """
        mine, kept = self.labels, self.labels.as_layer_data_tuple()[1]
        mine.events.paint.disconnect(self._on_paint)
        name, contour = mine.name, mine.contour
        mine.name = f"{name} edited by hand"
        place = {key: kept[key] for key in (*_PLACE, "metadata", "colormap") if key in kept}
        self.labels = Labels(mine.data.copy(), name=name, opacity=mine.opacity, **place)
        self.labels.contour = contour
        self.labels.events.paint.connect(self._on_paint)
        self.edited = False
        viewer.layers.insert(viewer.layers.index(mine) + 1, self.labels)
        viewer.layers.selection.active = self.labels
        mine.visible = False
        return mine

    def _on_paint(self) -> None:
        self.edited = True

    def _follow_with_points(self, cells: Cells) -> None:
        ids = cells.segmented.instances.ids(cells.threshold, cells.min_size)
        if not self.points.visible or len(ids) > MAX_LIVE_POINTS:
            return
        self._set_points(self._centroids[ids - 1], {"number": np.arange(1, len(ids) + 1), "index": ids})

    def _set_points(self, places: np.ndarray, features: dict[str, np.ndarray]) -> None:
        with self.points.text.events.blocker():
            if len(places) != len(self.points.data) or not np.array_equal(places, self.points.data):
                self.points.selected_data = set()
                self.points.data = places
            self.points.features = features
        self.points.refresh_text()

    def _visible(self) -> tuple[slice, slice]:
        """Rows and columns in view; everything where that is not known yet."""
        (top, left), (bottom, right) = np.asarray(self.labels.corner_pixels)[:, -2:]
        height, width = self.labels.data.shape
        if bottom <= top or right <= left:
            return slice(0, height), slice(0, width)
        rows = slice(max(int(top), 0), min(int(bottom) + 1, height))
        return rows, slice(max(int(left), 0), min(int(right) + 1, width))


def _ink(image: ImageLayer) -> str:
    """Colour that can be read on an image as it is shown."""
    pixels = np.asarray(image.thumbnail).reshape(-1, 4)
    pixels = pixels[pixels[:, 3] > 0, :3]
    return "black" if pixels.size and np.median(pixels) > 127 else "white"


def reset_history(labels: Labels) -> None:
    """Forget the undo steps of a layer whose labels were replaced: they would paint ids of before.

    There is no public way that leaves the tool in hand alone; becoming uneditable for a moment is the public one.
    """
    reset = getattr(labels, "_reset_history", None)
    if reset is not None:
        reset()
    elif labels.editable:
        labels.editable = False
        labels.editable = True


def _but_index(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: column for name, column in table.items() if name != "index"}
