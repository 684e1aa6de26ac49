"""The layers that one image's result is shown in: labels of the cells, and a numbered point per cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image as ImageLayer

from ...corrections.live_labels import LiveLabels
from ...imaging.regions import Region
from ...session import Cells
from .cells_labels import CellsLabels
from .count_points import CountPoints
from .layer_image import METADATA_KEY, placement, title_of

if TYPE_CHECKING:
    from napari import Viewer

    from ...segmentation.segmented import SegmentResult

# Outlines of more pixels than this take too long to be found while a slider moves.
MAX_OUTLINE_PIXELS = 1_500_000
MAX_LIVE_POINTS = 2_000
# Where more pixels than this are in view, only those that change are written while a slider moves.
MAX_FILLED_PIXELS = 2_000_000
FILLED, OUTLINED = 0.5, 0.9
# Cells of other settings than those that are chosen now are as much paler, and the names of their layers state it.
PALER = 0.4
OF_OTHERS = " (of other settings)"
# Pixels of the screen: a point hides no cell, however far one zooms in.
POINT_LIMITS = (4, 12)
AUTOMATIC, YOURS = "white", "#ffb000"


class ResultLayers:
    """Labels and Points layers of one image; they follow the cells that they are given.

    Parameters
    ----------
    viewer : napari.Viewer
    image : napari.layers.Image
        Whose place in the world is copied.
    cells : Cells
    """

    def __init__(self, viewer: Viewer, image: ImageLayer, cells: Cells) -> None:
        labels = cells.corrected.labels(cells.threshold, cells.min_size)
        title = title_of(image)
        self.labels = CellsLabels(labels, name=f"{title} cells", opacity=FILLED, **placement(image))
        self.points = CountPoints(
            np.zeros((0, 2)),
            self.labels,
            name=f"{title} counts",
            size=4,
            face_color=AUTOMATIC,
            border_color="black",
            border_width=0.25,
            canvas_size_limits=POINT_LIMITS,
            features={"index": np.zeros(0, dtype=int)},
            # A cell's number is its id: the same in the table, in the label image and in the name of its ROI.
            text={"string": "{index}", "size": 8, "color": _ink(image), "anchor": "upper_left"},
            **placement(image),
        )
        self.outlines = False
        self._outdated = False
        self._asleep = False
        self._was_visible = (True, True)
        self._shown = _sliders(cells)
        self._live: LiveLabels | None = None
        self.points.editable = False
        self.follow_with_points(cells)
        viewer.add_layer(self.labels)
        viewer.add_layer(self.points)
        # The status bar then shows id and size of the cell under the mouse.
        viewer.layers.selection.active = self.labels

    def set_outlines(self, outlines: bool) -> None:
        """Draw cells as outlines, or filled."""
        self.outlines = outlines
        self.labels.contour = 2 if outlines else 0
        self.points.set_dots(not outlines)
        self.labels.opacity = (OUTLINED if outlines else FILLED) * (PALER if self._outdated else 1)

    def set_outdated(self, outdated: bool) -> None:
        """Mark the cells as those of other settings than are chosen now, or take the mark off."""
        if outdated == self._outdated:
            return
        self._outdated = outdated
        for layer in (self.labels, self.points):
            layer.opacity = layer.opacity * PALER if outdated else min(layer.opacity / PALER, 1.0)
            layer.name = f"{layer.name}{OF_OTHERS}" if outdated else layer.name.replace(OF_OTHERS, "")

    def set_numbers(self, numbers: bool) -> None:
        """Show or hide the counts layer."""
        self._set_visible(self._was_visible[0] if self._asleep else self.labels.visible, numbers)

    def show(self, shown: bool, numbers: bool) -> None:
        """Show or hide both layers, the counts only where they are wanted."""
        self._set_visible(shown, shown and numbers)

    def place(self, image: ImageLayer, moved: str) -> None:
        """Take the place of an image in the world; `moved` is the one of `PLACEMENT` that changed."""
        # One alone: napari draws the layer again for each, equal or not.
        for layer in (self.labels, self.points):
            setattr(layer, moved, placement(image)[moved])

    def sleep(self) -> None:
        """Hide both layers while there are no cells to show, as in a plane that was not segmented yet."""
        if not self._asleep:
            self._was_visible, self._asleep = (self.labels.visible, self.points.visible), True
            self.labels.visible = self.points.visible = False

    def wake(self) -> None:
        """Show again what was shown before `sleep`."""
        if self._asleep:
            self._asleep = False
            self._set_visible(*self._was_visible)

    def show_plane(self, cells: Cells) -> None:
        """Show the cells of another plane of the image; what is known of each follows when it was measured."""
        with self.labels.events.features.blocker():
            self.labels.features = {"index": cells.corrected.ids(cells.threshold, cells.min_size)}
        for layer in (self.labels, self.points):
            layer.metadata = {name: value for name, value in layer.metadata.items() if name != METADATA_KEY}
        self.show_live(cells)
        # A stroke with the id of before would go to a cell of this plane that has the same.
        self.labels.choose_label(cells.corrected.fresh_id())

    def shows(self, cells: Cells) -> bool:
        """Whether the labels are those of these sliders; corrections alone are drawn by `show_corrected`."""
        return self._shown == _sliders(cells)

    def show_live(self, cells: Cells, dragging: bool = False) -> None:
        """Follow a slider: what is in view while the mouse is down, everything otherwise."""
        self.labels.finish_stroke()
        self._shown = _sliders(cells)
        if self._widened(cells):
            return
        region = self._visible() if dragging else (slice(None), slice(None))
        target = self.labels.data[region]
        self._live = self._live_labels(cells) if dragging and target.size > MAX_FILLED_PIXELS else None
        if self.outlines:
            # Setting contour again would draw twice; it is left where it is already as wanted.
            contour = 0 if dragging and target.size > MAX_OUTLINE_PIXELS else 2
            if self.labels.contour != contour:
                with self.labels.events.contour.blocker():
                    self.labels.contour = contour
        if self._live is not None:
            self.labels.redraw_at(self._live.move(cells.threshold, cells.min_size))
        else:
            cells.corrected.labels(cells.threshold, cells.min_size, region=region, out=target)
            self.labels.refresh(thumbnail=False, highlight=False, extent=False)
        self.follow_with_points(cells)

    def _live_labels(self, cells: Cells) -> LiveLabels:
        """Return what follows the slider in the layer: that of the step before, while cells and data are the same."""
        live, corrected, data = self._live, cells.corrected, self.labels.data
        return live if live and live.cells is corrected and live.out is data else LiveLabels(corrected, data)

    def show_corrected(self, cells: Cells, region: Region) -> None:
        """Draw again where a correction changed something; the layer may be saved before it was measured again."""
        if METADATA_KEY in self.labels.metadata:
            known = {**self.labels.metadata[METADATA_KEY], "count": cells.count()}
            known.pop("corrections", None)
            known |= cells.about_corrections()
            self.labels.metadata = {**self.labels.metadata, METADATA_KEY: known}
        if not self._widened(cells):
            self.labels.redraw(region, cells.corrected.labels(cells.threshold, cells.min_size, region=region))

    def show_measured(self, result: SegmentResult, doubt: np.ndarray | None = None) -> None:
        """Show what was measured of the cells that are shown: points, features, provenance."""
        if self.outlines and self.labels.contour != 2:
            self.labels.contour = 2
        yours = np.asarray(result.table.get("yours", np.full(result.count, "")))
        features = {"index": result.table["index"], **result.table, "yours": yours}
        self.labels.features = features if doubt is None else {**features, "doubt": doubt}
        places = np.stack([result.table["centroid_y"], result.table["centroid_x"]], axis=1)
        self._set_points(places, {"index": result.table["index"]}, yours != "")
        for layer in (self.labels, self.points):
            layer.metadata = {**layer.metadata, METADATA_KEY: result.metadata}

    def _widened(self, cells: Cells) -> bool:
        """Take new labels where the old have another shape, or a type without room for the ids of today."""
        data, corrected = self.labels.data, cells.corrected
        if data.dtype == corrected.dtype and data.shape == corrected.shape:
            return False
        self.labels.take(corrected.labels(cells.threshold, cells.min_size))
        self.follow_with_points(cells)
        return True

    def follow_with_points(self, cells: Cells) -> None:
        """Put the points where the cells are now; those of very many cells wait until they are measured."""
        ids = cells.corrected.ids(cells.threshold, cells.min_size)
        if not self.points.visible or len(ids) > MAX_LIVE_POINTS:
            return
        self._set_points(cells.corrected.centroids(ids), {"index": ids}, cells.corrected.is_owned(ids))

    def _set_points(self, places: np.ndarray, features: dict[str, np.ndarray], yours: np.ndarray) -> None:
        with self.points.text.events.blocker():
            if len(places) != len(self.points.data) or not np.array_equal(places, self.points.data):
                self.points.selected_data = set()
                self.points.data = places
                if not self.points.visible:
                    # A hidden layer keeps the view of its former points, and napari draws those when colours change.
                    self.points.set_view_slice()
            self.points.features = features
        self.points.show_yours(yours, YOURS, AUTOMATIC)
        self.points.refresh_text()

    def _set_visible(self, cells: bool, numbers: bool) -> None:
        if self._asleep:
            self._was_visible = (cells, numbers)
            return
        self.labels.visible, self.points.visible = cells, numbers

    def _visible(self) -> tuple[slice, slice]:
        """Return the rows and columns in view; everything where that is not known yet."""
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


def _sliders(cells: Cells) -> tuple[object, ...]:
    return cells.corrected, cells.threshold, cells.min_size
