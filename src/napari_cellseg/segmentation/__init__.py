"""One image, one recipe: the function that window, command line and folder share."""

from __future__ import annotations

from .options import RunOptions
from .recipe import Recipe
from .segment import iter_predict_image
from .segmented import Segmented, SegmentResult

__all__ = ["Recipe", "RunOptions", "SegmentResult", "Segmented", "iter_predict_image"]
