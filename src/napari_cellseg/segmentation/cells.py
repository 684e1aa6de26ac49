"""The cells of one image as the sliders stand, corrections included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..corrections.corrected import CorrectedInstances
from ..corrections.exchange import BY_KEY
from ..corrections.view import CellView
from ..imaging.channels import distinct_names
from ..instances.filters import NO_FILTERS, Filters
from ..instances.levels import stable_stretch
from ..instances.measure import disc_diameter, intensity_columns
from .classes import Classes
from .counting import count_markers
from .marker import Marker
from .recipe import Recipe
from .segmented import Segmented, SegmentResult, with_counted


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one image as the sliders stand.

    Attributes
    ----------
    segmented : Segmented
    threshold : float
        Foreground probability, 0 to 1.
    min_size : int
        Smallest area in pixels.
    corrected : CorrectedInstances
        Corrections over automatic cells; it follows every edit.
    revision : int
        That of the corrections when this was made: cells of two moments are two values.
    positive : tuple of Marker
        By which channels cells are called positive.
    grow : str or None
        How far nuclei are grown; see `Recipe.grow`.
    classes : Classes or None
        By which examples cells are in classes.
    """

    segmented: Segmented
    threshold: float
    min_size: int
    corrected: CorrectedInstances
    revision: int = 0
    positive: tuple[Marker, ...] = ()
    grow: str | None = None
    classes: Classes | None = None

    @property
    def view(self) -> CellView:
        """The cells that a tool acts on."""
        return CellView(self.corrected, self.threshold, self.min_size)

    @property
    def recipe(self) -> Recipe:
        """The recipe that gives the automatic cells as the sliders stand."""
        recipe = self.segmented.recipe_at(self.threshold, self.min_size)
        return replace(recipe, positive=self.positive, grow=self.grow, classes=self.classes)

    @property
    def by_hand(self) -> dict[int, Mapping[str, bool | str]]:
        """Which cells the user called by hand: of their ids, by marker."""
        return self.corrected.corrections.calls()

    @property
    def n_changed(self) -> int:
        """Number of cells that the user corrected."""
        return self.corrected.corrections.n_changed

    @property
    def n_erased(self) -> int:
        """Number of cells that the user erased."""
        return self.corrected.corrections.n_erased

    def count(self) -> int:
        """Number of cells that is on the screen."""
        return self.corrected.count(self.threshold, self.min_size)

    def areas(self) -> np.ndarray:
        """Areas in pixels of all cells that the threshold leaves, int64."""
        areas = self.corrected.areas(self.threshold)
        return areas[areas > 0]

    @property
    def filters(self) -> Filters:
        """Which cells count besides threshold and smallest size."""
        return self.corrected.instances.filters

    def filtered(self, filters: Filters) -> Cells:
        """Return the cells with other filters."""
        corrected = self.corrected.filtered(filters)
        return replace(self, corrected=corrected, segmented=self.segmented.filtered(filters))

    def n_left_out(self) -> int:
        """Number of cells that `min_size` drops; it never drops a cell that the user corrected."""
        with self.corrected.corrections.lock:
            return len(self.areas()) - self._unfiltered()

    def n_filtered(self) -> int:
        """Number of cells that filters drop of those that `min_size` leaves."""
        with self.corrected.corrections.lock:
            return self._unfiltered() - self.count()

    def dropped(self) -> np.ndarray:
        """Label image of the cells that the threshold leaves, but `min_size` or a filter drops."""
        with self.corrected.corrections.lock:
            ghosts = self.corrected.filtered(NO_FILTERS).labels(self.threshold, 0)
            keep = np.zeros(int(ghosts.max(initial=0)) + 1, dtype=bool)
            kept = self.corrected.ids(self.threshold, self.min_size)
            keep[kept[kept < len(keep)]] = True
            ghosts[keep[ghosts]] = 0
            return ghosts

    def _unfiltered(self) -> int:
        return self.corrected.filtered(NO_FILTERS).count(self.threshold, self.min_size)

    def counted_areas(self) -> np.ndarray:
        """Areas in pixels of the cells that are counted, those that the user corrected whatever their size."""
        with self.corrected.corrections.lock:
            return self.corrected.areas(self.threshold)[self.corrected.keep(self.threshold, self.min_size)]

    def count_curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Thresholds, and the count at each of them for the present `min_size`."""
        return self.corrected.count_curve(self.min_size)

    def stable_stretch(self) -> tuple[float, float]:
        """Widest stretch of thresholds over which the count hardly changes; NaN where nothing is counted."""
        return stable_stretch(*self.count_curve())

    def median_diameter(self) -> float:
        """Median diameter in pixels (of circles of equal area) of the counted cells; NaN without any."""
        counted = self.counted_areas()
        return float(disc_diameter(np.median(counted))) if counted.size else float("nan")

    def covered(self) -> float:
        """Part of the image that the counted cells cover, 0 to 1."""
        height, width = self.segmented.instances.shape
        return float(self.counted_areas().sum() / max(height * width, 1))

    def counted_in_areas(self) -> dict[str, Any] | None:
        """Count the cells of every region, as `Areas.counted` does; None where there are no regions."""
        areas = self.segmented.areas
        if areas is None:
            return None
        with self.corrected.corrections.lock:
            ids = self.corrected.ids(self.threshold, self.min_size)
            y, x = self.corrected.centroids_at(ids, self.threshold).T
        return areas.counted({"centroid_y": y, "centroid_x": x}, self.segmented.image.pixel_size)

    def about_corrections(self) -> dict[str, Any]:
        """Return the entries of the provenance about corrections: whether there are any and, if so, how many."""
        if not (self.n_changed or self.n_erased):
            return {"corrected": False}
        return {"corrected": True, "corrections": {"changed": self.n_changed, "erased": self.n_erased}}

    def _in_all_channels(self, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Mean brightness in every channel of an image of several, whichever the cells were found in."""
        image = self.segmented.image
        if image.rgb or image.n_channels < 2:
            return {}
        names = distinct_names(image.channel_names, image.n_channels)
        found = intensity_columns(labels, {name: image.plane(i) for i, name in enumerate(names)})
        return {name: values for name, values in found.items() if name.startswith("intensity_mean_")}

    def metadata(self) -> dict[str, Any]:
        """Provenance of what is on the screen, as JSON-able values."""
        with self.corrected.corrections.lock:
            by = {BY_KEY: self.corrected.corrections.made_by} if self.corrected.corrections.made_by else {}
            about = {"count": self.count(), **self.about_corrections(), **by}
        made = self.segmented.asked(positive=self.positive, grow=self.grow, classes=self.classes)
        return {**made.metadata(self.threshold, self.min_size), **about}

    def result(self) -> SegmentResult:
        """Labels, count, table and provenance of what is on the screen; takes up to a second on large images."""
        corrections = self.corrected.corrections
        with corrections.lock:
            labels = self.corrected.labels(self.threshold, self.min_size)
            about, made_by = self.about_corrections(), corrections.made_by
            yours = {id_: corrections.how(id_) for id_ in corrections.owned_ids.tolist()}
            by_hand = self.by_hand
        made = self.segmented.asked(positive=self.positive, grow=self.grow, classes=self.classes)
        table = {**made.table(labels), **self._in_all_channels(labels)}
        counted = count_markers(made.image, labels, table["index"], made.recipe, by_hand)
        table |= counted.columns
        table["yours"] = np.array([yours.get(id_, "") for id_ in table["index"].tolist()], dtype=np.str_)
        count = len(table["index"])
        metadata = with_counted(self.metadata(), counted) | {"count": count, **about}
        metadata |= {BY_KEY: made_by} if made_by else {}
        probability = made.prediction.probability
        where = (self.threshold, self.min_size)
        return SegmentResult(labels, probability, count, table, *where, metadata, counted, made.areas)
