"""What a user did to the cells: claims, tools, journal, recovery; and which cell to look at first."""

from __future__ import annotations

from ..imaging.regions import Region
from .claims import Corrections
from .corrected import CorrectedInstances
from .run_lengths import Cell, Patch
from .view import CellView

__all__ = ["Cell", "CellView", "CorrectedInstances", "Corrections", "Patch", "Region"]
