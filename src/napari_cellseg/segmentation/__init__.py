"""One image, one recipe: the function that window, command line and folder share."""

from __future__ import annotations

from .recipe import Recipe
from .segment import Segmented, SegmentResult, iter_predict_image, segment

__all__ = ["Recipe", "SegmentResult", "Segmented", "iter_predict_image", "segment"]
