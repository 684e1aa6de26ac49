"""A labels layer that the user edits with napari's own tools; its true labels and undo steps are kept elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from napari.layers import Labels
from psygnal import Signal
from skimage.draw import line

from ...imaging.regions import Region, is_empty, plain_region


class CellsLabels(Labels):
    """Labels whose pixels are only a picture: every stroke is handed on, and what became of it is drawn again.

    Brush, eraser, fill and polygon write into `data` as ever. At the end of each stroke `painted` reports where, and
    the holder of the truth answers by `redraw`. napari's own undo history stays empty: it would bring back pixels of
    before a slider moved. Ctrl+Z and Ctrl+Shift+Z are handed on as well.

    Signals
    -------
    painted(region, after)
        A stroke ended; `after` are the labels in the region as the user left them (a copy).
    replaced(after)
        Other labels were put into `data`; `after` is a copy of them, of any shape.
    undo_asked(), redo_asked(), fresh_asked()
        Ctrl+Z, Ctrl+Shift+Z, and M for an id that no cell has.
    """

    painted = Signal(object, object)
    replaced = Signal(object)
    undo_asked = Signal()
    redo_asked = Signal()
    fresh_asked = Signal()

    def __init__(self, data: np.ndarray, **attributes: Any) -> None:
        self._writing = 0
        self._taking = False
        self._on_its_own = False
        self._atoms: list[Any] = []
        super().__init__(data, **attributes)
        self.events.paint.connect(self._on_paint)
        self.events.data.connect(self._on_data)

    @classmethod
    def _basename(cls) -> str:
        return "Labels"

    @property
    def _type_string(self) -> str:
        # Readers, writers and copies know it as the labels layer that it is.
        return "labels"

    def undo(self) -> None:
        """Take back the last correction, whatever the sliders did since."""
        super().undo() if self._on_its_own else self.undo_asked.emit()

    def redo(self) -> None:
        """Do it again."""
        super().redo() if self._on_its_own else self.redo_asked.emit()

    def let_go(self) -> None:
        """Be a labels layer like any other from now on: the truth is gone."""
        self._on_its_own = True

    def paint(self, coord: Sequence[float], new_label: int, refresh: bool = True) -> None:
        """Paint with the brush."""
        self._write(super().paint, coord, new_label, refresh)

    def fill(self, coord: Sequence[float], new_label: int, refresh: bool = True) -> None:
        """Fill what lies under a place."""
        self._write(super().fill, coord, new_label, refresh)

    def paint_polygon(self, points: Any, new_label: int) -> None:
        """Paint a polygon."""
        self._write(super().paint_polygon, points, new_label)

    def data_setitem(self, indices: Any, value: Any, refresh: bool = True) -> None:
        """Set pixels."""
        self._write(super().data_setitem, indices, value, refresh)

    @property
    def in_stroke(self) -> bool:
        """Whether something was painted while the mouse is still down."""
        return bool(getattr(self, "_staged_history", None))

    def finish_stroke(self) -> None:
        """Hand on what was painted so far although the mouse is still down: `data` is about to change."""
        commit = getattr(self, "_commit_staged_history", None)
        if commit is not None and self.in_stroke:
            commit()

    def take(self, labels: np.ndarray) -> None:
        """Show other labels, of any type."""
        self._taking = True
        try:
            self.data = labels
        finally:
            self._taking = False

    def redraw(self, region: Region, labels: np.ndarray | None = None) -> None:
        """Write labels into a region, and draw that region alone."""
        if labels is not None:
            self.data[region] = labels
        region = plain_region(region, self.data.shape)
        if is_empty(region):
            return
        try:
            if self._is_drawn_as_it_is():
                if self.contour == 0:
                    view = self._slice.image.view
                    view[region] = self._raw_to_displayed(self._slice.image.raw, region)
                self._accumulate_updated_slice(region)
                self._partial_labels_refresh()
                return
        except AttributeError:
            pass  # another napari, with other private names: it draws all
        self.refresh(thumbnail=False, highlight=False, extent=False)

    def redraw_at(self, places: np.ndarray | None) -> None:
        """Draw what was written into `data` at these flat positions (N,); None for all."""
        try:
            if places is not None and self.contour == 0 and self._is_drawn_as_it_is():
                view = self._slice.image.view
                if not np.shares_memory(view, self.data):
                    view.reshape(-1)[places] = self.colormap._data_to_texture(self.data.reshape(-1)[places])
                # What napari does of a part, without copying all of it.
                self.events.labels_update(data=view, offset=[0, 0])
                return
        except AttributeError:
            pass
        self.refresh(thumbnail=False, highlight=False, extent=False)

    def _is_drawn_as_it_is(self) -> bool:
        """Whether what napari draws is `data` itself, not turned and not a copy."""
        if not self.visible or not self._slicing_state.loaded or self._slice.empty:
            return False
        raw = self._slice.image.raw
        return raw.strides == self.data.strides and np.shares_memory(raw, self.data)

    def sketch(self, points: np.ndarray, value: int) -> Region:
        """Draw a line of 2 pixels through points (N, 2) into the picture alone; returns where, for `redraw`."""
        height, width = self.data.shape
        places = np.clip(np.round(points).astype(int), 0, (height - 1, width - 1))
        low, high = places.min(axis=0), places.max(axis=0) + 2
        region = (slice(int(low[0]), min(int(high[0]), height)), slice(int(low[1]), min(int(high[1]), width)))
        for start, end in pairwise(places):
            y, x = line(*start, *end)
            for dy, dx in ((0, 0), (1, 0), (0, 1)):
                self.data[np.minimum(y + dy, height - 1), np.minimum(x + dx, width - 1)] = value
        self.redraw(region)
        return region

    def choose_label(self, label: int) -> None:
        """Choose the id that is painted with, of a wider type where the present one has no room for it."""
        if label > np.iinfo(np.asarray(self.data).dtype).max:
            self.take(np.asarray(self.data).astype(np.int32))
        self.selected_label = label

    def _write(self, method: Any, *arguments: Any) -> None:
        # Without a stroke around it napari announces a change before it is made.
        self._writing += 1
        try:
            method(*arguments)
        finally:
            self._writing -= 1
        if not self._writing:
            self._hand_on()

    def _on_paint(self, event: Any) -> None:
        self._atoms += event.value if isinstance(event.value, list) else [event.value]
        if not self._writing:
            self._hand_on()

    def _on_data(self, event: Any) -> None:
        """Report labels that a script or another plugin has set, which are a correction like a stroke."""
        if self._taking or self._on_its_own:
            return
        self._forget_history()
        self.replaced.emit(np.array(self.data))

    def _hand_on(self) -> None:
        atoms, self._atoms = self._atoms, []
        if not atoms or self._on_its_own:
            return
        self._forget_history()
        region = region_of(atoms, self.data.shape)
        self.painted.emit(region, self.data[region].copy())

    def _forget_history(self) -> None:
        for name in ("_undo_history", "_redo_history"):
            if (history := getattr(self, name, None)) is not None:
                history.clear()


def region_of(atoms: Iterable[Any], shape: tuple[int, ...]) -> Region:
    """Return the box around what a stroke changed, from the parts that napari reports; all of it for unknown parts.

    A part is a tuple that starts with a box (napari 0.9) or with the indices of the changed pixels (before).
    """
    low, high = np.array(shape), np.zeros(2, dtype=int)
    for atom in atoms:
        for axis in range(2):
            try:
                place = atom[0][axis]
                if isinstance(place, slice):
                    start, stop, _ = place.indices(shape[axis])
                else:
                    start, stop = int(np.min(place)), int(np.max(place)) + 1
            except (TypeError, ValueError, IndexError):
                start, stop = 0, shape[axis]
            low[axis], high[axis] = min(low[axis], start), max(high[axis], stop)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


@CellsLabels.bind_key("M")
def _fresh_label(layer: CellsLabels) -> None:
    """Paint a new cell: take an id that no cell has."""
    layer.fresh_asked.emit()
