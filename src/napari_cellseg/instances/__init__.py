"""From a prediction to cells: splitting, live labels, measurements and scores (numpy, scipy, scikit-image)."""

from __future__ import annotations

from .levels import quantize, stable_stretch, threshold_level
from .linking import Linker, link_stack
from .live import Instances
from .measure import measure
from .metrics import IOU_THRESHOLDS, MatchResult, foreground_scores, iou_matrix, match, summarize
from .params import SplitParams
from .prediction import Prediction
from .split import foreground_landscape, split
from .tracks import Tracks, tracks_table
from .volumes import Volumes, volume_table

__all__ = [
    "IOU_THRESHOLDS",
    "Instances",
    "Linker",
    "MatchResult",
    "Prediction",
    "SplitParams",
    "Tracks",
    "Volumes",
    "foreground_landscape",
    "foreground_scores",
    "iou_matrix",
    "link_stack",
    "match",
    "measure",
    "quantize",
    "split",
    "stable_stretch",
    "summarize",
    "threshold_level",
    "tracks_table",
    "volume_table",
]
