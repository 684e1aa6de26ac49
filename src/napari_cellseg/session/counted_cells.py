"""The cells of each image of a viewer, and how they are counted: sliders, filters, markers, classes, regions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from psygnal import Signal

from ..corrections.record import CorrectionsRecords
from ..imaging.errors import ParamsError
from ..instances.areas import Areas
from ..instances.filters import NO_FILTERS, Filters
from ..segmentation.cells import Cells
from ..segmentation.classes import Classes
from ..segmentation.marker import Marker
from ..segmentation.recipe import Recipe
from .keys import layer_id

THRESHOLD_DIGITS = 4


class CountedCells:
    """Cells by the key of their image, and which image is chosen.

    Signals
    -------
    sliders_changed(key)
        Threshold or min_size of an image changed; corrections are announced by `corrected`.
    counting_changed()
        Cells are called by other markers, thresholds of them or classes, or nuclei are grown otherwise.
    filters_changed()
        Other cells count: `sliders_changed` was emitted for every image.
    areas_changed(key)
        The cells of an image are counted in other regions.
    """

    sliders_changed = Signal(object)
    counting_changed = Signal()
    filters_changed = Signal()
    areas_changed = Signal(object)

    def __init__(self) -> None:
        self._cells: dict[Hashable, Cells] = {}
        self._records = CorrectionsRecords()
        self._chosen: Hashable | None = None
        self._positive: tuple[Marker, ...] = ()
        self._grow: str | None = None
        self._filters = NO_FILTERS
        self._areas: dict[Hashable, Areas | None] = {}
        self._classes: Classes | None = None

    @property
    def chosen(self) -> Hashable | None:
        """Key of the image that the sliders act on; None without an image."""
        return self._chosen

    @property
    def cells(self) -> Cells | None:
        """Cells of the chosen image; None before it was segmented."""
        return self.cells_of(self._chosen)

    def cells_of(self, key: Hashable | None) -> Cells | None:
        """Cells of an image; None before it was segmented."""
        return None if key is None else self._cells.get(key)

    def keys(self) -> tuple[Hashable, ...]:
        """Keys of all images that have cells."""
        return tuple(self._cells)

    def set_threshold(self, threshold: float, key: Hashable | None = None) -> None:
        """Move the threshold of the chosen (or given) image.

        Raises
        ------
        ParamsError
            Unless 0 <= threshold <= 1.
        """
        if not 0 <= threshold <= 1:
            raise ParamsError(f"The threshold is {threshold}; it is a probability and must lie from 0 to 1.")
        self._move(key, threshold=round(float(threshold), THRESHOLD_DIGITS))

    def set_min_size(self, min_size: int, key: Hashable | None = None) -> None:
        """Move the smallest area in pixels of the chosen (or given) image.

        Raises
        ------
        ParamsError
            When it is negative.
        """
        if min_size < 0:
            raise ParamsError(f"min_size is {min_size}; it is a number of pixels, 0 or more.")
        self._move(key, min_size=int(min_size))

    @property
    def positive(self) -> tuple[Marker, ...]:
        """By which markers the cells of all images are called positive."""
        return self._positive

    @property
    def grow(self) -> str | None:
        """Length by which the nuclei of all images are grown, such as ``3um``."""
        return self._grow

    def set_counting(self, positive: Sequence[Marker], grow: str | None) -> None:
        """Call the cells of all images by these markers, and grow their nuclei by this length.

        Raises
        ------
        ParamsError
            They contradict each other; nothing was changed.
        """
        checked = Recipe(positive=tuple(positive), grow=grow)
        if (checked.positive, checked.grow) == (self._positive, self._grow):
            return
        self._positive, self._grow = checked.positive, checked.grow
        self._change_all(lambda cells: replace(cells, positive=self._positive, grow=self._grow))
        self.counting_changed.emit()

    @property
    def filters(self) -> Filters:
        """Which cells of all images count besides threshold and smallest size."""
        return self._filters

    def set_filters(self, filters: Filters) -> None:
        """Count only cells of all images that pass these filters; what the user corrected counts always."""
        if filters == self._filters:
            return
        self._filters = filters
        self._change_all(lambda cells: cells.filtered(filters))
        for key in self.keys():
            self.sliders_changed.emit(key)
        self.filters_changed.emit()

    def set_areas(self, key: Hashable, areas: Areas | None) -> None:
        """Count the cells of an image, of all its planes, in these regions as well."""
        self._areas[layer_id(key)] = areas
        for one, cells in self._cells.items():
            if layer_id(one) == layer_id(key):
                self._cells[one] = replace(cells, segmented=cells.segmented.in_areas(areas))
        self.areas_changed.emit(key)

    @property
    def classes(self) -> Classes | None:
        """By which examples the cells of all images are in classes."""
        return self._classes

    def set_classes(self, classes: Classes | None) -> None:
        """Call the cells of all images by these examples, or by none."""
        if classes == self._classes:
            return
        self._classes = classes
        self._change_all(lambda cells: replace(cells, classes=classes))
        self.counting_changed.emit()

    def _note(self, key: Hashable) -> None:
        """Let the journal of an image know how its cells are made and called."""
        record, cells = self._records.get(key), self._cells[key]
        if record is not None:
            recipe = replace(cells.segmented.recipe, positive=cells.positive, grow=cells.grow, classes=cells.classes)
            record.note_cells(recipe.to_dict(), cells.threshold, cells.min_size)

    def _move(self, key: Hashable | None, **values: float) -> None:
        key = self._chosen if key is None else key
        cells = self.cells_of(key)
        if cells is None or all(getattr(cells, name) == value for name, value in values.items()):
            return
        self._cells[key] = replace(cells, **values)  # type: ignore[arg-type]
        self._note(key)
        self.sliders_changed.emit(key)

    def _change_all(self, change: Callable[[Cells], Cells]) -> None:
        for key, cells in self._cells.items():
            self._cells[key] = change(cells)
            self._note(key)
