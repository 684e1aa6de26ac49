"""Precision and count error of an image at every threshold and smallest size, from which all calibrations choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..instances.components import component_counts
from ..instances.surface import count_surface, overlaps, precision_surface
from ..network.smallest import usual_min_size
from ..segmentation.segmented import Segmented
from ..training.data.datasets import Sample
from ..training.data.hold_out import keep_inside, reviewed_area
from .evaluate import STANDARD_IOUS


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Figures of one image at all settings; rows are the 256 levels of the threshold, columns the sizes.

    Attributes
    ----------
    sample : Sample
        Cells that lie more than half outside of its reviewed area do not count, true and predicted ones alike.
    segmented : Segmented
    max_size : int
        Sizes are 0 to this many pixels, at least 1.
    """

    sample: Sample
    segmented: Segmented
    max_size: int

    @cached_property
    def true(self) -> np.ndarray:
        """Labels of the true cells that count."""
        return keep_inside(self.sample.labels, reviewed_area(self.sample))

    @property
    def n_true(self) -> int:
        """Number of true cells that count."""
        return int(np.count_nonzero(np.unique(self.true)))

    def precision(self, ious: Sequence[float] = STANDARD_IOUS) -> np.ndarray:
        """Average precision, as mean over IoU thresholds; float64 (256, max_size + 1)."""
        found = overlaps(self.segmented.instances, self.true, self._reviewed)
        return precision_surface(found, self.max_size, ious)

    def count_error(self, counting: str = "cells") -> np.ndarray:
        """Absolute error of the count, in cells or connected components; int (256, max_size + 1)."""
        if counting == "components":
            counts = component_counts(self.segmented.prediction.probability, self.max_size, self._reviewed)
        else:
            counts = count_surface(self.segmented.instances, self.max_size, self._reviewed)
        return np.abs(counts - self.n_true)

    @property
    def limit(self) -> int:
        """The largest smallest size that suits the image: a model's larger default counts as this."""
        return usual_min_size(self.max_size, self.segmented.prediction.diameter)

    def as_default(self, surface: np.ndarray) -> np.ndarray:
        """Return a figure by the model's default size, which small cells lower, instead of by the image's own size."""
        return surface[:, np.minimum(np.arange(self.max_size + 1), self.limit)]

    @property
    def _reviewed(self) -> np.ndarray | None:
        area = self.sample.reviewed
        return None if area is None or area.all() else area
