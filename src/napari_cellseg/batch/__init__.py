"""One recipe, one function: the window, the command line and a folder run all segment through here."""

from __future__ import annotations

from .recipe import Recipe
from .segment import Segmented, SegmentResult, iter_predict_image, segment

__all__ = ["Recipe", "SegmentResult", "Segmented", "iter_predict_image", "segment"]
